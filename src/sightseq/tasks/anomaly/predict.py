"""Prediction with a trained detector of anomalies: tables or arrays to what is unusual in them."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import groupby, islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.figure import Figure
from pydantic import Field

from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.errors import ConfigError, InputError
from sightseq.core.plots import write_figure
from sightseq.core.predictor import Row
from sightseq.core.windows import padded
from sightseq.series.sequence_inputs import SequenceReader, TableSettings, Vectors
from sightseq.tasks.anomaly.figures import errors_figure
from sightseq.tasks.anomaly.task import AnomalyTask


class AnomalySettings(TableSettings):
    """Options of `sightseq predict` for a detector of anomalies."""

    output: Path | None = Field(None, description="file (.png) to write a figure of the errors of one input to")


class AnomalyPredictor(SequenceReader):
    """A trained detector of anomalies: see `SequenceReader` for what it reads.

    The row of a sequence has `windows`, their number; `error`, the largest one; `events`, the times that are unusual:
    `start` and `end` of neighbouring windows whose error is above the threshold, and their largest `error`; and
    `timeline`: `start`, `end` and `error` of each window. Times are in seconds (in steps, if the model's data has no
    rate). With `output` it also has the path of the figure.
    """

    Settings: ClassVar[type[AnomalySettings]] = AnomalySettings
    local: ClassVar[Collection[str]] = (*SequenceReader.local, "output")
    task: AnomalyTask

    def check(self, inputs: Sequence[Any], options: AnomalySettings) -> None:
        """Refuse one figure of several sequences."""
        if options.output is None:
            return
        count = 0
        for given in inputs:
            with suppress(InputError):  # reported when the input is expanded
                count += len(self.expand(given, options)) if isinstance(given, str) else 1
        if count > 1:
            raise ConfigError(f"output={options.output}: is one figure, and there are {count} sequences")

    def predict_items(self, items: Sequence[list[Vectors]], options: AnomalySettings) -> list[Row]:
        """Return a row for each sequence."""
        timelines: list[list[Row]] = [[] for _ in items]
        cut = self.windows(items)
        while chunk := list(islice(cut, options.batch_size)):
            batch = {name: rows.to(self.task.device) for name, rows in padded([one.values for one in chunk]).items()}
            for window, error in zip(chunk, self.task.errors(batch).tolist(), strict=True):
                span = {"start": round(window.start, 3), "end": round(window.end, 3)}
                timelines[window.item].append({**span, "error": float(f"{error:.6g}")})
        return [self._row(timeline, options) for timeline in timelines]

    def _row(self, timeline: list[Row], options: AnomalySettings) -> Row:
        found = events(timeline, float(self.task.threshold))
        row = {"windows": len(timeline), "error": max(entry["error"] for entry in timeline), "events": found}
        if options.output is not None:
            row["output"] = write_figure(self._figure(timeline), options.output.expanduser())
        return {**row, "timeline": timeline}

    def _figure(self, timeline: Sequence[Row]) -> Figure:
        start, end, error = (np.array([entry[name] for entry in timeline]) for name in ("start", "end", "error"))
        unit = "seconds" if self.task.spec.rate else "steps"
        return errors_figure(error, None, float(self.task.threshold), (start + end) / 2, unit)

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name, the number of windows, the largest error, the events, and the path of the figure."""
        found = "; ".join(f"{one['start']:g} .. {one['end']:g} (error {one['error']:.3g})" for one in row["events"])
        output = {"output": row["output"]} if "output" in row else {}
        numbers = {"windows": str(row["windows"]), "largest error": f"{row['error']:.3g}"}
        return {"file": row["file"], **numbers, "unusual": found or "nothing", **output}

    def shown(self, item: list[Vectors], rows: Sequence[Row]) -> Sequence[Block]:
        """Return the figure and the table."""
        return [FigureBlock("Error of each window", self._figure(rows[0]["timeline"])), *super().shown(item, rows)]


def events(timeline: Sequence[Row], threshold: float) -> list[Row]:
    """Return the times that are unusual: neighbouring windows with errors above a threshold, joined."""
    runs = [list(run) for above, run in groupby(timeline, key=lambda entry: entry["error"] > threshold) if above]
    return [
        {"start": run[0]["start"], "end": run[-1]["end"], "error": max(entry["error"] for entry in run)} for run in runs
    ]
