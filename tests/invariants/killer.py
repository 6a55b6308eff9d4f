"""A callback that kills its own process, for the tests of resume."""

import os
import signal
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Kill(Callback):
    """Sends itself SIGKILL at the given places, "epoch:batch", at each of them once.

    Args:
        places: where.
        marks: a folder that remembers where it has already happened.
    """

    def __init__(self, places: list[str], marks: str) -> None:
        self.places, self.marks = places, Path(marks)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        place = f"{trainer.current_epoch}:{batch_idx}"
        if place in self.places and not (self.marks / place).exists():
            (self.marks / place).touch()
            os.kill(os.getpid(), signal.SIGKILL)
