"""Processes of torchrun and srun: who is first, one run directory for all, and requeueing."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sightseq.core import cluster, resume, rundir
from sightseq.core.errors import ConfigError

TORCHRUN = {"TORCHELASTIC_RUN_ID": "job", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0"}
SRUN = {"SLURM_JOB_ID": "42", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_JOB_NAME": "big"}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")) or name in {*TORCHRUN, "NODE_RANK"}:
            monkeypatch.delenv(name)


def launch(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], **more: str) -> None:
    for name, value in (environment | more).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "rank", "processes"),
    [
        ({}, 0, 1),
        (TORCHRUN, 2, 4),
        (SRUN, 3, 4),
        (SRUN | TORCHRUN, 2, 4),  # torchrun within srun
        (SRUN | {"SLURM_JOB_NAME": "interactive"}, 0, 1),  # typed within salloc, without srun
        ({"LOCAL_RANK": "1"}, 1, 1),  # started by Lightning
        ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, 1, 1),
    ],
)
def test_rank(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], rank: int, processes: int) -> None:
    launch(monkeypatch, environment)
    assert (cluster.rank(), cluster.processes()) == (rank, processes)


def test_too_few_or_too_many_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.check_processes(8)  # Lightning starts them
    launch(monkeypatch, SRUN)
    cluster.check_processes(4)
    with pytest.raises(ConfigError, match=r"SLURM started 4 processes, but the training needs 1: .*trainer=ddp"):
        cluster.check_processes(1)
    launch(monkeypatch, TORCHRUN)
    with pytest.raises(
        ConfigError, match=r"torchrun started 4 processes, but the training needs 2: .*--nproc-per-node"
    ):
        cluster.check_processes(2)


def test_a_launch_has_its_own_id(monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, SRUN)
    ids = {cluster.launch_id()}
    for change in ({"SLURM_RESTART_COUNT": "1"}, {"SLURM_STEP_ID": "1"}, {"SLURM_JOB_ID": "43"}, TORCHRUN):
        launch(monkeypatch, change)
        ids.add(cluster.launch_id())
    assert len(ids) == 5
    assert not [name for name in ids if "/" in name]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(ConfigError, match="--rdzv-id"):
        cluster.launch_id()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert str(os.getppid()) in cluster.launch_id()  # one node: the parent process is common


def config(**more: Any) -> dict[str, Any]:
    return {"experiment": "digits", "paths": {"runs": "runs"}, "name": None, **more}


def test_all_processes_get_the_run_directory_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, SRUN, SLURM_PROCID="1")
    found: list[Path] = []
    waiting = threading.Thread(target=lambda: found.append(resume.create_or_resume(config(), "sightseq train")))
    waiting.start()
    time.sleep(0.2)
    assert not found
    # The first process is another one; here it is this process without its rank.
    first = cluster.agree
    monkeypatch.setattr(cluster, "rank", lambda: 0)
    folder = first(lambda: rundir.create(config(), "sightseq train"), Path("runs"))
    waiting.join(5)
    assert found == [folder]
    assert len(list(Path("runs/digits").iterdir())) == 1


def test_a_failure_of_the_first_process_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise ConfigError("no such run")

    launch(monkeypatch, SRUN, SLURM_PROCID="0")
    with pytest.raises(ConfigError, match="no such run"):
        cluster.agree(fail, Path("runs"))
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises(ConfigError, match="the first process has failed"):
        cluster.agree(fail, Path("runs"))


def test_a_first_process_that_never_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, SRUN)
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)
    with pytest.raises(ConfigError, match=r"process 3 found no runs/\.launches/slurm-42-0-0"):
        cluster.agree(Path, Path("runs"))


def test_a_sweep_is_started_once(monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, SRUN)
    with pytest.raises(ConfigError, match="-m: start a sweep once"):
        resume.create_or_resume(config(sweep={"job": 0}), "sightseq train -m")


def scontrol(monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """Put a program `scontrol` first in the path; returns the file that records its arguments."""
    program = Path("bin/scontrol").absolute()
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> {program.parent}/asked\n{body}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program.with_name("asked")


def test_requeue_asks_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = scontrol(monkeypatch, "")
    launch(monkeypatch, SRUN, SLURM_PROCID="0")
    assert cluster.requeue() == "job 42 is requeued"
    launch(monkeypatch, {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "2"})
    assert cluster.requeue() == "job 40_2 is requeued"
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert "first process" in cluster.requeue()
    assert asked.read_text() == "requeue 42\nrequeue 40_2\n"
    monkeypatch.setenv("SLURM_PROCID", "0")
    scontrol(monkeypatch, "echo job may not be requeued >&2; exit 1")
    assert cluster.requeue() == "job 40_2 is not requeued: job may not be requeued"
    monkeypatch.setenv("PATH", "")
    assert "is not requeued" in cluster.requeue()


def test_the_signal_of_slurm_requeues_before_and_after_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    try:
        cluster.handle_requeue_signal()
        assert signal.getsignal(signal.SIGUSR1) is before  # not in a job
        launch(monkeypatch, SRUN)
        cluster.handle_requeue_signal()
        with pytest.raises(cluster.Requeue):
            os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)  # `uv run` sends it again
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_run_that_is_requeued_before_its_first_epoch_stays() -> None:
    folder = rundir.create(config(), "sightseq train")
    with pytest.raises(cluster.Requeue), rundir.locked_run(folder):
        raise cluster.Requeue
    assert (folder / "config.yaml").exists()
