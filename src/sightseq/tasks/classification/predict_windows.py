"""Base of the predictors of classifiers that vote over the windows of a long input, such as a video."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple

import torch
from torch import Tensor

from sightseq.core.predictor import Row
from sightseq.core.windows import Window, padded
from sightseq.tasks.classification.predict import ClassPredictor, Settings


class Vote(NamedTuple):
    """The windows of an input: a row for each with its class, and the probabilities [N, num_classes]."""

    timeline: list[Row]
    probabilities: Tensor


class WindowPredictor(ClassPredictor):
    """A trained classifier of sequences [B, T, ...] with lengths; a subclass cuts inputs into windows.

    The row of an input has `label`, `probability` and `top`, averaged over its windows, and `timeline`: the label and
    probability of each window, with its `start` and `end`.
    """

    def votes(self, windows: Iterator[Window], count: int, batch_size: int) -> list[Vote]:
        """Predict windows in batches.

        Args:
            windows: of all inputs, in order; each has at least one.
            count: number of inputs.
            batch_size: windows per batch.
        """
        classes = self.task.spec.classes
        timelines: list[list[Row]] = [[] for _ in range(count)]
        found: list[list[Tensor]] = [[] for _ in range(count)]
        while batch := list(islice(windows, batch_size)):
            for window, row in zip(batch, self._probabilities(padded([one.values for one in batch])), strict=True):
                best = int(row.argmax())
                span = {"start": round(window.start, 3), "end": round(window.end, 3)}
                timelines[window.item].append(
                    {**span, "label": classes[best], "probability": round(float(row[best]), 6)}
                )
                found[window.item].append(row)
        return [Vote(line, torch.stack(rows)) for line, rows in zip(timelines, found, strict=True)]

    def voted(self, votes: Sequence[Vote], options: Settings) -> list[Row]:
        """Return the row of each input."""
        means = torch.stack([vote.probabilities.mean(0) for vote in votes])
        rows = self.ranked(means, options.top)
        return [{**row, "timeline": vote.timeline} for row, vote in zip(rows, votes, strict=True)]

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name, the cells of `ClassPredictor`, and the timeline, equal neighbours joined."""
        return {"file": row["file"], **super().cells(row), "timeline": timeline(row["timeline"])}


def timeline(entries: Iterable[Row]) -> str:
    """Return windows as "0 .. 12.5 walk; 10 .. 20 sit"; neighbours with the same label are joined."""
    runs = [list(run) for _, run in groupby(entries, key=lambda entry: entry["label"])]
    return "; ".join(f"{run[0]['start']:g} .. {run[-1]['end']:g} {run[0]['label']}" for run in runs)
