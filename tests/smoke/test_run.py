"""`python -m sightseq.run` with valid and invalid arguments."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightseq import run
from sightseq.composition import compose

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that returns the exit status and standard error; a valid config is not run, but kept in `done`."""

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["run", *arguments])
        try:
            run.main()
        except SystemExit as error:
            return int(error.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    return call


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], Path]]:
    runs: list[tuple[dict[str, Any], Path]] = []
    monkeypatch.setattr(run, "execute", lambda config, folder: runs.append((config, folder)))
    return runs


def test_usage(run_of: Run) -> None:
    expected = (2, "usage: python -m sightseq.run RUN_DIR, or a copy of its config.yaml\n")
    assert run_of() == expected
    assert run_of("a", "b") == expected


def test_a_copied_config_runs_in_a_new_folder(run_of: Run, done: list[tuple[dict[str, Any], Path]]) -> None:
    config = compose("name=mine")
    Path("copy.yaml").write_text(yaml.safe_dump(config))
    assert run_of("copy.yaml") == (0, "")
    folder = done[0][1]
    assert folder.parent == Path("runs/digits").absolute()
    assert done[0][0] == config | {"run": {"command": f"python -m sightseq.run {Path('copy.yaml').absolute()}"}}
    assert sys.argv[1] == str(folder)
    assert run_of(str(folder)) == (0, "")
    assert done[1] == done[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trainer": None}, "config.yaml: trainer is None, but must be a mapping"),
        ({"data": [1]}, "config.yaml: data is [1], but must be a mapping"),
        ({"trust": "mine"}, "config.yaml: trust is 'mine', but must be a list"),
        ({"seed": -1}, "seed=-1: must be a whole number"),
        ({"run_test": "maybe"}, "run_test=maybe: must be true, false or auto"),
        ({"paths": {"runs": "x", "data": "y"}}, "config.yaml: paths.cache is missing"),
        ("model", "config.yaml: model is missing"),
        ("seed", "config.yaml: seed is missing"),
    ],
)
def test_a_config_with_invalid_edits(
    change: dict[str, Any] | str, words: str, run_of: Run, done: list[tuple[dict[str, Any], Path]]
) -> None:
    config = compose()
    if isinstance(change, str):
        del config[change]
    else:
        config |= change
    Path("run").mkdir()
    for file in (Path("run/config.yaml"), Path("copy.yaml")):
        file.write_text(yaml.safe_dump(config))
    for path in ("run", "run/config.yaml", "copy.yaml"):
        status, errors = run_of(path)
        assert status == 2
        assert errors.startswith(f"ConfigError: {words}")
        assert errors.count("\n") == 1
    assert not done
    assert not Path("runs").exists()


def test_invalid_yaml_and_missing_run(run_of: Run) -> None:
    Path("run").mkdir()
    Path("run/config.yaml").write_text("a: [1")
    for path, words in (("run", "it has no readable config.yaml (while parsing"), ("run/config.yaml", "is not YAML")):
        status, errors = run_of(path)
        assert status == 2
        assert words in errors
        assert errors.count("\n") == 1
    assert "is not a run directory" in run_of("nowhere")[1]
    Path("run/config.yaml").write_text("just a text")
    assert "must be a mapping" in run_of("run/config.yaml")[1]
