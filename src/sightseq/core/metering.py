"""Measurements within an epoch for the trackers: loss, learning rates, throughput, norm of the gradients."""

import time
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from sightseq.core.loading import Batch
from sightseq.core.rundir import Config
from sightseq.core.task import Task
from sightseq.core.tracking import every_n_steps, log_start, watches


class Meter(Callback):
    """Log `step/...` to all trackers every `trainer.log_every_n_steps` steps and at the end of each epoch.

    - `step/loss`: of the last batch, in the first process.
    - `step/lr`: learning rate of the step; `step/lr-2`, ... those of parameter groups with other rates.
    - `step/UNIT_per_second`: throughput of all processes since the last row, validation excluded. UNIT is what
      `Task.size` counts. Off the CPU, counting a batch waits for the device; so only the last batch is counted, and
      stands for the others.
    - `step/gradient_norm`: of all gradients together, before clipping, where a logger has `watch`.

    `epoch` is the fraction of epochs done. The first row of an epoch includes the start of the workers.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder
        self._norms, self._every = watches(config), every_n_steps(config)
        self._row: dict[str, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        log_start(trainer, self.config, self.folder)
        self._reset()  # a training that resumes within an epoch has no `on_train_epoch_start`
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        # A schedule may start all groups at 0, so they are compared by the rate that it multiplies.
        distinct = {group.get("initial_lr", group["lr"]): group for group in reversed(groups)}
        self._groups = list(reversed(distinct.values()))
        task = cast(Task, pl_module)
        unit = task.size_unit or getattr(getattr(trainer, "datamodule", None), "sample_unit", "samples")
        self._rate = f"step/{str(unit).replace(' ', '_')}_per_second"

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reset()

    def _reset(self) -> None:
        self._start, self._batches, self._units = time.monotonic(), 0, 0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._paused = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._start += time.monotonic() - self._paused

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Read the learning rates, before the schedule changes them, and the gradients, before they are clipped."""
        due = (trainer.global_step + 1) % self._every == 0 or trainer.is_last_batch
        if not (due and trainer.loggers):
            return
        for number, group in enumerate(self._groups, start=1):
            self._row["step/lr" if number == 1 else f"step/lr-{number}"] = float(group["lr"])
        if self._norms:
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            # Lightning calls callbacks before the task, which corrects the gradients of accumulated batches.
            scale = cast(Task, pl_module)._accumulation.scale(trainer.accumulate_grad_batches)
            self._row["step/gradient_norm"] = torch.nn.utils.get_total_norm(gradients) * scale

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        task, exact = cast(Task, pl_module), pl_module.device.type == "cpu"
        self._batches += 1
        if exact:
            self._units += task.size(batch)
        if not self._row:
            return
        units = self._units if exact else task.size(batch) * self._batches
        row, self._row = self._row, {}
        row = {name: float(value) for name, value in row.items()}
        row |= {
            "step/loss": float(outputs["loss"]),
            self._rate: units * trainer.world_size / (time.monotonic() - self._start),
            "epoch": trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches,
        }
        for logger in trainer.loggers:
            logger.log_metrics(row, trainer.global_step)
        self._reset()
