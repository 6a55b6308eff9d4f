"""What happens around training, whatever the task: reproducible random numbers, EMA, metrics.csv, checkpoints."""

import codecs
import csv
import hashlib
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sightseq.core.errors import ConfigError, SightseqError
from sightseq.core.files import replacing
from sightseq.core.loading import Batch

NOW_AND_THEN = 50  # steps between looks at what would cost time at every step
PATIENCE = 5.0  # seconds that the end of a validation is waited for by who wants to leave


class Reseed(Callback):
    """Seeds torch before every training batch from (seed, epoch, batch, rank).

    So dropout and augmentation do not depend on where a training was interrupted.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        place = f"{self.seed} {trainer.current_epoch} {batch_idx} {trainer.global_rank}"
        number, device = int.from_bytes(hashlib.sha256(place.encode()).digest()[:7]), pl_module.device.type
        # Not `torch.manual_seed`, which at each call notes the traceback for devices that are not in use yet.
        torch.default_generator.manual_seed(number)
        if device != "cpu":
            getattr(torch, device).manual_seed(number)


class StopOnNaN(Callback):
    """Ends a run when a tensor that the training step returned is no longer finite, and says where."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        # On a GPU looking at the loss waits for it, so only now and then.
        if batch_idx % NOW_AND_THEN and pl_module.device.type != "cpu":
            return
        for name, value in (outputs if isinstance(outputs, Mapping) else {"loss": outputs}).items():
            if isinstance(value, torch.Tensor) and not torch.isfinite(value).all():
                samples = f"(samples {batch['index'][:5].tolist()}, ...)"
                raise no_number(trainer, f"the {name} became {value.item() if value.ndim == 0 else 'NaN'}", samples)


def no_number(trainer: Trainer, what: str, samples: str = "") -> SightseqError:
    """What to say of a training that has gone astray."""
    return SightseqError(
        f"{what} in epoch {trainer.current_epoch + 1} at step {trainer.global_step} {samples}; lower "
        f"model.optimizer.lr, or try trainer.gradient_clip_val=1 or precision=32"
    )


class EMA(WeightAveraging):
    """Validates, tests and saves an exponential moving average of the weights (Polyak and Juditsky, 1992).

    Lightning's own `EMAWeightAveraging` averages one tensor after another; this one all at once.

    The first steps look back less far, over about a tenth of what was trained, or a short training would end with
    little but its first weights.

    Args:
        decay: weight of the past in each step; 0.999 looks back over about 1,000 steps.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay={decay} does not lie between 0 and 1")
        self.decay, self._step = decay, 0
        super().__init__(multi_avg_fn=self._average)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After every step."""
        if step_idx is not None:
            self._step = step_idx
        return step_idx is not None

    def _average(self, averages: Any, weights: Any, _: Any) -> None:
        # The count that torch gives lies on the device, where reading it would wait for all that is under way.
        decay = min(self.decay, (1 + self._step) / (10 + self._step))
        get_ema_multi_avg_fn(decay)(averages, weights, None)  # type: ignore[no-untyped-call]  # torch has no types here


class History(Checkpoint):
    """Writes metrics.csv: a row for each epoch, the training and validation metrics side by side.

    A `Checkpoint` because Lightning calls those last, when the task has logged the epoch. Lightning's
    CSVLogger would delete the file on resume; here, rows after the checkpoint are written anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (self.path.parent / "checkpoints").mkdir(exist_ok=True)  # a run directory without is removed: see `filling`
        if self.path.exists():
            with self.path.open(newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= trainer.global_step]
        before = float(self.rows[-1]["seconds"]) if self.rows else 0.0
        self._began = time.monotonic() - before

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        row: dict[str, Any] = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "seconds": round(time.monotonic() - self._began, 2),
        }
        for number, optimizer in enumerate(trainer.optimizers):
            row["lr" + f"-{number + 1}" * (number > 0)] = optimizer.param_groups[0]["lr"]
        names = sorted(n for n in trainer.callback_metrics if n.startswith(("train/", "val/")))
        self.rows.append(row | {name: float(f"{trainer.callback_metrics[name].item():.7g}") for name in names})
        if trainer.is_global_zero:
            header = list(dict.fromkeys(name for row in self.rows for name in row))
            with replacing(self.path) as file:
                writer = csv.DictWriter(codecs.getwriter("utf-8")(file), header)
                writer.writeheader()
                writer.writerows(self.rows)


class ResumeCheckpoint(Checkpoint):
    """Keeps checkpoints/last.ckpt, which an interrupted run goes on from: at the end of every epoch and within it.

    Ctrl-C and SIGTERM save it too, after the step that is under way, and end the run; a second one ends it at once.
    A validation cannot be gone on with: they wait a few seconds for its end, and then leave what was saved before.
    Nor can gradients that are still being accumulated. Weights that are no numbers are not saved.

    Args:
        dirpath: the folder of last.ckpt.
        minutes: save within an epoch when the last checkpoint is so old.
        steps: save within an epoch every so many steps of the optimizer.
    """

    def __init__(self, dirpath: str, minutes: float | None = 5, steps: int | None = None) -> None:
        for name, value in (("minutes", minutes), ("steps", steps)):
            if value is not None and value <= 0:
                raise ConfigError(f"callbacks.last.{name}={value} is not above 0; null saves at the end of epochs only")
        self.path, self.minutes, self.steps = Path(dirpath) / "last.ckpt", minutes, steps
        self._saved = time.monotonic()
        self._asked: float | None = None  # when it was to leave
        self._handlers: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():  # no other may say what signals do
            self._handlers = {number: signal.signal(number, self._leave) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for number, handler in self._handlers.items():  # where training ends badly, Lightning does this
            signal.signal(number, handler)

    def _leave(self, number: int, frame: Any) -> None:
        self._asked = time.monotonic()
        for one in self._handlers:
            signal.signal(one, signal.default_int_handler)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return  # the epoch's end is near, and with it the validation that belongs to it
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        due = bool(self.steps) and trainer.global_step % (self.steps or 1) == 0
        now_and_then = trainer.global_step % NOW_AND_THEN == 0
        if self.minutes and now_and_then:
            old = time.monotonic() - self._saved > 60 * self.minutes
            due |= bool(trainer.strategy.broadcast(old))  # all processes save, or none
        leave = (now_and_then or trainer.world_size == 1) and self._to_leave(trainer)
        if due or leave:
            self._save(trainer, pl_module)
        if leave:
            raise KeyboardInterrupt

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self._asked and trainer.world_size == 1 and time.monotonic() - self._asked > PATIENCE:
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer, pl_module)
        if self._to_leave(trainer):
            raise KeyboardInterrupt

    def _to_leave(self, trainer: Trainer) -> bool:
        asked = self._asked is not None
        return asked if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(asked, all=False)

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not torch.nn.utils.get_total_norm(weight.detach() for weight in pl_module.parameters()).isfinite():
            raise no_number(trainer, "weights became no numbers")
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that are whole or not there.

    Lightning's own are written into the system's folder for temporary files and then moved, which is a copy where that
    is another disk: a process killed in its midst leaves half a file in the place of the last good one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes beside `path`, and renames.

        Raises:
            DiskError: the disk is full; what was there before is still there.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # of its closing the archive, over what writing raised
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None


class CheckpointMetadata(Callback):
    """Adds the config and the versions to every checkpoint; the task's class is the task's own to add."""

    def __init__(self, signature: dict[str, Any]) -> None:
        self.signature = signature

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["sightseq"] = {**checkpoint.get("sightseq", {}), **self.signature}
