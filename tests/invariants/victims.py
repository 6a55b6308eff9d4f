"""Callbacks and functions that run in the child processes of the fault tests."""

import contextlib
import ctypes
import io
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import psutil
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import sightseq
from sightseq import cli, run
from sightseq.core import report, resume, rundir
from sightseq.core.build import build
from sightseq.core.checkpoint import read_checkpoint
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import DiskError
from tests.unit.test_classification import make, random_batch


class Mark(Callback):
    """Creates a file when the training reaches a step.

    Args:
        path: of the file.
        step: the global step.
    """

    def __init__(self, path: str, step: int) -> None:
        self.path, self.step = Path(path), step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            self.path.touch()


class EndOfTime(Callback):
    """Sends its own process SIGUSR1 twice at a step of a training that is not resumed: SLURM's, and that of `uv run`.

    Args:
        step: the global step.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step and trainer.ckpt_path is None:
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR1)


class Kill(Callback):
    """Sends SIGKILL to its own process, once at each of the given places.

    Args:
        places: "epoch:batch", both counted from 0.
        marks: folder with a file for each place already used.
    """

    def __init__(self, places: list[str], marks: str) -> None:
        self.places, self.marks = places, Path(marks)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        place = f"{trainer.current_epoch}:{batch_idx}"
        if place in self.places and not (self.marks / place).exists():
            (self.marks / place).touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Started(Callback):
    """Creates a file when a training starts or resumes.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.path.touch()


class Fill(Callback):
    """Fills the disk after the first epoch and its checkpoint; 16 KiB are left, enough only for metrics.csv.

    Args:
        path: of the file that fills the disk.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1 and trainer.ckpt_path is None:  # not in a resumed training
            with contextlib.suppress(OSError), self.path.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            os.truncate(self.path, self.path.stat().st_size - 2**14)


class KillWorkers(Callback):
    """Kills the data loading workers at the second step."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == 1:
            for child in psutil.Process().children():
                os.kill(child.pid, signal.SIGKILL)


def train(folder: Path, *overrides: str, slowly: bool = False) -> None:
    """Run `sightseq train resume=auto OVERRIDES` with all files below `folder`.

    Args:
        folder: for all files.
        overrides: of the config.
        slowly: write each checkpoint in two halves, 0.05 s apart.
    """
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # workers are forked directly from this process
    os.chdir(folder)
    if slowly:
        save = torch.save

        def save_slowly(content: Any, file: BinaryIO) -> None:
            buffer = io.BytesIO()
            save(content, buffer)
            half = buffer.tell() // 2
            file.write(buffer.getvalue()[:half])
            file.flush()
            time.sleep(0.05)
            file.write(buffer.getvalue()[half:])

        torch.save = save_slowly  # type: ignore[assignment]  # only in this process
    report.write_report = lambda folder, *_: folder / "report.html"  # drawing it takes longer than the training
    config = sightseq.compose("resume=auto", *overrides, *paths(folder)) | {"run_test": False}
    sys.argv[1:] = [str(resume.create_or_resume(config, "sightseq train"))]
    run.main()


def run_job(folder: str) -> None:
    """Run one job of a sweep: `python -m sightseq.run FOLDER`."""
    torch.set_num_threads(1)
    sys.argv[1:] = [folder]
    run.main()


def type_command(folder: Path, arguments: list[str], environment: dict[str, str]) -> None:
    """Run `sightseq train ARGUMENTS` with all files below `folder`, as one process of a launcher."""
    torch.set_num_threads(1)
    os.environ |= environment
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    report.write_report = lambda folder, *_: folder / "report.html"

    def run_in_process(_: str, command: list[str]) -> None:
        sys.argv = command[2:]
        run.main()

    os.execv = run_in_process  # type: ignore[assignment]  # only in this process
    sys.argv = ["sightseq", "train", *arguments, *paths(folder)]
    cli.main()


def torchrun(folder: Path, arguments: list[str]) -> None:
    """Run `torchrun --standalone --nproc-per-node=2 -m sightseq train ARGUMENTS`, whose workers are forked."""
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id="none",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="fork",
        monitor_interval=0.1,
    )
    elastic_launch(settings, type_command)(folder, arguments, {})


def fill_disk(folder: Path, overrides: tuple[str, ...], sender: Any) -> None:
    """Train on a disk of 4 MiB below `folder` that becomes full, and resume after it has space again.

    Sends "resumed", "no mount" if no disk can be mounted, or what went wrong.
    """
    try:
        mount(folder / "runs")
    except OSError:
        sender.send("no mount")
        return
    torch.set_num_threads(1)  # starts threads, after which no disk can be mounted
    filler, cache = folder / "runs" / "filler", folder / "runs" / "cache"
    try:
        fill = f"+callbacks.fill={{_target_:tests.invariants.victims.Fill,path:'{filler}'}}"
        assert ".ckpt cannot be written" in refusal(*overrides, *paths(folder), fill)
        (last,) = folder.glob("runs/digits/*/checkpoints/last.ckpt")
        assert read_checkpoint(last)["epoch"] == 0
        refusal(*overrides, *paths(folder), f"paths.cache={cache}", f"paths.runs={folder}")
        assert not [path for path in cache.glob("digits/*") if path.is_dir()], "half a cache"
        filler.unlink()
        assert run.execute(rundir.read_config(last.parents[1]), last.parents[1])["epochs"] == 3
    except Exception:  # the test shows it
        sender.send(traceback.format_exc())
    else:
        sender.send("resumed")


def refusal(*overrides: str) -> str:
    """Return the message of a training that ends because the disk is full."""
    with pytest.raises(DiskError, match="No space left on device") as caught:
        sightseq.train(sightseq.compose(*overrides))
    return str(caught.value)


def mount(folder: Path) -> None:
    """Mount an empty disk of 4 MiB that only this process sees.

    Raises:
        OSError: the system does not allow it.
    """
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    if libc.unshare(0x10000000 | 0x00020000):  # CLONE_NEWUSER, CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    if libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=4m"):
        raise OSError(ctypes.get_errno(), "mount")


def prepare(folder: Path, barrier: Any) -> None:
    """Prepare one dataset at the same time as other processes; write a line if this process reads the files."""
    config = sightseq.compose("data.synthetic=true", *paths(folder))["data"]
    data = build(config, DataModule, "data")
    process = data.process

    def logged_process(sources: list[Path], building: Path) -> None:
        with (folder / "processed").open("a") as file:
            file.write("once\n")
        time.sleep(0.5)
        process(sources, building)

    data.process = logged_process  # type: ignore[method-assign]  # only for this object
    barrier.wait()
    data.prepare_data()


def paths(folder: Path) -> list[str]:
    """Overrides that put all paths below one folder."""
    return [f"paths.{name}={folder / name}" for name in ("data", "cache", "runs")]


def score_half(folder: Path, rank: int) -> None:
    """Score every second of 300 samples as one of two processes; save what its report and checkpoint contain."""
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    task, batch = make(), {name: value[rank::2] for name, value in random_batch(300).items()}
    for stage in ("train", "val"):
        output = task.step(batch, stage)
        task.scoreboard.update(stage, output)
    task.collect_examples(batch, output)
    checkpoint: dict[str, Any] = {}
    task.on_save_checkpoint(checkpoint)
    resumed = make()
    resumed._trainer = SimpleNamespace(is_global_zero=rank == 0)  # type: ignore[assignment]  # a partial Trainer
    resumed.on_load_checkpoint(checkpoint)
    (figure,) = (block.figure for block in task.blocks("val") if block.title == "Calibration")
    found = {
        "count": resumed.scoreboard.metrics("train")["loss"].count.item(),
        "accuracy": resumed.scoreboard.metrics("train")["accuracy"].compute().item(),
        "in the figure": int(sum(bar.get_height() for bar in figure.axes[1].patches)) if figure else 0,
        "shown": task._random.rows()["index"].tolist(),
    }
    (folder / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()
