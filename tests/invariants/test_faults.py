"""Faults during training: SIGKILL, SIGINT and SIGTERM, a full disk, a dead worker, a loss that is not finite."""

import os
import random
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil
import pytest

import sightseq
from sightseq.core import resume
from sightseq.core.checkpoint import read_checkpoint
from sightseq.core.errors import SightseqError

from . import victims
from .conftest import SERVER, only_run, same, start, weights

SHORT = ("callbacks=[default,ema]", "data.batch_size=64", "model.net.channels=[8,8]")


@pytest.mark.slow
def test_killed_at_ten_random_moments(tmp_path: Path) -> None:
    begun, whole, killed = tmp_path / "begun", tmp_path / "whole", tmp_path / "killed"
    mark = f"+callbacks.begun={{_target_:tests.invariants.victims.Started,path:'{begun}'}}"
    overrides = ("trainer.max_epochs=12", "callbacks.last.steps=4", mark)
    reference = start(whole, *SHORT, *overrides, slowly=True)
    wait_for(begun, reference)
    since = time.monotonic()
    reference.join()
    assert reference.exitcode == 0
    length = time.monotonic() - since
    moments, kills, within_a_write = random.Random(0), 0, 0
    for _ in range(60):
        if kills >= 10 and within_a_write:
            break
        begun.unlink(missing_ok=True)
        process = start(killed, *SHORT, *overrides, slowly=True)
        wait_for(begun, process)
        process.join(moments.uniform(0, 0.3) * length)
        process.kill()
        process.join()
        for path in killed.glob("runs/digits/*/checkpoints/*.ckpt"):
            read_checkpoint(path)
        if list(killed.glob("runs/digits/*/results.json")):  # the training finished before the kill: try again
            assert same(weights(whole), weights(killed))
            (killed / "runs").rename(tmp_path / f"ended {kills}")
            continue
        kills += 1
        within_a_write += bool(list(killed.glob("runs/digits/*/checkpoints/.*.part")))
    assert kills >= 10
    assert within_a_write
    process = start(killed, *SHORT, *overrides)
    process.join()
    assert process.exitcode == 0
    assert same(weights(whole), weights(killed))


def wait_for(mark: Path, process: ForkServerProcess) -> None:
    """Wait until the process creates a file or ends."""
    while not mark.exists() and process.exitcode is None:
        time.sleep(0.01)
    assert process.exitcode in (None, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_a_checkpoint_and_exits(number: int, tmp_path: Path) -> None:
    mark = f"+callbacks.mark={{_target_:tests.invariants.victims.Mark,path:'{tmp_path}/mark',step:20}}"
    process = start(tmp_path, *SHORT, "data.batch_size=1", "data.workers=1", mark)  # 808 steps in the epoch
    wait_for(tmp_path / "mark", process)
    for one in (process.pid, *(worker.pid for worker in psutil.Process(process.pid).children())):
        os.kill(one, number)  # as a terminal does
    process.join(5)
    assert process.exitcode == 130
    content = read_checkpoint(only_run(tmp_path) / "checkpoints" / "last.ckpt")
    assert 20 <= content["global_step"] < 808
    assert resume.state_of(only_run(tmp_path)) == "interrupted"


def test_a_slurm_job_saves_requeues_and_resumes(tmp_path: Path) -> None:
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    signals = "+callbacks.time={_target_:tests.invariants.victims.EndOfTime,step:7}"
    arguments = [*SHORT, "baseline=none", "trust=[tests]", "trainer.max_epochs=1", "resume=auto", signals]
    job = {"SLURM_JOB_ID": "4242", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    job |= {"SLURM_JOB_NAME": "train", "PATH": f"{scontrol.parent}:{os.environ['PATH']}"}
    for restart, status in (("0", 130), ("1", 0)):
        job["SLURM_RESTART_COUNT"] = restart
        process = SERVER.Process(target=victims.type_command, args=(tmp_path, arguments, job))
        process.start()
        process.join(120)
        assert process.exitcode == status
        if status:
            assert (tmp_path / "asked").read_text() == "requeue 4242\n"
            assert read_checkpoint(only_run(tmp_path) / "checkpoints" / "last.ckpt")["global_step"] == 8
    assert resume.state_of(only_run(tmp_path)) == "finished"
    assert (tmp_path / "asked").read_text() == "requeue 4242\n"


def test_a_full_disk(tmp_path: Path) -> None:
    """A training resumes after a full disk has space again; a cache that does not fit is removed."""
    (tmp_path / "runs").mkdir()
    receiver, sender = SERVER.Pipe(duplex=False)
    overrides = (*SHORT, "baseline=none", "trust=[tests]", "trainer.max_epochs=3")
    process = SERVER.Process(target=victims.fill_disk, args=(tmp_path, overrides, sender))
    process.start()
    sender.close()
    found = receiver.recv()  # EOFError: the process died
    process.join()
    if found == "no mount":
        pytest.skip("this system lets no test mount a disk")
    assert found == "resumed"


def test_a_dead_worker(tmp_path: Path) -> None:
    process = start(
        tmp_path, *SHORT, "data.workers=2", "+callbacks.kill={_target_:tests.invariants.victims.KillWorkers}"
    )
    process.join(30)
    assert process.exitcode == 2
    (log,) = tmp_path.glob("runs/digits/*/log.txt")
    assert "a data loading worker died" in log.read_text()


def test_a_loss_that_is_not_finite() -> None:
    config = sightseq.compose(*SHORT, "optimizer=sgd", "model.optimizer.lr=1e30", "scheduler=none", "precision=32")
    with pytest.raises(
        SightseqError, match=r"the loss became (nan|inf) in epoch 1 at step \d+ .*lower model.optimizer.lr"
    ):
        sightseq.train(config)


def test_two_processes_prepare_the_same_data(tmp_path: Path) -> None:
    barrier = SERVER.Barrier(2)
    both = [SERVER.Process(target=victims.prepare, args=(tmp_path, barrier)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "processed").read_text() == "once\n"
