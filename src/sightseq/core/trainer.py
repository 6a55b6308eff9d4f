"""The Lightning Trainer of a run: its arguments checked, its callbacks told what they monitor and where they write."""

import math
import os
import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar

from sightseq.core.build import build, find_class, parameters
from sightseq.core.callbacks import AtomicCheckpointIO, CheckpointMetadata, History, Reseed, StopOnNaN
from sightseq.core.datamodule import DataModule
from sightseq.core.environment import hide_missing_gpus, keep_freed_memory, versions
from sightseq.core.errors import ConfigError
from sightseq.core.rundir import Config
from sightseq.core.task import Task
from sightseq.core.tracking import make_loggers

REFUSED = {
    "precision": "write precision=, without trainer",
    "logger": "write logger=wandb or logger=tensorboard, without trainer",
    "callbacks": "write +callbacks.NAME._target_=CLASS, without trainer",
    "plugins": "they are objects; build a Trainer of your own in Python",
    "model_registry": "checkpoints stay in the run directory; logger=wandb uploads them",
    "default_root_dir": "write paths.runs=FOLDER",
    "use_distributed_sampler": "the order of samples knows the number of processes already",
    "overfit_batches": "write debug=overfit, which repeats one batch without augmentation",
    "limit_predict_batches": "a training predicts nothing; sightseq predict does",
    "barebones": "it would leave out checkpoints and metrics; sightseq bench measures a bare loop",
}
"""Arguments of the Trainer that a run sets itself or cannot use, each with what to write instead."""
POSITIVE = {
    "accumulate_grad_batches": "it counts the batches of an optimizer step",
    "gradient_clip_val": "it is the largest norm of all gradients; null clips nothing",
    "limit_train_batches": "a run trains",
    "limit_val_batches": "a run is judged by its validation; +trainer.limit_val_batches=1 takes one batch",
    "limit_test_batches": "run_test=false leaves the test out",
    "check_val_every_n_epoch": "a run is judged by its validation",
    "val_check_interval": "a run is judged by its validation",
    "log_every_n_steps": "it counts optimizer steps",
}
"""Arguments that must be above 0 where they are given, each with the reason."""
EVALUATION = (
    "accelerator",
    "devices",
    "num_nodes",
    "strategy",
    "limit_val_batches",
    "limit_test_batches",
    "inference_mode",
)


def check_trainer(settings: Config) -> None:
    """Refuses arguments of the Trainer that would fail later, change nothing, or never let the training end.

    Raises:
        ConfigError: names the argument and what to write instead.
    """
    for name, remedy in REFUSED.items():
        if settings.get(name) is not None:
            raise ConfigError(f"trainer.{name}: a run sets this itself; {remedy}")
    for name, reason in POSITIVE.items():
        value = settings.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
            raise ConfigError(f"trainer.{name}={value} is not above 0: {reason}")
    if 0 in (settings.get("max_epochs"), settings.get("max_steps")):
        raise ConfigError(
            "trainer.max_epochs and trainer.max_steps: 0 trains nothing; sightseq test scores a checkpoint"
        )
    if settings.get("enable_checkpointing") is False:
        raise ConfigError(
            "trainer.enable_checkpointing=false: the best epoch is scored, and a run is resumed, from checkpoints; "
            "debug=one_batch is over in seconds"
        )
    if settings.get("fast_dev_run"):
        raise ConfigError("trainer.fast_dev_run: it would keep no checkpoint to score; write debug=one_batch")
    if endless(settings):
        raise ConfigError(
            "the training would never end: give trainer.max_epochs, +trainer.max_steps, or trainer.max_time=DD:HH:MM:SS"
        )


def endless(settings: Config) -> bool:
    """Whether neither epochs, nor steps, nor time end the training."""
    return unknown_length(settings) and not settings.get("max_time")


def unknown_length(settings: Config) -> bool:
    """Whether the number of optimizer steps is not known before the training."""
    return settings.get("max_epochs") in (None, -1) and settings.get("max_steps", -1) in (None, -1)


def make_trainer(config: Config, folder: Path, precision: str, task: Task) -> Trainer:
    """The Trainer of the config, with the callbacks of the config and those that every run has.

    Raises:
        ConfigError: an argument of the Trainer or a callback is refused.
    """
    keep_freed_memory()
    hide_missing_gpus()
    settings = dict(config["trainer"])
    if unknown_length(settings):
        settings["max_epochs"] = -1  # or Lightning takes a null for 1,000 epochs
    callbacks = [
        Reseed(config["seed"]),
        StopOnNaN(),
        CheckpointMetadata({"config": config, "versions": versions()}),
        History(folder / "metrics.csv"),  # before the checkpoints, which then know that it was written
        *make_callbacks(config, folder / "checkpoints", task),
    ]
    return build(
        {"enable_model_summary": False, **settings},
        Trainer,
        "trainer",
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        logger=make_loggers(config, folder),
        precision=precision,
        default_root_dir=str(folder),
        use_distributed_sampler=False,  # our own order knows of the processes
    )


def make_callbacks(config: Config, checkpoints: Path, task: Task) -> list[Callback]:
    """The callbacks of the config. One that monitors gets the task's monitor, and the direction of what it monitors.

    Raises:
        ConfigError: one is refused, or monitors a score that the task does not have.
    """
    found = []
    for name, brick in config["callbacks"].items():
        if not brick:
            continue
        key = f"callbacks.{name}"
        kind = find_class(brick.get("_target_"), Callback, key)
        if issubclass(kind, ProgressBar) and config["trainer"].get("enable_progress_bar") is False:
            continue
        brick, extra = dict(brick), {"dirpath": str(checkpoints)}
        if {"monitor", "mode"} <= parameters(kind).keys():
            brick.setdefault("monitor", task.monitor)
            if brick["monitor"] is not None:
                extra["mode"] = "max" if task.scoreboard.monitored(brick["monitor"]).higher_is_better else "min"
        if issubclass(kind, ModelCheckpoint):
            brick["filename"] = distinct(brick.get("filename") or "best", brick.get("save_top_k", 1))
        found.append(build(brick, Callback, key, **extra))
    return found


def distinct(filename: str, save_top_k: int) -> str:
    """A file name that differs between checkpoints where several are kept, or each would replace the last."""
    return filename if save_top_k in (0, 1) or "{" in filename else f"{filename}-{{epoch}}-{{step}}"


def best_checkpoint(trainer: Trainer) -> tuple[Path | None, str | None]:
    """The file that the first ModelCheckpoint of a training holds best, and what that monitors.

    Returns:
        None without a ModelCheckpoint, or when it has kept nothing: then the last weights are those to score.
    """
    callback = next((c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)), None)
    if callback is None or not callback.best_model_path:
        return None, None
    path = Path(callback.best_model_path)
    if not path.exists():  # the run directory was moved, and the training resumed there
        path = Path(str(callback.dirpath)) / path.name
    return (path, callback.monitor) if path.exists() else (None, None)


def link_checkpoint(path: Path, name: Path) -> None:
    """Gives the checkpoint at `path` a second name; where the disk has no hard links, makes a copy."""
    if path == name:
        return
    part = name.with_name(f".{name.name}.part")
    try:
        os.link(path, part)
    except OSError:
        shutil.copyfile(path, part)
    os.replace(part, name)


def make_evaluator(config: Config) -> Trainer:
    """A Trainer for validation and test: 32 bits, no loggers."""
    settings: dict[str, Any] = {name: value for name, value in config["trainer"].items() if name in EVALUATION}
    return Trainer(
        **settings,
        precision="32-true",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )


def count_steps(trainer: Trainer, data: DataModule) -> float:
    """Optimizer steps of the whole training, for schedules; infinite when only time ends it.

    Lightning's own `estimated_stepping_batches` would make the loaders early, and resume would lose their state.
    """
    batches = len(data.batch_sampler("train", world=trainer.world_size))
    limit = trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    epochs = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    steps = math.ceil(batches / trainer.accumulate_grad_batches) * epochs
    return steps if trainer.max_steps < 0 else min(steps, trainer.max_steps)
