"""`sightseq eject`: write one file of plain PyTorch that trains an experiment without this framework."""

import contextlib
import hashlib
import io
import logging
import warnings
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from sightseq import console
from sightseq.core.build import build, find_class, trust
from sightseq.core.callbacks import Reseed
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError, ExportError
from sightseq.core.files import output_file
from sightseq.core.rundir import Config
from sightseq.core.task import Task
from sightseq.eject.arrays import Files
from sightseq.eject.order import plain_data, plain_order
from sightseq.eject.page import Parts, file_name, write
from sightseq.eject.tracing import Trace

COMPARED = 3  # steps whose losses are compared with those of the framework
TOLERANCE = 1e-4
RECORDED = 2  # batches of training and validation whose calls are recorded
KEPT = ("best", "last", "progress")  # callbacks that the file does not need


def eject(config: Config) -> None:
    """Write the file, if it trains with the same losses as the framework.

    Raises:
        ConfigError: the experiment has something that the file cannot have, or the file would be too long.
        ExportError: its losses differ; no file is written.
    """
    trust(config["trust"])
    path = output_file(config["output"], Path(f"{file_name(config)}.py"))
    parts, files = collect(config)
    text = fitting(parts, files, config["lines"])
    losses, expected = ejected_losses(text, COMPARED), framework_losses(parts.config, parts.data, COMPARED)
    difference = max(abs(one - other) for one, other in zip(losses, expected, strict=True))
    if not difference <= TOLERANCE:
        raise ExportError(f"the file's first losses are {losses}, those of the framework {expected}; it was not saved")
    path.write_text(text)
    console.say("file", f"{console.short(path)}, {len(text.splitlines())} lines")
    console.say("agrees", f"with the framework: the first {len(losses)} losses differ by at most {difference:.1e}")
    if parts.left_out:
        console.say("without", ", ".join(parts.left_out))
    console.say("next", f"python {console.short(path)}")


def collect(config: Config) -> tuple[Parts, Files]:
    """Return what the file is made of: data, network and loss, and how they were called in a few steps.

    Raises:
        ConfigError: the experiment has something that the file cannot have.
    """
    left_out = leave_out(config)
    trace = Trace()
    with trace.record("building", only_constructors=True):
        data = build(config["data"], DataModule, "data")
        data.prepare_data()
    with trace.record("building"):
        task = make_task(config, data)
        model: Any = task.plain()
        if model is None:
            raise ConfigError(f"eject: {type(task).__name__} has no loss in plain PyTorch: see `Task.plain`")
        check_groups(task)
        orders = {
            split: plain_order(data.batch_sampler(split)) for split in ("train", *(["val"] if data.streams else []))
        }
        splits = {split: plain_data(data.dataset(split)) for split in ("train", "val")}
        # Two epochs, so that the recorded calls show that the epoch is no constant.
        drawn = {split: draw(order, data.streams is None) for split, order in orders.items()}
    drawn.setdefault("val", [torch.tensor([row]) for row in range(RECORDED)])
    with trace.record("running"):
        for split, call in (("train", model.loss), ("val", getattr(model, "measure", model.loss))):
            run_some(splits[split], drawn[split], model.train(split == "train"), call)
    rows = hashlib.sha256(b"".join(np.asarray(one.rows).tobytes() for one in splits.values())).hexdigest()[:8]
    files = Files(Path(config["paths"]["cache"]), data.name, rows)
    return Parts(config, data, model, splits, orders, trace, left_out), files


def fitting(parts: Parts, files: Files, most: int) -> str:
    """Return the text of the file; without the docstrings of methods if it would have more than `most` lines.

    Raises:
        ConfigError: it has more lines, all the same.
    """
    text = ""
    for short in (False, True):
        text = write(parts, files, short)
        if len(text.splitlines()) <= most:
            return text
    count = len(text.splitlines())
    raise ConfigError(f"eject: the file has {count} lines; allow them with lines={count}, or choose a smaller network")


def draw(order: Callable[..., Iterable[Tensor]], takes_epoch: bool) -> list[Tensor]:
    """Return the batches of an epoch."""
    return [list(order(epoch=epoch)) for epoch in (1, 0)].pop() if takes_epoch else list(order())


def run_some(split: Any, batches: Iterable[Tensor], model: Any, call: Callable[[Any], Any]) -> None:
    """Compute the loss or score of a few batches."""
    with torch.set_grad_enabled(model.training):
        for indices in islice(batches, RECORDED):
            call(split.batch(indices))


def make_task(config: Config, data: DataModule) -> Task:
    """Return the task with its initial weights."""
    torch.manual_seed(config["seed"])
    return build(config["model"], Task, "model", spec=data.spec.to_dict())


def leave_out(config: Config) -> list[str]:
    """Remove from the config what the file does not have, and return its names.

    Raises:
        ConfigError: training without it would not be the same.
    """
    trainer = config["trainer"]
    if trainer.get("max_epochs") in (None, -1) or trainer.get("max_steps") not in (None, -1):
        raise ConfigError("eject: the file trains for trainer.max_epochs; give them, and no trainer.max_steps")
    if trainer.get("accumulate_grad_batches", 1) != 1 or trainer.get("gradient_clip_algorithm", "norm") != "norm":
        raise ConfigError("eject: no accumulated gradients, and clipping by norm only")
    schedule = config["model"].get("scheduler")
    if schedule and issubclass(find_class(schedule["_target_"], LRScheduler, "model.scheduler"), ReduceLROnPlateau):
        raise ConfigError("eject: no schedule that reads a validation score; choose scheduler=none, or another one")
    if config.get("init_from"):
        raise ConfigError("eject: the file starts from random weights; set init_from=null")
    augment = [name for name, brick in (config["model"].get("augment") or {}).items() if brick]
    if augment:
        config["model"]["augment"] = None
    callbacks = [name for name, brick in config["callbacks"].items() if brick and name not in KEPT]
    return [*(f"augmentation ({name})" for name in augment), *(f"the callback {name}" for name in callbacks)]


def check_groups(task: Task) -> None:
    """Check that all weights have the optimizer's learning rate, and that none are pretrained.

    Raises:
        ConfigError: they do not.
    """
    if any(group.get("lr", task.lr) != task.lr for group in task.parameter_groups()):
        raise ConfigError("eject: all weights have one learning rate")
    if any(getattr(module, "weights", None) for module in task.net.modules() if hasattr(module, "load_weights")):
        raise ConfigError("eject: the file starts from random weights, and this network from pretrained ones")


class Losses(Callback):
    """Keeps the loss of each step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.values.append(float(outputs["loss"]))


def framework_losses(config: Config, data: DataModule, steps: int) -> list[float]:
    """Return the losses of the first steps of the experiment, on the CPU in 32 bits."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    task, losses = make_task(config, data), Losses()
    task.total_steps = config["trainer"]["max_epochs"] * len(data.batch_sampler("train"))
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=config["trainer"]["max_epochs"],
        max_steps=steps,
        gradient_clip_val=config["trainer"].get("gradient_clip_val"),
        limit_val_batches=0,
        callbacks=[Reseed(config["seed"]), losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's remarks on a training of a few steps
        trainer.fit(task.train(), datamodule=data)
    return losses.values


def ejected_losses(text: str, steps: int) -> list[float]:
    """Return the losses of the first steps of the file, on the CPU."""
    scope: dict[str, Any] = {"__name__": "ejected"}
    exec(compile(text, "ejected.py", "exec"), scope)
    scope["DEVICE"] = torch.device("cpu")
    with contextlib.redirect_stdout(io.StringIO()):
        return [loss for _, _, loss in islice(scope["train"](), steps)]
