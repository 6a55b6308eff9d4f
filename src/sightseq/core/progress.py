"""Training progress on the terminal: one bar for the whole training, with the latest scores."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

LINE_INTERVAL = 10.0  # seconds between lines without a terminal
UPDATE_INTERVAL = 0.1  # seconds between updates of the bar
RESERVED_WIDTH = 30  # columns for the epoch, the shortest bar and the remaining time


class TrainingProgressBar(ProgressBar):
    """A bar over all batches of all epochs, with the loss of a batch, the latest scores and the throughput.

    Without a terminal, it prints a line at intervals.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar: Progress | None = None
        self._shown = time.monotonic()
        self._scores: list[str] = []
        self._loss = self._rate = ""
        self._quiet = False
        # For the throughput in an epoch, without validation. They are set here too, because Lightning does not call
        # `on_train_epoch_start` for an epoch resumed in the middle.
        self._seen, self._uncounted, self._epoch_start = 0, 0, time.monotonic()

    def disable(self) -> None:
        """Show nothing; Lightning calls this in all processes but the first."""
        self._quiet = True

    def enable(self) -> None:
        """Undo `disable`."""
        self._quiet = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._quiet and sys.stdout.isatty():
            remaining = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
            columns = (
                TextColumn("{task.description}"),
                BarColumn(None),
                remaining,
                TextColumn("{task.fields[scores]}"),
            )
            self._bar = Progress(*columns, console=Console(highlight=False), expand=True)
            self._job = self._bar.add_task("", total=total_batches(trainer), scores="")
            self._bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seen, self._uncounted, self._epoch_start = 0, 0, time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._bar:
            return
        self._uncounted += 1
        if time.monotonic() - self._shown > UPDATE_INTERVAL:
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
            self._loss = "" if loss is None else f"loss {loss.item():.4f}"
            if size := getattr(pl_module, "size", None):  # of a Task
                # Counting waits for the device, so all batches since the last update count like this one.
                self._seen, self._uncounted = self._seen + self._uncounted * size(batch) * trainer.world_size, 0
                data_unit = getattr(getattr(trainer, "datamodule", None), "sample_unit", "samples")
                unit = getattr(pl_module, "size_unit", None) or data_unit
                self._rate = f"{self._seen / (time.monotonic() - self._epoch_start):,.0f} {unit}/s"
            self._show(self._bar, trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        done = trainer.current_epoch + 1 == trainer.max_epochs
        metrics = trainer.callback_metrics
        names = dict.fromkeys((getattr(pl_module, "headline", "loss"), "loss"))
        self._scores = [f"validation {n} {metrics[f'val/{n}']:.4f}" for n in names if f"val/{n}" in metrics]
        if self._bar:
            self._show(self._bar, trainer, int(trainer.num_training_batches))
        elif not self._quiet and (done or time.monotonic() - self._shown > LINE_INTERVAL):
            self._shown = time.monotonic()
            losses = [f"training loss {metrics['train/loss']:.4f}"] if "train/loss" in metrics else []
            texts = [epoch_text(trainer), *self._scores, *losses]
            print("  ".join(texts), flush=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _show(self, bar: Progress, trainer: Trainer, batches: int) -> None:
        self._shown = time.monotonic()
        completed = trainer.current_epoch * int(trainer.num_training_batches) + batches
        epoch = epoch_text(trainer)
        shown = [self._loss, *self._scores[:1], self._rate, *self._scores[1:]]
        shown = [text.replace("validation", "val") for text in shown if text]
        while len(shown) > 1 and len("  ".join(shown)) > bar.console.width - RESERVED_WIDTH:
            shown.pop()
        bar.update(self._job, completed=completed, description=epoch, scores="  ".join(shown))

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def total_batches(trainer: Trainer) -> int | None:
    """Return the number of batches of the whole training; None if only time limits it."""
    limits = []
    if trainer.max_epochs not in (None, -1):
        limits.append(int(trainer.num_training_batches) * trainer.max_epochs)
    if trainer.max_steps > 0:
        limits.append(trainer.max_steps * trainer.accumulate_grad_batches)
    return min(limits, default=None)


def epoch_text(trainer: Trainer) -> str:
    """Return a text such as "epoch 3 of 10", or "epoch 3" if only steps or time limit the training."""
    total = "" if trainer.max_epochs in (None, -1) else f" of {trainer.max_epochs}"
    return f"epoch {trainer.current_epoch + 1}{total}"
