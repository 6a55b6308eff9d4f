"""Prediction with a trained classifier of sequences: tables or arrays to labels, with a timeline of windows."""

from collections.abc import Sequence
from typing import Any, ClassVar

from sightseq.core.loading import Batch
from sightseq.core.page import Widget
from sightseq.core.predictor import Row
from sightseq.core.windows import windows
from sightseq.series.sequence_inputs import (
    SequenceSource,
    Source,
    TableSettings,
    Vectors,
    find_sequences,
    read_sequence,
)
from sightseq.tasks.classification.predict import Settings
from sightseq.tasks.classification.predict_windows import Window, WindowPredictor, padded
from sightseq.tasks.classification.sequences import SequenceClassificationTask


class SequenceSettings(Settings, TableSettings):
    """Options of `sightseq predict` for a classifier of sequences."""


class SequencePredictor(WindowPredictor):
    """A trained classifier of sequences; reads tables (.csv, .tsv, .parquet), arrays (.npy) or arrays [T, D].

    A table has a column for each channel of the model; a .npy file has [T, D], or N sequences [N, T, D]. A missing
    value is empty or NaN. The row of a sequence has `label`, `probability` and `top`, averaged over its windows, and
    `timeline`: the label and probability of each window, with its start and end in seconds (in steps, if the model's
    data has no rate).
    """

    Settings: ClassVar[type[SequenceSettings]] = SequenceSettings
    widget: ClassVar[Widget | None] = Widget("file", "a table or an array", (".csv", ".tsv", ".parquet", ".npy"))
    task: SequenceClassificationTask

    def expand(self, given: str, options: SequenceSettings) -> list[tuple[str, Source]]:
        """See `find_sequences`."""
        return find_sequences(given, options)

    def read(self, raw: SequenceSource) -> list[Vectors]:
        """See `read_sequence`."""
        return read_sequence(raw, self.task.spec)

    def predict_items(self, items: Sequence[list[Vectors]], options: SequenceSettings) -> list[Row]:
        """Return a row for each sequence."""
        spec, unit = self.task.spec, 1 / (self.task.spec.rate or 1)
        cut = (
            Window(number, part.start + first * unit, part.start + last * unit, part.values[first:last])
            for number, parts in enumerate(items)
            for part in parts
            for first, last in windows(len(part.values), spec.steps, spec.stride or spec.steps)
        )
        return self.voted(self.votes(cut, len(items), options.batch_size), options)

    def batch(self, items: Sequence[list[Vectors]]) -> Batch | None:
        """Return sequences of one window each; None if one has several."""
        if any(len(parts) > 1 or len(parts[0].values) > self.task.spec.steps for parts in items):
            return None
        return padded([part.values for (part,) in items])

    def length(self, item: list[Vectors]) -> int:
        """Return the length in steps."""
        return sum(len(part.values) for part in item)

    def origin(self, place: str, item: Any) -> Row:
        """Return the file name."""
        return {"file": place}
