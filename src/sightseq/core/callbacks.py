"""Callbacks for the training of any task: reproducible random numbers, EMA, metrics.csv, checkpoints."""

import codecs
import csv
import hashlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sightseq.core.cluster import REQUEUE_SIGNAL, Requeue
from sightseq.core.errors import ConfigError, SightseqError
from sightseq.core.files import replacing
from sightseq.core.loading import Batch

CHECK_EVERY_STEPS = 50  # steps between checks that are too slow for every step
CHECK_INTERVAL = 1.0  # seconds between checks for signals of several processes; SLURM kills a job after 30 seconds
PATIENCE = 5.0  # seconds that a requested exit waits for the end of a validation


class Reseed(Callback):
    """Seed torch before every training batch from (seed, epoch, batch, rank).

    Dropout and augmentation therefore do not depend on where a training was interrupted.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        position = f"{self.seed} {trainer.current_epoch} {batch_idx} {trainer.global_rank}"
        seed, device = int.from_bytes(hashlib.sha256(position.encode()).digest()[:7]), pl_module.device.type
        # Not `torch.manual_seed`, which stores a traceback at each call for devices that are not initialised yet.
        torch.default_generator.manual_seed(seed)
        if device != "cpu":
            getattr(torch, device).manual_seed(seed)


class StopOnNaN(Callback):
    """Stop a run when the training step returns a tensor that is NaN or infinite; the error names epoch and step."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        # On a GPU, reading the loss waits for its computation, so it is not checked at every step.
        if batch_idx % CHECK_EVERY_STEPS and pl_module.device.type != "cpu":
            return
        for name, value in (outputs if isinstance(outputs, Mapping) else {"loss": outputs}).items():
            if isinstance(value, torch.Tensor) and not torch.isfinite(value).all():
                samples = f" (samples {batch['index'][:5].tolist()}, ...)"
                shown = value.item() if value.ndim == 0 else "NaN or infinite"
                raise not_finite_error(trainer, f"the {name} became {shown}", samples)


def not_finite_error(trainer: Trainer, what: str, samples: str = "") -> SightseqError:
    """Return the error of a training whose loss or weights are NaN or infinite."""
    return SightseqError(
        f"{what} in epoch {trainer.current_epoch + 1} at step {trainer.global_step}{samples}; lower "
        f"model.optimizer.lr, or try trainer.gradient_clip_val=1 or precision=32"
    )


class EMA(WeightAveraging):
    """Validate, test and save an exponential moving average of the weights (Polyak and Juditsky, 1992).

    Lightning's `EMAWeightAveraging` averages one tensor after another; this class averages all at once.

    Integers, such as counters and tables of indices, are not averaged: their current values count.

    Early in training, the average covers only about the last tenth of the steps so far. Otherwise a short training
    would end with an average of mostly its initial weights.

    Args:
        decay: weight of the previous average in each step, between 0 and 1; 0.999 averages over about 1,000 steps.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay={decay} does not lie between 0 and 1")
        self.decay, self._step = decay, 0
        super().__init__(multi_avg_fn=self._average)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return True after a step, False after an epoch."""
        if step_idx is not None:
            self._step = step_idx
        return step_idx is not None

    def _average(self, averages: Any, weights: Any, _: Any) -> None:
        if not averages[0].is_floating_point():  # all tensors of a call have one type
            for average, current in zip(averages, weights, strict=True):
                average.copy_(current)
            return
        # The step count that torch passes is on the device; reading it would wait for all pending computation.
        decay = min(self.decay, (1 + self._step) / (10 + self._step))
        get_ema_multi_avg_fn(decay)(averages, weights, None)  # type: ignore[no-untyped-call]  # torch has no types here


class History(Checkpoint):
    """Write metrics.csv: one row per epoch with its training and validation metrics.

    It is a `Checkpoint` because Lightning calls those last, after the task has logged the epoch. Lightning's
    CSVLogger would delete the file on resume; this callback replaces only the rows after the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (self.path.parent / "checkpoints").mkdir(exist_ok=True)  # on an error, `filling` removes a run without it
        if self.path.exists():
            with self.path.open(newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= trainer.global_step]
        elapsed = float(self.rows[-1]["seconds"]) if self.rows else 0.0
        self._start = time.monotonic() - elapsed

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        row: dict[str, Any] = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "seconds": round(time.monotonic() - self._start, 2),
        }
        for index, optimizer in enumerate(trainer.optimizers):
            row["lr" + f"-{index + 1}" * (index > 0)] = optimizer.param_groups[0]["lr"]
        names = sorted(n for n in trainer.callback_metrics if n.startswith(("train/", "val/")))
        self.rows.append(row | {name: float(f"{trainer.callback_metrics[name].item():.7g}") for name in names})
        if trainer.is_global_zero:
            header = list(dict.fromkeys(name for row in self.rows for name in row))
            with replacing(self.path) as file:
                writer = csv.DictWriter(codecs.getwriter("utf-8")(file), header)
                writer.writeheader()
                writer.writerows(self.rows)


class ResumeCheckpoint(Checkpoint):
    """Save checkpoints/last.ckpt, from which an interrupted run resumes, at the end of every epoch and within it.

    Ctrl-C and SIGTERM also save it, after the current step, and end the run; a second Ctrl-C ends the run at once. In
    a SLURM job, SIGUSR1 does the same, and `sightseq.run` then puts the job back into the queue.

    A run cannot resume within a validation: after a signal, it waits a few seconds for the validation to end, and
    then exits with the previous checkpoint. Nothing is saved while gradients are being accumulated. Weights that are
    NaN or infinite are not saved: they end the run with an error.

    Args:
        dirpath: folder of last.ckpt.
        minutes: save within an epoch when the last checkpoint is older than this; None for never.
        steps: save within an epoch every `steps` optimizer steps; None for never.
    """

    def __init__(self, dirpath: str, minutes: float | None = 5, steps: int | None = None) -> None:
        for name, value in (("minutes", minutes), ("steps", steps)):
            if value is not None and value <= 0:
                raise ConfigError(f"callbacks.last.{name}={value} is not above 0; null saves at the end of epochs only")
        self.path, self.minutes, self.steps = Path(dirpath) / "last.ckpt", minutes, steps
        self._saved = time.monotonic()
        self._asked: float | None = None  # time of the signal that requested the exit
        self._requeue = False  # whether that signal was SLURM's
        self._checked = 0, self._saved  # step and time of the last check for signals of several processes
        self._next_check = 0
        self._handlers: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():  # no other thread may set signal handlers
            signals = [signal.SIGINT, signal.SIGTERM]
            if REQUEUE_SIGNAL is not None and "SLURM_JOB_ID" in os.environ:
                signals.append(REQUEUE_SIGNAL)
            self._handlers = {number: signal.signal(number, self._request_exit) for number in signals}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for number, handler in self._handlers.items():  # after an error, Lightning restores them
            signal.signal(number, handler)

    def _request_exit(self, number: int, frame: Any) -> None:
        self._asked, self._requeue = time.monotonic(), number == REQUEUE_SIGNAL
        for one in self._handlers:
            # The others may arrive twice: SLURM sends them to all processes, and `uv run` forwards them.
            signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_IGN)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return  # the checkpoint follows at the end of the epoch, after its validation
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        due = bool(self.steps) and trainer.global_step % (self.steps or 1) == 0
        now_and_then = trainer.global_step % CHECK_EVERY_STEPS == 0
        if self.minutes and now_and_then:
            old = time.monotonic() - self._saved > 60 * self.minutes
            due |= bool(trainer.strategy.broadcast(old))  # all processes save, or none
        exiting = self._check_due(trainer) and self._exit_requested(trainer)
        if due or exiting:
            self._save(trainer, pl_module)
        if exiting:
            self._exit(trainer)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self._asked and trainer.world_size == 1 and time.monotonic() - self._asked > PATIENCE:
            self._exit(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer, pl_module)
        if self._exit_requested(trainer):
            self._exit(trainer)

    def _check_due(self, trainer: Trainer) -> bool:
        """Return whether to check for signals: after each step, or about every second with several processes.

        The first process sets the number of steps between checks, so that all of them check after the same step.
        """
        if trainer.world_size == 1:
            return True
        if trainer.global_step < self._next_check:
            return False
        (step, since), self._checked = self._checked, (trainer.global_step, time.monotonic())
        rate = (trainer.global_step - step) / max(self._checked[1] - since, 1e-6)
        wait = trainer.strategy.broadcast(min(max(int(rate * CHECK_INTERVAL), 1), CHECK_EVERY_STEPS))
        self._next_check = trainer.global_step + int(wait)
        return True

    def _exit_requested(self, trainer: Trainer) -> bool:
        """Return whether any process of the training has received a signal."""
        return in_any_process(trainer, self._asked is not None)

    def _exit(self, trainer: Trainer) -> NoReturn:
        raise Requeue if in_any_process(trainer, self._requeue) else KeyboardInterrupt

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        norm = torch.nn.utils.get_total_norm(weight.detach() for weight in pl_module.parameters())
        if in_any_process(trainer, not norm.isfinite()):  # with FSDP, each process has a part of the weights
            raise not_finite_error(trainer, "the weights became NaN or infinite")
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()


def in_any_process(trainer: Trainer, here: bool) -> bool:
    """Return whether a condition holds in any process of the training; all processes must call this."""
    return here if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(here, all=False)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints atomically: a file is complete or does not exist.

    Lightning writes a checkpoint into the system's temporary folder and then moves it. If that folder is on another
    disk, the move is a copy, and a process killed during it leaves half a file in place of the last good checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a temporary file beside `path`, then rename it.

        Raises:
            DiskError: the disk is full or not writable; the previous file is kept.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # raised when torch closes the archive; hides the write's error
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None


class CheckpointMetadata(Callback):
    """Add the config and the versions to every checkpoint; the task itself adds its class."""

    def __init__(self, signature: dict[str, Any]) -> None:
        self.signature = signature

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["sightseq"] = {**checkpoint.get("sightseq", {}), **self.signature}
