"""Callbacks and functions that run in the child processes of the fault tests."""

import contextlib
import io
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import psutil
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

import sightseq
from sightseq import run
from sightseq.core import resume
from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
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
    config = sightseq.compose("resume=auto", *overrides, *paths(folder)) | {"run_test": False}
    sys.argv[1:] = [str(resume.create_or_resume(config, "sightseq train"))]
    run.main()


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
