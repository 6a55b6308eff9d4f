"""Prediction with a trained captioning model: files, PIL images or arrays to captions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from sightseq.core.blocks import Block, TableBlock
from sightseq.core.loading import Batch
from sightseq.core.page import Widget
from sightseq.core.predictor import Predictor, Row
from sightseq.tasks.captioning.report import attention_block
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
    widget: ClassVar[Widget | None] = Widget("image", "a photo")
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

    def shown(self, item: NDArray[np.uint8], rows: Sequence[Row]) -> list[Block]:
        """Return the captions, and the attention of the best one."""
        columns = ["caption", "score"]
        blocks: list[Block] = [TableBlock("Caption", columns, [[row[name] for name in columns] for row in rows])]
        tokens = torch.tensor([self.task.tokenizer.encode(rows[0]["caption"])], dtype=torch.int64)
        batch = {"input": torch.from_numpy(item[None]), "tokens": tokens, "index": torch.zeros(1)}
        block = attention_block(self.task, batch) if tokens.numel() else None
        return [*blocks, *([block] if block else [])]

    def examples(self, batch: Batch) -> list[NDArray[np.uint8]]:
        """Return the images."""
        return self.task.examples(batch["input"])

    def origin(self, place: str, item: NDArray[np.uint8]) -> Row:
        """Return the file name."""
        return {"file": place}

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name, the caption and its score."""
        return {"file": row["file"], "caption": row["caption"], "score": f"{row['score']:.3f}"}
