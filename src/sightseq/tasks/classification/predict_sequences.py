"""Prediction with a trained classifier of sequences: tables or arrays to labels, with a timeline of windows."""

from collections.abc import Sequence
from typing import ClassVar

from sightseq.core.loading import Batch
from sightseq.core.predictor import Row
from sightseq.core.windows import padded
from sightseq.series.sequence_inputs import SequenceReader, TableSettings, Vectors
from sightseq.tasks.classification.predict import Settings
from sightseq.tasks.classification.predict_windows import WindowPredictor
from sightseq.tasks.classification.sequences import SequenceClassificationTask


class SequenceSettings(Settings, TableSettings):
    """Options of `sightseq predict` for a classifier of sequences."""


class SequencePredictor(SequenceReader, WindowPredictor):
    """A trained classifier of sequences: see `SequenceReader` for what it reads.

    The row of a sequence has `label`, `probability` and `top`, averaged over its windows, and `timeline`: the label and
    probability of each window, with its start and end in seconds (in steps, if the model's data has no rate).
    """

    Settings: ClassVar[type[SequenceSettings]] = SequenceSettings
    task: SequenceClassificationTask

    def predict_items(self, items: Sequence[list[Vectors]], options: SequenceSettings) -> list[Row]:
        """Return a row for each sequence."""
        return self.voted(self.votes(self.windows(items), len(items), options.batch_size), options)

    def batch(self, items: Sequence[list[Vectors]]) -> Batch | None:
        """Return sequences of one window each; None if one has several."""
        if any(len(parts) > 1 or len(parts[0].values) > self.task.spec.steps for parts in items):
            return None
        return padded([part.values for (part,) in items])
