"""Prediction: image files to counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import Field, NonNegativeInt
from sightseq_dots.task import CountingTask

from sightseq.core.errors import InputError
from sightseq.core.predictor import Predictor, Row, Settings


class CountingSettings(Settings):
    """Options of `sightseq predict` for a counting model."""

    digits: NonNegativeInt = Field(1, description="digits after the decimal point")


class CountingPredictor(Predictor):
    """A trained counting model. Arguments: see `Predictor`."""

    Settings: ClassVar[type[CountingSettings]] = CountingSettings
    task: CountingTask

    def expand(self, given: str, options: Any) -> list[tuple[str, Any]]:
        """Return the file itself.

        Raises:
            InputError: the file does not exist.
        """
        if not Path(given).is_file():
            raise InputError(f"{given}: there is no such file")
        return [(given, given)]

    def read(self, raw: Any) -> Any:
        """Read an image file as grey pixels, uint8 [1, H, W], resized to the size that the model takes.

        Raises:
            InputError: the file is not a readable image.
        """
        try:
            with Image.open(raw) as image:
                grey = image.convert("L").resize((self.task.spec.width, self.task.spec.height))
        except OSError as error:
            raise InputError(f"{raw}: is not a readable image") from error
        return np.asarray(grey)[None]

    def predict_items(self, items: Sequence[Any], options: Any) -> list[Row]:
        """Return the count of each image."""
        counts = self.task.predict_step({"input": torch.from_numpy(np.stack(items)).to(self.task.device)})
        return [{"count": round(count, options.digits)} for count in counts.tolist()]
