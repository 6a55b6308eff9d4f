"""Sweeps on the command line. The jobs record their configs and train nothing."""

import json
import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from sightseq.core.naming import ScoreInfo
from sightseq.core.rundir import locked
from sightseq.sweep.folder import Job, SweepFolder
from sightseq.sweep.launcher import LocalLauncher


@dataclass
class Jobs:
    """Stands in for the processes: writes results, or fails or is interrupted at the numbers named here."""

    configs: list[dict[str, Any]] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    failing: Collection[int] = ()
    interrupted: Collection[int] = ()

    def start(self, job: Job, slot: int) -> SimpleNamespace:
        self.configs.append(yaml.safe_load((job.folder / "config.yaml").read_text()))
        self.slots.append(slot)
        status = 2 if job.number in self.failing else 130 if job.number in self.interrupted else 0
        if not status:
            loss = 0.5 * self.configs[-1]["seed"]
            results = {
                "headline": "loss",
                "metrics": {"loss": asdict(ScoreInfo("loss", higher_is_better=False))},
                "val": {"loss": loss},
                "test": None,
                "seconds": {"total": 1.0},
            }
            (job.folder / "results.json").write_text(json.dumps(results))
        return SimpleNamespace(exitcode=status)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    found = Jobs()
    monkeypatch.setattr(LocalLauncher, "start", lambda _, job, slot: found.start(job, slot))
    monkeypatch.setattr(LocalLauncher, "wait", lambda *_: None)
    return found


def only_sweep() -> SweepFolder:
    (folder,) = Path("runs/sweeps").iterdir()
    return SweepFolder(folder)


def states() -> list[str]:
    return [job.state for job in only_sweep().jobs().values()]


def table(output: str) -> list[str]:
    """The lines of the table at the end, with single spaces."""
    return [" ".join(line.split()) for line in output[output.rindex("runs ") :].splitlines()]


def test_jobs_that_exchange_a_brick_drop_its_settings(sightseq, jobs: Jobs) -> None:
    status, _, errors = sightseq("train", "-m", "experiment=tiny_shakespeare", "optimizer=adamw,sgd")
    assert status == 0, errors
    assert [job["model"]["optimizer"]["lr"] for job in jobs.configs] == [0.004, 0.05]


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
    params: str, typed: str, uses_test: bool, sightseq, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightseq.bricks.extension_folders", lambda: [tmp_path])
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text(f"# @package hydra.sweeper.params\n{params}\n")
    status, output, errors = sightseq("train", "-m", "sweep=mine", *typed.split())
    assert status == 0, errors
    assert len(jobs.configs) == (2 if uses_test else 4)
    assert all(job["run_test"] is uses_test for job in jobs.configs)
    rows = [line for line in output.splitlines() if line.startswith("optimizer=")]
    assert len(rows) == (0 if uses_test else 2)  # one row per choice


def test_the_choice_of_a_job_has_no_seeds(sightseq, jobs: Jobs) -> None:
    typed = "train -m seed=1,2 model.optimizer.lr=0.1,0.2 +trainer.val_check_interval=0.5,1.0 trainer.max_epochs=2"
    assert sightseq(*typed.split())[0] == 0
    first = next(iter(only_sweep().jobs().values()))
    assert first.choice == "model.optimizer.lr=0.1, +trainer.val_check_interval=0.5"
    assert jobs.configs[0]["sweep"] == {
        "command": f"sightseq {typed}",
        "folder": str(only_sweep().path.absolute()),
        "job": 0,
    }
    assert jobs.configs[0]["run"]["command"] == (
        "sightseq train seed=1 model.optimizer.lr=0.1 +trainer.val_check_interval=0.5 trainer.max_epochs=2"
    )


def test_an_explicit_run_test_is_kept(sightseq, jobs: Jobs) -> None:
    sightseq("train", "-m", "optimizer=adamw,sgd", "run_test=true")
    assert [job["run_test"] for job in jobs.configs] == [True, True]


def test_sweeps_of_the_same_second_have_folders_of_their_own(
    sightseq, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightseq.core.rundir.datetime", SimpleNamespace(now=lambda: datetime(2026, 11, 28, 10, 15)))
    for _ in range(2):
        assert sightseq("train", "-m", "seed=1,2")[0] == 0
    folders = list(Path("runs/sweeps").iterdir())
    assert [len(SweepFolder(folder).jobs()) for folder in folders] == [2, 2]
    assert all(re.fullmatch(r"2026-11-28_10-15-00-[0-9a-f]{4}", folder.name) for folder in folders)


@pytest.mark.parametrize("named", ["auto", "folder"])
def test_an_interrupted_sweep_continues_where_it_stopped(named: str, sightseq, jobs: Jobs) -> None:
    jobs.interrupted = {1}
    typed = ("-m", "seed=1,2,3")
    status, _, errors = sightseq("train", *typed)
    assert status == 130
    sweep = only_sweep()
    assert f"interrupted; to resume: sightseq train resume={sweep.path}" in errors
    assert states() == ["finished", "interrupted"]
    folders = [job.folder for job in sweep.jobs().values()]
    jobs.interrupted = ()
    again = (*typed, "resume=auto", "jobs=2") if named == "auto" else (f"resume={sweep.path}",)
    status, output, errors = sightseq("train", *again)
    assert status == 0, errors
    assert states() == ["finished"] * 3
    assert [job.folder for job in sweep.jobs().values()][:2] == folders  # the interrupted run was resumed
    assert [config["seed"] for config in jobs.configs] == [1, 2, 2, 3]  # the finished one was not repeated
    assert table(output)[1] == "digits 3 1.0000 ± 0.5000 1 ± 0"
    # A finished sweep is not resumed.
    _, output, _ = sightseq("train", *typed, "resume=auto")
    assert "there is no unfinished sweep of this command" in output


def test_a_sweep_killed_while_it_wrote_its_first_file_is_passed_over(sightseq, jobs: Jobs) -> None:
    Path("runs/sweeps/2026-11-28_10-15-00-beef").mkdir(parents=True)
    Path("runs/sweeps/2026-11-28_10-15-00-beef/sweep.json").touch()
    status, output, errors = sightseq("train", "-m", "seed=1,2", "resume=auto")
    assert status == 0, errors
    assert "there is no unfinished sweep of this command" in output
    assert len(jobs.configs) == 2


def test_failed_jobs_are_repeated_on_request(sightseq, jobs: Jobs) -> None:
    jobs.failing = {0}
    typed = ("train", "-m", "seed=1,2")
    status, output, _ = sightseq(*typed)
    assert status == 1
    assert states() == ["failed", "finished"]
    assert "job 0 failed: sightseq train seed=1" in output
    jobs.failing = ()
    sweep = only_sweep().path
    assert sightseq("train", f"resume={sweep}")[0] == 1
    assert len(jobs.configs) == 2
    assert sightseq(*typed, "resume=auto", "repeat_failed=true")[0] == 0
    assert states() == ["finished", "finished"]
    assert len(jobs.configs) == 3


def test_a_job_that_has_ended_unrecorded_is_not_repeated(sightseq, jobs: Jobs) -> None:
    """The launching process was killed between the end of a job and its record."""
    sightseq("train", "-m", "seed=1,2")
    sweep = only_sweep()
    lines = (sweep.path / "jobs.jsonl").read_text().splitlines(keepends=True)
    (sweep.path / "jobs.jsonl").write_text("".join(lines[:3]))
    status, output, _ = sightseq("train", f"resume={sweep.path}")
    assert status == 0
    assert len(jobs.configs) == 2
    assert table(output)[1] == "digits 2 0.7500 ± 0.3536 1 ± 0"


def test_several_jobs_at_once_have_slots_of_their_own(sightseq, jobs: Jobs) -> None:
    status, output, _ = sightseq("train", "-m", "seed=range(4)", "jobs=2")
    assert status == 0
    assert jobs.slots == [0, 1, 0, 1]
    assert "job 3 finished: loss 1.500, 1 s, runs/digits/" in output


def test_other_launchers_keep_the_folder_and_the_table(sightseq, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def process(command: list[str]) -> int:
        folder = Path(command[-1])
        return jobs.start(Job(len(jobs.configs), [], "", folder), 0).exitcode

    monkeypatch.setattr("sightseq.sweep.job.run_process", process)
    jobs.failing = {1}
    status, output, _ = sightseq("train", "-m", "seed=1,2,3", "hydra/launcher=basic")
    assert status == 1
    assert states() == ["finished", "failed", "finished"]
    assert table(output)[1] == "digits 2 of 3 1.0000 ± 0.7071 1 ± 0"


def refuse(sightseq: Callable[..., Any], *arguments: str) -> str:
    status, _, errors = sightseq("train", *arguments)
    assert status == 2
    (line,) = errors.splitlines()
    return line


def test_user_errors(sightseq, jobs: Jobs) -> None:
    sightseq("train", "-m", "seed=1,2")
    sweep = only_sweep().path
    assert "a sweep is resumed with its own arguments" in refuse(sightseq, f"resume={sweep}", "optimizer=sgd")
    assert "it is not the folder of a sweep" in refuse(sightseq, "-m", "seed=1,2", "resume=runs/digits/RUN")
    assert "job 0 was seed=1, not seed=3" in refuse(sightseq, "-m", "seed=3,4", f"hydra.sweep.dir={sweep}")
    assert "jobs=0: must be a whole number above 0" in refuse(sightseq, "-m", "seed=1,2", "jobs=0")
    with locked(sweep):
        assert "is in use by another process" in refuse(sightseq, "-m", "seed=1,2", f"hydra.sweep.dir={sweep}")
    status, _, errors = sightseq("test", "-m", "ckpt=x,y")
    assert status == 2
    assert "sightseq test runs once" in errors
