"""Prediction with a trained image classifier: files, PIL images or arrays to labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from sightseq.core.loading import Batch
from sightseq.core.page import Canvas, Widget
from sightseq.core.predictor import Row
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.predict import ClassPredictor
from sightseq.vision.drawings import canvas
from sightseq.vision.files import ImageSource, JSONImage, as_source, find_files
from sightseq.vision.image import read_image


class ImagePredictor(ClassPredictor):
    """A trained image classifier; reads files, PIL images, or uint8 arrays [H, W] or [H, W, 3]."""

    json_input: ClassVar[Any] = JSONImage
    widget: ClassVar[Widget | None] = Widget("image", "an image")
    task: ImageClassificationTask

    def expand(self, given: str, options: Any) -> list[tuple[str, Path]]:
        """See `find_files`."""
        return [(str(file), file) for file in find_files(given)]

    def read(self, raw: ImageSource) -> NDArray[np.uint8]:
        """Return an image as the model takes it: uint8 of the shape `spec.prepared`.

        Raises:
            InputError: the image cannot be read.

        Warns:
            FaceWarning: the model was trained on faces, and none was found in the image.
        """
        return read_image(as_source(raw), self.task.spec)

    def predict_items(self, items: Sequence[NDArray[np.uint8]], options: Any) -> list[Row]:
        """See `ClassPredictor`."""
        return self.predict_batch(self.batch(items), options.top)

    def batch(self, items: Sequence[NDArray[np.uint8]]) -> Batch:
        """Stack images."""
        return {"input": torch.from_numpy(np.stack(items))}

    def examples(self, batch: Batch) -> list[NDArray[np.uint8]]:
        """Return the images."""
        return [self.task.spec.to_example(image) for image in batch["input"].numpy()]

    def canvas(self, examples: Sequence[NDArray[np.uint8]]) -> Canvas | None:
        """See `vision.drawings.canvas`."""
        return canvas(examples)

    def origin(self, place: str, item: Any) -> Row:
        """Return the file name."""
        return {"file": place}

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name and the cells of `ClassPredictor`."""
        return {"file": row["file"], **super().cells(row)}
