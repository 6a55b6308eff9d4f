"""Early stopping that resumes exactly."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason


class StopEarly(EarlyStopping):
    """End a training when the monitored score of the validation has not improved for `patience` validations.

    Lightning's `EarlyStopping` forgets on resume that it has ended the training: a run that is killed between its last
    epoch and its results would train one more epoch.

    Args:
        monitor: the score, such as "val/loss"; by default that of the task.
        mode: "min" or "max", set from the score.
        patience: validations without a better score.
        min_delta: smallest difference that counts as better.
    """

    def __init__(self, monitor: str, mode: str = "min", patience: int = 5, min_delta: float = 0.0) -> None:
        # Not strict: an epoch without validation has no score.
        super().__init__(monitor, mode=mode, patience=patience, min_delta=min_delta, strict=False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print why the training ended before its last epoch."""
        if self.stopping_reason != EarlyStoppingReason.NOT_STOPPED and trainer.is_global_zero:
            print(
                f"{'stopped':<10}{self.stopping_reason_message}".removesuffix(" Signaling Trainer to stop."), flush=True
            )
