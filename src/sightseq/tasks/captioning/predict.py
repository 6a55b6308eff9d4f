"""Prediction with a trained captioning model: files, PIL images or arrays to captions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from sightseq.core.predictor import Predictor, Row
from sightseq.tasks.captioning.task import CaptioningTask
from sightseq.tasks.conditional_generation.predict import SearchSettings, generate
from sightseq.vision.files import ImageSource, JSONImage, as_source, find_files
from sightseq.vision.image import read_image


class CaptionPredictor(Predictor):
    """A trained captioning model; reads files, PIL images, or uint8 arrays [H, W] or [H, W, 3]. Arguments and errors:
    see `Predictor`.

    A row has `caption`, `score` and `log_probability`: see `generate`. With `n_best` above 1 an image has several
    rows, the best first.
    """

    Settings: ClassVar[type[SearchSettings]] = SearchSettings
    json_input: ClassVar[Any] = JSONImage
    task: CaptioningTask

    def check(self, inputs: Sequence[ImageSource], options: SearchSettings) -> None:
        """Raise ConfigError if `n_best` exceeds `beam`."""
        options.check_search(self.task)

    def expand(self, given: str, options: SearchSettings) -> list[tuple[str, Path]]:
        """See `find_files`."""
        return [(str(file), file) for file in find_files(given)]

    def read(self, raw: ImageSource) -> NDArray[np.uint8]:
        """Return an image as the model takes it: uint8 of the shape `spec.prepared`.

        Raises:
            InputError: the image cannot be read.
        """
        return read_image(as_source(raw), self.task.spec)

    def predict_items(self, items: Sequence[NDArray[np.uint8]], options: SearchSettings) -> list[list[Row]]:
        """Return the best captions of each image."""
        batch = {"input": torch.from_numpy(np.stack(items)), "index": torch.arange(len(items))}
        return generate(self.task, batch, options, "caption")

    def origin(self, place: str, item: NDArray[np.uint8]) -> Row:
        """Return the file name."""
        return {"file": place}

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name, the caption and its score."""
        return {"file": row["file"], "caption": row["caption"], "score": f"{row['score']:.3f}"}
