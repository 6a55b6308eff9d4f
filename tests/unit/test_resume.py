"""Resuming and extending runs, and the errors for runs that cannot be resumed."""

import json
from pathlib import Path
from typing import Any

import pytest

import sightseq
from sightseq import run
from sightseq.core import resume, rundir
from sightseq.core.checkpoint import read_checkpoint
from sightseq.core.errors import CheckpointError, ConfigError
from sightseq.core.report import read_history

from .test_rundir import config, started
from .test_trainer import TINY


def config_with_length(**changes: Any) -> dict[str, Any]:
    return config(trainer={"max_epochs": 3, "max_time": None, "devices": 1} | changes)


def finish(folder: Path, epochs: int = 3) -> Path:
    (folder / "results.json").write_text(json.dumps({"epochs": epochs}))
    return folder


def test_states_of_a_folder() -> None:
    assert resume.state_of(Path("nowhere")) == "missing"
    folder = rundir.create(config(), "")
    assert resume.state_of(folder) == "empty"
    assert resume.state_of(folder.parent) == "no run"
    folder = started("a")
    assert resume.state_of(folder) == "interrupted"
    with rundir.locked(folder):
        assert resume.state_of(folder) == "at work"
    assert resume.state_of(finish(folder)) == "finished"


def test_the_newest_run_of_the_same_config_is_found() -> None:
    assert resume.find_run(config()) is None
    started("2026-01-01_00-00-00-zzzz")
    matching = started("2026-01-02_00-00-00-aaaa", trainer={"max_epochs": 50, "max_time": None, "devices": 1})
    started("2026-01-04_00-00-00-aaaa", seed=2)
    started("2026-01-05_00-00-00-aaaa", checkpoint=False)
    locked = started("2026-01-06_00-00-00-aaaa")
    with rundir.locked(locked):
        assert resume.find_run(config()) == matching
    assert resume.find_run(config()) == locked
    assert resume.find_run(config(seed=2)) == Path("runs/toy/2026-01-04_00-00-00-aaaa").absolute()
    assert resume.find_run(config(experiment="other")) is None


def test_auto_keeps_a_finished_run_and_extends_it_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    folder = finish(started("2026-01-01_00-00-00-aaaa"))
    auto = {"resume": "auto"}
    assert resume.create_or_resume(config() | auto, "") == folder
    assert resume.finished(folder)
    assert "has finished with this config" in capsys.readouterr().out
    assert resume.create_or_resume(config_with_length(max_epochs=5) | auto, "") == folder
    assert not resume.finished(folder)
    assert rundir.read_config(folder)["trainer"]["max_epochs"] == 5
    assert (folder / "results-3-epochs.json").exists()


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda: Path("nowhere"), "there is no such folder"),
        (lambda: started("a").parent, "is not a run directory"),
        (lambda: started("a", checkpoint=False), "before its first checkpoint"),
        (lambda: finish(started("a"), 7), "finished after 7 epochs.*trainer.max_epochs=N, with N above 7"),
    ],
)
def test_runs_that_cannot_be_resumed(prepare: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resume.resume(str(prepare()), config(), set())


def test_a_run_in_use_is_not_resumed() -> None:
    folder = started("a")
    with rundir.locked(folder), pytest.raises(ConfigError, match="another process is using it"):
        resume.resume(str(folder), config(), set())


def test_a_length_that_is_not_longer_is_refused() -> None:
    folder = finish(started("a"), 3)
    with pytest.raises(ConfigError, match="above 3"):
        resume.resume(str(folder), config_with_length(max_epochs=3), {"trainer.max_epochs"})


def test_extending_changes_only_the_length() -> None:
    folder = started("a")
    longer = config_with_length(max_epochs=10, max_time="00:02:00:00", devices=4)
    before = rundir.read_config(folder)
    assert resume.resume(str(folder), longer, {"trainer.max_epochs"}) == folder
    after = rundir.read_config(folder)
    assert after["trainer"] == {"max_epochs": 10, "max_time": None, "devices": 1}
    assert after == before | {"trainer": after["trainer"]}
    with pytest.raises(ConfigError, match=r"only trainer.max_epochs and trainer.max_time may change, not seed"):
        resume.resume(str(folder), longer, {"trainer.max_epochs", "seed"})


def test_a_given_checkpoint_replaces_the_last() -> None:
    folder = started("a")
    checkpoints = folder / "checkpoints"
    (checkpoints / "last.ckpt").write_text("damaged")
    (checkpoints / "best.ckpt").write_text("whole")
    assert resume.resume(str(checkpoints / "best.ckpt"), config(), set()) == folder
    assert (checkpoints / "last.ckpt").read_text() == (checkpoints / "best.ckpt").read_text() == "whole"
    assert (checkpoints / "last-before.ckpt").read_text() == "damaged"


def test_a_finished_run_is_extended_with_its_schedule() -> None:
    """A damaged checkpoint is also named, with an older one to resume from."""
    results = sightseq.train(sightseq.compose(*TINY, "trainer.max_epochs=2") | {"run_test": False})
    folder = Path(results["folder"])
    longer = sightseq.compose(*TINY, "trainer.max_epochs=4")
    resume.resume(str(folder), longer, {"trainer.max_epochs"})
    last = folder / "checkpoints" / "last.ckpt"
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"damaged.*resume from an older one: resume=.*best\.ckpt"):
        run.execute(rundir.read_config(folder), folder)
    last.write_bytes(content)
    results = run.execute(rundir.read_config(folder), folder)
    history = read_history(folder / "metrics.csv")
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert results["epochs"] == 4
    whole = sightseq.train(longer | {"run_test": False})
    expected = read_history(Path(whole["folder"]) / "metrics.csv")
    assert history[1]["lr"] < 0.2 * expected[1]["lr"]  # the short schedule had ended near 0
    assert [row["lr"] for row in history[2:]] == pytest.approx([row["lr"] for row in expected[2:]])
    steps = read_checkpoint(last)["lr_schedulers"][0]["total_steps"]
    assert steps == read_checkpoint(Path(whole["folder"]) / "checkpoints" / "last.ckpt")["global_step"]
