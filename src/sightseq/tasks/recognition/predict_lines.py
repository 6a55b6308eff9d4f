"""Prediction with a trained recogniser of writing: files, PIL images or arrays to texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sightseq.core.blocks import Block, FigureBlock, TextBlock
from sightseq.core.loading import Batch
from sightseq.core.page import Widget
from sightseq.core.plots import write_figure
from sightseq.core.predictor import Row
from sightseq.core.reservoir import stack_padded
from sightseq.tasks.recognition.figures import AlignedLine, alignment_figure
from sightseq.tasks.recognition.lines import LineRecognitionTask
from sightseq.tasks.recognition.predict import RecognitionPredictor, RecognitionSettings, target
from sightseq.vision.files import ImageSource, JSONImage, as_source, find_files
from sightseq.vision.lines import read_line


class Line(NamedTuple):
    """The columns of a line, uint8 [W, H, C], and the name of its file."""

    columns: NDArray[np.uint8]
    name: str


class LinePredictor(RecognitionPredictor):
    """A trained recogniser of writing; reads files, PIL images, or uint8 arrays [H, W] or [H, W, 3], of one line each.

    A row has `text`; its `probability`, given the image; and `characters`: each with its first and last column of the
    image as the network sees it, `height` pixels high.
    """

    json_input: ClassVar[Any] = JSONImage
    widget: ClassVar[Widget | None] = Widget("image", "a line of writing")
    task: LineRecognitionTask

    def expand(self, given: str, options: RecognitionSettings) -> list[tuple[str, Path]]:
        """See `find_files`."""
        return [(str(file), file) for file in find_files(given)]

    def read(self, raw: ImageSource) -> Line:
        """Return a line as the model takes it.

        Raises:
            InputError: see `vision.lines.read_line`.

        Warns:
            InputWarning: see `vision.lines.read_line`.
        """
        source = as_source(raw)
        name = source.name if isinstance(source, Path) else Path(getattr(source, "filename", "") or "image").name
        return Line(read_line(source, self.task.spec.height, self.task.spec.straight), name)

    def predict_items(self, items: Sequence[Line], options: RecognitionSettings) -> list[Row]:
        """Return the text of each line."""
        batch = stack([item.columns for item in items])
        readings = self.readings(batch, options)
        lines = self.task.aligned_lines(batch, [one.spans for one in readings], [None] * len(items))
        rows: list[Row] = []
        for item, one, line in zip(items, readings, lines, strict=True):
            row: Row = {
                "text": one.text.strip(),
                "probability": round(one.probability, 6),
                "characters": [[character, start, end - 1] for character, start, end in line.spans],
            }
            if options.output is not None:
                row["output"] = write_figure(alignment_figure([line]), target(options.output, item.name))
            rows.append(row)
        return rows

    def shown(self, item: Line, rows: Sequence[Row]) -> list[Block]:
        """Return the text, and where each character was read."""
        batch = stack([item.columns])
        (image,) = self.task.images(batch)
        (row,) = rows
        spans = [(character, start, end + 1) for character, start, end in row["characters"]]
        figure = alignment_figure([AlignedLine(image, row["text"], None, spans)])
        caption = f"Probability {row['probability']:.1%}. Above the line: where each character was read."
        return [TextBlock("Text", row["text"]), FigureBlock("Alignment", figure, caption=caption)]

    def examples(self, batch: Batch) -> list[NDArray[np.uint8]]:
        """Return the lines."""
        return self.task.images(batch)

    def length(self, item: Line) -> int:
        """Return the width in pixels."""
        return len(item.columns)


def stack(images: Sequence[NDArray[np.uint8]]) -> Batch:
    """Pad images [W, H, C] at the right and stack them: `input` [B, W, H, C] and `length` [B]."""
    tensors = list(map(torch.from_numpy, images))
    return {"input": stack_padded(tensors), "length": torch.tensor([len(one) for one in images])}
