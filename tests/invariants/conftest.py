"""Shared helpers: one trained run, and training processes that a test can kill."""

import multiprocessing
import os
from functools import cache
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from sightseq.catalogue import read
from sightseq.core.build import find_class
from sightseq.core.checkpoint import read_checkpoint
from sightseq.core.places import group_options
from sightseq.core.task import Task

from . import victims

# The server imports everything once and forks the other processes: importing Lightning takes ten seconds.
# PyArrow's allocator would start a thread in each of them, and a process with threads cannot mount a disk.
os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "tests.invariants.victims",
        "sightseq.core.report",
        "sightseq.tasks.classification.images",
        "sightseq.tasks.language_modeling.task",
        "wandb",
    ]
)


@cache
def task_classes() -> dict[str, type[Task]]:
    """The task class of each option of conf/model/."""
    targets = {option: read(file)["_target_"] for option, file in group_options("model").items()}
    return {option: find_class(target, Task, "model") for option, target in targets.items()}


def learns_by_gradients(cls: type[Task]) -> bool:
    """Whether a task learns from a batch alone; others need `prepare_training` first, and have tests of their own."""
    return cls.prepare_training is Task.prepare_training


def preset(option: str) -> bool:
    """Whether an option of model/net is a preset: another option with different settings."""
    return "defaults:" in group_options("model/net")[option].read_text()


def bricks(kind: str) -> list[str]:
    """The options of model/net of one kind, without presets."""
    return [o for o in group_options("model/net") if o.startswith(f"{kind}/") and not preset(o)]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a short training on the digits."""
    import sightseq

    folder = tmp_path_factory.mktemp("trained")
    paths = [f"paths.{name}={folder / name}" for name in ("data", "cache", "runs")]
    config = sightseq.compose("trainer.max_epochs=2", "name=trained", *paths)
    return Path(sightseq.train(config | {"run_test": True})["folder"])


def start(folder: Path, *overrides: str, **options: Any) -> ForkServerProcess:
    """Start `sightseq train resume=auto OVERRIDES` with all files below `folder`; see victims.train for the options."""
    folder.mkdir(exist_ok=True)
    process = SERVER.Process(
        target=victims.train, args=(folder, "baseline=none", "trust=[tests]", *overrides), kwargs=options
    )
    process.start()
    return process


def only_run(folder: Path) -> Path:
    """The only run directory below `folder` that contains a last checkpoint."""
    (run,) = (path.parents[1] for path in folder.glob("runs/*/*/checkpoints/last.ckpt"))
    return run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The averaged weights and the raw weights (`raw.*`) of a run's last checkpoint."""
    content = read_checkpoint(only_run(folder) / "checkpoints" / "last.ckpt")
    return {**content["state_dict"], **{f"raw.{k}": v for k, v in content["current_model_state"].items()}}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
