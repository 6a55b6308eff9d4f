"""Builds the Lightning Trainer of a run: checks its arguments, and sets what callbacks monitor and where they write."""

import math
import os
import shutil
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    LearningRateFinder,
    ModelCheckpoint,
    ProgressBar,
    WeightAveraging,
)
from lightning.pytorch.strategies import FSDPStrategy

from sightseq.core.build import build, find_class, parameters
from sightseq.core.callbacks import AtomicCheckpointIO, CheckpointMetadata, History, Reseed, StopOnNaN
from sightseq.core.cluster import check_processes
from sightseq.core.datamodule import DataModule
from sightseq.core.environment import hide_missing_gpus, keep_freed_memory, versions
from sightseq.core.errors import ConfigError
from sightseq.core.metering import Meter
from sightseq.core.rundir import Config
from sightseq.core.task import Task
from sightseq.core.tracking import make_loggers

REFUSED_ARGUMENTS = {
    "precision": "write precision=, without trainer",
    "logger": "write logger=wandb, tensorboard, mlflow or csv, without trainer",
    "callbacks": "write +callbacks.NAME._target_=CLASS, without trainer",
    "plugins": "plugins are objects; build your own Trainer in Python",
    "model_registry": "checkpoints stay in the run directory; logger=wandb uploads them",
    "default_root_dir": "write paths.runs=FOLDER",
    "use_distributed_sampler": "the sampler already divides the samples between processes",
    "overfit_batches": "write debug=overfit, which trains on one batch without augmentation",
    "limit_predict_batches": "training does not predict; sightseq predict does",
    "barebones": "it would disable checkpoints and metrics; sightseq bench measures a bare loop",
}
"""Arguments of the Trainer that a run sets itself or cannot use, each with the alternative."""
POSITIVE_ARGUMENTS = {
    "accumulate_grad_batches": "it counts the batches of an optimizer step",
    "gradient_clip_val": "it is the maximum norm of all gradients; null turns clipping off",
    "limit_train_batches": "a run needs training batches",
    "limit_val_batches": "a run needs a validation; +trainer.limit_val_batches=1 uses one batch",
    "limit_test_batches": "run_test=false skips the test",
    "check_val_every_n_epoch": "a run needs a validation",
    "val_check_interval": "a run needs a validation",
    "log_every_n_steps": "it counts optimizer steps",
}
"""Arguments that must be above 0 where they are given, each with the reason."""
EVALUATION = (
    "accelerator",
    "devices",
    "num_nodes",
    "limit_val_batches",
    "limit_test_batches",
    "inference_mode",
)


def check_trainer(settings: Config) -> None:
    """Refuse arguments of the Trainer that would fail later, have no effect, or let the training never end.

    Raises:
        ConfigError: names the argument and the alternative.
    """
    for name, remedy in REFUSED_ARGUMENTS.items():
        if settings.get(name) is not None:
            raise ConfigError(f"trainer.{name}: a run sets this itself; {remedy}")
    for name, reason in POSITIVE_ARGUMENTS.items():
        value = settings.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
            raise ConfigError(f"trainer.{name}={value} is not above 0: {reason}")
    if 0 in (settings.get("max_epochs"), settings.get("max_steps")):
        raise ConfigError(
            "trainer.max_epochs and trainer.max_steps: 0 trains nothing; sightseq test scores a checkpoint"
        )
    if settings.get("enable_checkpointing") is False:
        raise ConfigError(
            "trainer.enable_checkpointing=false: a run needs checkpoints to score the best epoch and to resume; "
            "debug=one_batch takes only seconds"
        )
    if settings.get("fast_dev_run"):
        raise ConfigError("trainer.fast_dev_run: it would save no checkpoint to score; write debug=one_batch")
    if endless(settings):
        raise ConfigError(
            "the training would never end: give trainer.max_epochs, +trainer.max_steps, or trainer.max_time=DD:HH:MM:SS"
        )


def endless(settings: Config) -> bool:
    """Return whether neither epochs, nor steps, nor time limit the training."""
    return unknown_length(settings) and not settings.get("max_time")


def unknown_length(settings: Config) -> bool:
    """Return whether the number of optimizer steps is unknown before the training."""
    return settings.get("max_epochs") in (None, -1) and settings.get("max_steps", -1) in (None, -1)


def make_trainer(config: Config, folder: Path, precision: str, task: Task) -> Trainer:
    """Build the Trainer of the config, with the callbacks of the config and those of every run.

    Raises:
        ConfigError: an argument of the Trainer or a callback is refused.
    """
    keep_freed_memory()
    hide_missing_gpus()
    settings = dict(config["trainer"])
    if unknown_length(settings):
        settings["max_epochs"] = -1  # Lightning takes null as 1,000 epochs
    callbacks = [
        Reseed(config["seed"]),
        StopOnNaN(),
        CheckpointMetadata({"config": config, "versions": versions()}),
        History(folder / "metrics.csv"),  # before the checkpoint callbacks, so that a checkpoint never lacks its row
        *([Meter(config, folder)] if config["logger"] else []),
        *make_callbacks(config, folder / "checkpoints", task),
    ]
    trainer = build(
        {"enable_model_summary": False, **settings},
        Trainer,
        "trainer",
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO(), *cluster_plugins()],
        logger=make_loggers(config, folder),
        precision=precision,
        default_root_dir=str(folder),
        use_distributed_sampler=False,  # our sampler divides the samples between processes
    )
    check_processes(trainer.world_size)
    if sharded(trainer) and any(isinstance(one, WeightAveraging) for one in callbacks):
        raise ConfigError("callbacks: ema and swa need the whole weights in each process: use trainer=ddp, not fsdp")
    return trainer


def sharded(trainer: Trainer) -> bool:
    """Return whether each process of the training has only a part of the weights."""
    return isinstance(trainer.strategy, FSDPStrategy)


def cluster_plugins() -> list[Any]:
    """Return SLURM's environment in a job of srun, without Lightning's requeueing.

    Lightning would save a checkpoint of its own within the signal handler, in the middle of a step; `ResumeCheckpoint`
    saves after the step.

    Raises:
        ConfigError: the job's settings are contradictory.
    """
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    try:
        return [SLURMEnvironment(auto_requeue=False)]
    except RuntimeError as error:
        raise ConfigError(f"SLURM: {' '.join(str(error).split())}") from error


def make_callbacks(config: Config, checkpoints: Path, task: Task) -> list[Callback]:
    """Build the callbacks of the config.

    A callback with a monitor gets the task's monitor by default, and always the direction of its monitored score.

    Raises:
        ConfigError: a callback is refused, or monitors a score that the task does not have.
    """
    callbacks = []
    for name, settings in config["callbacks"].items():
        if not settings:
            continue
        key = f"callbacks.{name}"
        kind = find_class(settings.get("_target_"), Callback, key)
        if issubclass(kind, ProgressBar) and config["trainer"].get("enable_progress_bar") is False:
            continue
        arguments, extra = dict(settings), {"dirpath": str(checkpoints)}
        if {"monitor", "mode"} <= parameters(kind).keys():
            arguments.setdefault("monitor", task.monitor)
            if arguments["monitor"] is not None:
                extra["mode"] = "max" if task.scoreboard.monitored(arguments["monitor"]).higher_is_better else "min"
        if issubclass(kind, ModelCheckpoint):
            arguments["filename"] = distinct(arguments.get("filename") or "best", arguments.get("save_top_k", 1))
        if issubclass(kind, (LearningRateFinder, BatchSizeFinder)):
            raise ConfigError(f"{key}: a resumed run would search again; write tune=lr or tune=batch_size")
        callbacks.append(build(arguments, Callback, key, **extra))
    if sum(isinstance(one, WeightAveraging) for one in callbacks) > 1:
        raise ConfigError("callbacks: ema and swa both average the weights; choose one")
    return callbacks


def distinct(filename: str, save_top_k: int) -> str:
    """Return a file name that differs between checkpoints if several are kept, so that none replaces another."""
    return filename if save_top_k in (0, 1) or "{" in filename else f"{filename}-{{epoch}}-{{step}}"


def best_checkpoint(trainer: Trainer) -> tuple[Path | None, str | None]:
    """Return the best checkpoint of the first ModelCheckpoint of a training, and the score that it monitors.

    Returns:
        Both None without a ModelCheckpoint, or if it has saved nothing: then the last weights are scored.
    """
    callback = next((c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)), None)
    if callback is None or not callback.best_model_path:
        return None, None
    path = Path(callback.best_model_path)
    if not path.exists():  # the run directory was moved, and the training was resumed there
        path = Path(str(callback.dirpath)) / path.name
    return (path, callback.monitor) if path.exists() else (None, None)


def pruned_epoch(trainer: Trainer) -> int | None:
    """Return the epoch, counted from 1, after which a search ended the training; None if it did not."""
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    return next((callback.pruned for callback in callbacks if hasattr(callback, "pruned")), None)


def link_checkpoint(path: Path, name: Path) -> None:
    """Give the checkpoint at `path` a second name, by a hard link, or by a copy if the disk has no hard links."""
    if path == name:
        return
    part = name.with_name(f".{name.name}.part")
    try:
        os.link(path, part)
    except OSError:
        shutil.copyfile(path, part)
    os.replace(part, name)


def make_evaluator(config: Config) -> Trainer:
    """Build a Trainer for validation and test: 32 bits, no loggers, the whole weights in each process."""
    settings: dict[str, Any] = {name: value for name, value in config["trainer"].items() if name in EVALUATION}
    return Trainer(
        **settings,
        precision="32-true",
        plugins=cluster_plugins(),
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )


def count_steps(trainer: Trainer, data: DataModule) -> float:
    """Return the optimizer steps of the whole training, for schedules; infinite if only time limits it.

    Lightning's own `estimated_stepping_batches` would create the loaders early, and a resume would lose their state.
    """
    batches = len(data.batch_sampler("train", world=trainer.world_size))
    limit = trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    epochs = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    steps = math.ceil(batches / trainer.accumulate_grad_batches) * epochs
    return steps if trainer.max_steps < 0 else min(steps, trainer.max_steps)
