"""Sweeps on the command line. The jobs record their configs and train nothing."""

from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The configs of the jobs, in order."""
    configs: list[dict[str, Any]] = []

    def process(command: list[str]) -> int:
        configs.append(yaml.safe_load(Path(command[-1], "config.yaml").read_text()))
        return 0

    monkeypatch.setattr("sightseq.sweep.run_process", process)
    return configs


def test_jobs_that_exchange_a_brick_drop_its_settings(sightseq, jobs) -> None:
    status, _, errors = sightseq("train", "-m", "experiment=tiny_shakespeare", "optimizer=adamw,sgd")
    assert status == 0, errors
    assert [job["model"]["optimizer"]["lr"] for job in jobs] == [0.004, 0.05]


@pytest.mark.parametrize(
    ("params", "typed", "uses_test"),
    [
        ("optimizer: adam,sgd", "seed=1,2", False),
        ("optimizer: adam", "seed=1,2", True),  # one value is not a choice
        ("seed: 1,2", "optimizer=adam,sgd", False),
        ("seed: range(1,3)", "", True),
    ],
)
def test_a_search_space_from_a_file_is_swept(
    params: str, typed: str, uses_test: bool, sightseq, jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightseq.bricks.extension_folders", lambda: [tmp_path])
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text(f"# @package hydra.sweeper.params\n{params}\n")
    status, output, errors = sightseq("train", "-m", "+sweep=mine", *typed.split())
    assert status == 0, errors
    assert len(jobs) == (2 if uses_test else 4)
    assert all(job["run_test"] is uses_test for job in jobs)
    rows = [line for line in output.splitlines() if line.startswith("optimizer=")]
    assert len(rows) == (0 if uses_test else 2)  # one row per choice
