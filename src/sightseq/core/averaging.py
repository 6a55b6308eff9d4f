"""Stochastic weight averaging that resumes exactly."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging

from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.core.optimization import peak_rate


class SWA(WeightAveraging):
    """Validate, test and save the mean of the weights at the end of the last epochs (Izmailov et al., 2018).

    See arXiv 1803.05407. The averaged epochs train with a constant learning rate, so that they explore. Before the
    first of them ends, the current weights count. Statistics of BatchNorm are averaged like weights; the paper computes
    them again, in one more pass over the training samples.

    It is based on Lightning's `WeightAveraging`. Lightning's `StochasticWeightAveraging` validates and saves weights
    that are not averaged, trains one more epoch, and replaces the schedule, whose state then does not fit on resume.

    Args:
        start: the first averaged epoch: its number, counted from 1, or a fraction of all epochs.
        lr_fraction: learning rate of the averaged epochs as a fraction of the optimizer's; with OneCycleLR, of its
            peak. None keeps the schedule.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(self, start: int | float = 0.75, lr_fraction: float | None = 0.25) -> None:
        if start < 0 or (start >= 1) == isinstance(start, float):
            raise ConfigError(f"callbacks.swa.start={start} is neither a fraction below 1 nor the number of an epoch")
        if lr_fraction is not None and lr_fraction <= 0:
            raise ConfigError(f"callbacks.swa.lr_fraction={lr_fraction} is not above 0; null keeps the schedule")
        super().__init__(multi_avg_fn=mean_with)
        self.start, self.lr_fraction = start, lr_fraction
        self._averaged = 0  # epochs in the average

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Create the average.

        Raises:
            ConfigError: no epoch would be averaged, or their number is unknown.
        """
        super().setup(trainer, pl_module, stage)
        most = -1 if trainer.max_epochs is None else trainer.max_epochs
        if isinstance(self.start, float) and most < 0:
            raise ConfigError("callbacks.swa.start is a fraction of trainer.max_epochs; name the number of an epoch")
        self._first = int(self.start * most) if isinstance(self.start, float) else self.start - 1
        if 0 <= most <= self._first:
            raise ConfigError(f"callbacks.swa.start={self.start}: the training has only {most} epochs")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self._hold_rate(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add the weights at the end of an epoch, before its validation."""
        self._hold_rate(trainer)  # after the schedule's step, so that metrics.csv has the rate
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if last and trainer.current_epoch >= self._first and trainer.global_step > self._latest_update_step:
            average: Any = self._average_model  # Lightning declares it as optional
            average.update_parameters(pl_module)
            self._latest_update_step, self._averaged = trainer.global_step, self._averaged + 1

    def _hold_rate(self, trainer: Trainer) -> None:
        if self.lr_fraction is None or trainer.current_epoch < self._first:
            return
        for group in (group for optimizer in trainer.optimizers for group in optimizer.param_groups):
            group["lr"] = self.lr_fraction * peak_rate(group)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do nothing: `on_train_batch_end` has added the weights."""

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._averaged:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._averaged:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._averaged:
            super().on_train_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of averaged epochs and the step of the last one."""
        return {**super().state_dict(), "averaged": self._averaged}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        super().load_state_dict(state_dict)
        self._averaged = state_dict["averaged"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average as the weights, and the current weights beside it."""
        if self._averaged:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Load both; a checkpoint from before the first averaged epoch has no average."""
        if "averaging_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)


def mean_with(averages: list[torch.Tensor], weights: list[torch.Tensor], count: torch.Tensor | int) -> None:
    """Add weights to the mean of `count` others, in place. Integers, such as counters, are replaced."""
    if averages[0].is_floating_point():  # all tensors of a call have one type
        torch._foreach_lerp_(averages, weights, 1 / (int(count) + 1))
    else:
        torch._foreach_copy_(averages, weights)
