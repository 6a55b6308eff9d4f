"""The progress of a training on the terminal: one bar for all of it, with the newest scores."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SELDOM = 10.0  # seconds between lines where there is no terminal
OFTEN = 0.1  # seconds between looks at the loss


class Bar(ProgressBar):
    """A bar over all batches of all epochs; without a terminal, a line now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Progress | None = None
        self._shown = time.monotonic()
        self._scores = ""
        self._quiet = False

    def disable(self) -> None:
        """Lightning calls this in all processes but the first."""
        self._quiet = True

    def enable(self) -> None:
        """The inverse of `disable`."""
        self._quiet = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._quiet and sys.stdout.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[scores]}"), console=Console(highlight=False))
            total = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
            self._job = self._bar.add_task("", total=total, scores="")
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar and time.monotonic() - self._shown > OFTEN:
            self._show(self._bar, trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        done = trainer.current_epoch + 1 == trainer.max_epochs
        found = trainer.callback_metrics
        wanted = dict.fromkeys((getattr(pl_module, "headline", "loss"), "loss"))
        self._scores = "  ".join(f"validation {n} {found[f'val/{n}']:.4f}" for n in wanted if f"val/{n}" in found)
        if self._bar:
            self._show(self._bar, trainer, int(trainer.num_training_batches))
        elif not self._quiet and (done or time.monotonic() - self._shown > SELDOM):
            self._shown = time.monotonic()
            print(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}  {self._scores}", flush=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _show(self, bar: Progress, trainer: Trainer, batches: int) -> None:
        self._shown = time.monotonic()
        completed = trainer.current_epoch * int(trainer.num_training_batches) + batches
        epoch = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
        bar.update(self._job, completed=completed, description=epoch, scores=self._scores)

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None
