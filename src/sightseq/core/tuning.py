"""Searches the batch size and the learning rate before a training: `tune=batch_size`, `tune=lr` or both.

The searches are those of Lightning's Tuner. They run on a task and data of their own, which are thrown away: a training
after a search equals, to the last bit, one whose config has the values that were found.
"""

import contextlib
import functools
import io
import math
import operator
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.tuner.tuning import Tuner
from matplotlib.figure import Figure
from torch.optim import Optimizer

from sightseq.core.blocks import DPI
from sightseq.core.datamodule import DataModule
from sightseq.core.environment import peak_memory
from sightseq.core.errors import ConfigError
from sightseq.core.frozen import precompute
from sightseq.core.loading import Batch
from sightseq.core.optimization import peak_rate
from sightseq.core.rundir import Config, write_config
from sightseq.core.task import Task
from sightseq.core.tuning_plots import plot_batch_sizes, plot_learning_rates

MIN_LR, MAX_LR, LR_STEPS = 1e-8, 1.0, 100  # Lightning's defaults
NEIGHBOURS = 3  # steps before and after each step that its smoothed loss averages
SMALLEST_FALL = 0.05  # of the loss, relative to its first value; less is noise
MOST_SAMPLES = 8192  # per batch
TRAINER = (
    "accelerator",
    "devices",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "limit_train_batches",
    "deterministic",
)
"""Arguments of the run's Trainer that a search uses too."""


def tune(
    config: Config,
    folder: Path,
    precision: str,
    prepare: Callable[[], DataModule],
    initialise: Callable[[DataModule], Task],
) -> None:
    """Search the values that `tune` names; write them into the config, the run's config.yaml and its figures.

    Args:
        config: of the run. It gets `tuned`: for each key its value `before` and `found`. Such a config is not searched
            again.
        folder: the run directory.
        precision: Lightning's name of it.
        prepare: returns the prepared data of the config.
        initialise: returns the task of the config, with its initial weights.

    Raises:
        ConfigError: a search is not possible, or finds nothing.
    """
    wanted = [config["tune"]] if isinstance(config["tune"], str) else config["tune"]
    check_devices(config["trainer"])
    tuned: dict[str, dict[str, Any]] = {}
    # The batch size first: the learning rate depends on it.
    for name, search in (("batch_size", find_batch_size), ("lr", find_learning_rate)):
        if name not in wanted:
            continue
        data = prepare()
        task = initialise(data)
        check_task(task, name)
        trainer = searching_trainer(config["trainer"], folder, precision)
        task.total_steps = LR_STEPS
        precompute(task, data, trainer.strategy.root_device)
        task.prepare_training(data.dataset("train"))
        try:
            found, figure = search(Tuner(trainer), task, data)
        except MisconfigurationException as error:
            raise ConfigError(f"tune={name}: {' '.join(str(error).split())}") from error
        for key, value in found_values(config, name, found).items():
            *groups, last = key.split(".")
            group = functools.reduce(operator.getitem, groups, config)
            tuned[key] = {"before": group[last], "found": value}
            group[last] = value
        (folder / "figures").mkdir(exist_ok=True)
        figure.savefig(folder / "figures" / f"tune_{name}.png", dpi=DPI)
    config["tuned"] = tuned
    write_config(folder, config)


def found_values(config: Config, name: str, found: float) -> dict[str, Any]:
    """Return the config keys that a found value changes; a schedule's `max_lr` keeps its ratio to the learning rate."""
    if name == "batch_size":
        return {"data.batch_size": int(found)}
    before, schedule = config["model"]["optimizer"]["lr"], config["model"].get("scheduler") or {}
    peak = {"model.scheduler.max_lr": found * (schedule["max_lr"] / before)} if "max_lr" in schedule else {}
    return {"model.optimizer.lr": found, **peak}


def check_devices(settings: Config) -> None:
    """Check that the training has one process.

    Raises:
        ConfigError: it has several, or takes all devices.
    """
    if settings.get("devices") not in (1, "1") or settings.get("num_nodes", 1) != 1:
        raise ConfigError(
            f"tune searches on one device, not on trainer.devices={settings.get('devices')}: run it with "
            "trainer.devices=1, then type the values found"
        )


def check_task(task: Task, name: str) -> None:
    """Check that a search makes sense for a task.

    Raises:
        ConfigError: it does not.
    """
    kind = type(task).__name__
    if not task.automatic_optimization:
        raise ConfigError(f"tune={name}: {kind} takes its optimizer steps itself")
    if name == "lr" and type(task).prepare_training is not Task.prepare_training:
        raise ConfigError(f"tune=lr: the training loss of {kind} is not what its gradients minimise; set the rate")
    if name == "lr" and "lr" not in (task.optimizer or {}):
        raise ConfigError("tune=lr: model.optimizer has no lr")


def find_learning_rate(tuner: Tuner, task: Task, data: DataModule) -> tuple[float, Figure]:
    """Train 100 steps with a growing learning rate; choose the one where the loss falls fastest (Smith, 2017).

    Parameter groups keep the ratios of their learning rates. See arXiv 1506.01186.

    Raises:
        ConfigError: the loss does not fall.
    """
    configure = task.configure_optimizers

    def configure_with_ratios() -> Any:
        configured = configure()
        keep_ratios(configured["optimizer"] if isinstance(configured, dict) else configured)
        return configured

    task.configure_optimizers = configure_with_ratios  # type: ignore[method-assign]  # of a task that is thrown away
    step, batches = task.training_step, tuner._trainer.accumulate_grad_batches
    raw: list[float] = []

    def training_step(batch: Batch, batch_idx: int) -> torch.Tensor:
        loss = step(batch, batch_idx)
        if (batch_idx + 1) % batches == 0:  # Lightning records the learning rates of these batches
            raw.append(loss.item())
        return loss

    task.training_step = training_step  # type: ignore[method-assign]
    with quiet():
        finder: Any = tuner.lr_find(task, datamodule=data, update_attr=False, min_lr=MIN_LR, max_lr=MAX_LR)
    # Lightning's own losses are averages that are too small at the first steps and lag behind at the others.
    rates, losses = finder.results["lr"], smoothed(raw)
    chosen = steepest(rates, losses)
    if chosen is None:
        raise ConfigError(
            f"tune=lr: no learning rate from {MIN_LR:g} to {MAX_LR:g} lowers the training loss within {LR_STEPS} "
            "steps; set model.optimizer.lr"
        )
    rate = float(f"{rates[chosen]:.2g}")
    return rate, plot_learning_rates(rates, losses, rate)


def keep_ratios(optimizer: Optimizer) -> None:
    """Let each step use the learning rate times the ratio of the parameter group: the search sets one rate for all."""
    base = optimizer.defaults["lr"]
    ratios = [peak_rate(group) / base for group in optimizer.param_groups]

    def scale(optimizer: Optimizer, *_: Any) -> None:
        for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
            group["lr"] *= ratio

    def restore(optimizer: Optimizer, *_: Any) -> None:
        for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
            group["lr"] /= ratio

    optimizer.register_step_pre_hook(scale)
    optimizer.register_step_post_hook(restore)


def smoothed(losses: Sequence[float]) -> list[float]:
    """Return the mean of each loss and its neighbours; as many values."""
    windows = (losses[max(0, i - NEIGHBOURS) : i + NEIGHBOURS + 1] for i in range(len(losses)))
    return [sum(window) / len(window) for window in windows]


def steepest(rates: Sequence[float], losses: Sequence[float]) -> int | None:
    """Return the index at which the loss falls fastest with the logarithm of the learning rate; None if it never falls.

    Lightning's own suggestion, since 2.5.3, is the steepest fall with the rate itself, which noise at the smallest
    rates decides (its issue 21141).
    """
    end = min(range(len(losses)), key=lambda i: losses[i] if math.isfinite(losses[i]) else math.inf, default=0)
    if not end or not losses[end] < losses[0] - SMALLEST_FALL * abs(losses[0]):
        return None
    slope = torch.gradient(torch.tensor(losses[: end + 1]), spacing=(torch.tensor(rates[: end + 1]).log(),))[0]
    return int(slope.argmin())


def find_batch_size(tuner: Tuner, task: Task, data: DataModule) -> tuple[int, Figure]:
    """Double the batch size until memory is full, all samples are in one batch, or it is 8,192; return the last fit.

    On a CPU, memory is full when a training needs half of what was free.

    Raises:
        ConfigError: the search would start above its limit, or one sample does not fit.
    """
    if data.batch_size > MOST_SAMPLES // 2:
        raise ConfigError(f"tune=batch_size doubles data.batch_size up to {MOST_SAMPLES}; start with a smaller one")
    speeds: dict[int, float] = {}
    task.training_step = measured(task, data, speeds)  # type: ignore[method-assign]  # of a task that is thrown away
    try:
        with quiet():
            size: Any = tuner.scale_batch_size(task, datamodule=data, init_val=data.batch_size, max_val=MOST_SAMPLES)
    except ZeroDivisionError as error:  # Lightning has halved a batch of 1
        raise ConfigError("tune=batch_size: there is not enough memory for one sample") from error
    size = min(size, len(data.dataset("train")))
    return size, plot_batch_sizes(speeds, size)


def measured(task: Task, data: DataModule, speeds: dict[int, float]) -> Callable[..., Any]:
    """Return the training step of a task, which measures the units per second of each batch size in `speeds`.

    On a CPU it also raises the error of full memory, before the operating system ends the process.
    """
    step, start, free = task.training_step, peak_memory(), psutil.virtual_memory().available / 2**20
    previous: dict[str, Any] = {}

    def training_step(batch: Batch, batch_idx: int) -> Any:
        if task.device.type == "cpu":
            if 2 * (peak_memory() - start) > free:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")  # as torch says it, for Lightning
        else:
            getattr(torch, task.device.type).synchronize()
        now, size = time.monotonic(), data.batch_size
        if batch_idx and previous["size"] == size:
            speed = previous["units"] / (now - previous["began"])
            speeds[size] = max(speed, speeds.get(size, 0.0))
        previous.update(size=size, units=task.size(batch), began=now)
        return step(batch, batch_idx)

    return training_step


def quiet() -> contextlib.AbstractContextManager[Any]:
    """Return a context that hides Lightning's progress bar if there is no terminal."""
    return contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())


def searching_trainer(settings: Config, folder: Path, precision: str) -> Trainer:
    """Return a Trainer that only trains: without validation, callbacks and loggers."""
    return Trainer(
        **{name: settings[name] for name in TRAINER if name in settings},
        precision=precision,  # type: ignore[arg-type]  # one of Lightning's names
        max_epochs=-1,
        check_val_every_n_epoch=10**9,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        default_root_dir=str(folder),  # of the initial weights during the search
    )
