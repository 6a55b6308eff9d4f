"""Prediction with a trained classifier of sequences: tables or arrays to labels, with a timeline of windows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightseq.core.errors import ConfigError, DataError, InputError
from sightseq.core.predictor import Row
from sightseq.series.grid import Values, windows
from sightseq.series.sensor_tables import SUFFIXES, TimeUnit, read_vectors
from sightseq.tasks.classification.predict import Settings
from sightseq.tasks.classification.predict_windows import Window, WindowPredictor
from sightseq.tasks.classification.sequences import SequenceClassificationTask


class SequenceSettings(Settings):
    """Options of `sightseq predict` for a classifier of sequences."""

    time: str | None = Field(None, description="column of the times; null: rows are steps at the model's rate")
    time_unit: TimeUnit = Field("s", description="unit of times that are numbers: s, ms, us or ns")
    delimiter: str | None = Field(
        None, description="comma, semicolon, tab, bar, or a character; null: as in the header"
    )
    decimal: str = Field(".", description="decimal point: . or ,")


class Source(NamedTuple):
    """A file, the number of the sequence in it (None: the whole file), and the options to read it."""

    file: Path
    number: int | None
    options: SequenceSettings


class Vectors(NamedTuple):
    """A sequence [T, D] in the units of the data, and its first time in seconds."""

    values: Values
    start: float


class SequencePredictor(WindowPredictor):
    """A trained classifier of sequences; reads tables (.csv, .tsv, .parquet), arrays (.npy) or arrays [T, D].

    A table has a column for each channel of the model; a .npy file has [T, D], or N sequences [N, T, D]. A missing
    value is empty or NaN. The row of a sequence has `label`, `probability` and `top`, averaged over its windows, and
    `timeline`: the label and probability of each window, with its start and end in seconds (in steps, if the model's
    data has no rate).
    """

    Settings: ClassVar[type[SequenceSettings]] = SequenceSettings
    task: SequenceClassificationTask

    def expand(self, given: str, options: SequenceSettings) -> list[tuple[str, Source]]:
        """Return the sequences of a file, or of all such files in a folder.

        Raises:
            InputError: there are none.
        """
        place, kinds = Path(given), (*SUFFIXES, ".npy")
        files = sorted(file for file in place.iterdir() if file.suffix.lower() in kinds) if place.is_dir() else [place]
        if not files or not files[0].is_file() or files[0].suffix.lower() not in kinds:
            raise InputError(
                f"{given} is no sequence, and no folder of some; give files of the kinds {', '.join(kinds)}"
            )
        return [item for file in files for item in self._sequences(file, options)]

    def _sequences(self, file: Path, options: SequenceSettings) -> list[tuple[str, Source]]:
        if file.suffix.lower() == ".npy" and (array := _load(file)).ndim == 3:
            return [(f"{file}, sequence {n + 1}", Source(file, n, options)) for n in range(len(array))]
        return [(str(file), Source(file, None, options))]

    def read(self, raw: Source | str | Path | NDArray[Any]) -> list[Vectors]:
        """Return a sequence at the model's rate; its parts, if it is interrupted.

        Raises:
            InputError: a file cannot be read, or lacks a channel; or an array has another shape, or infinite values.
        """
        if isinstance(raw, np.ndarray):
            return [Vectors(self._checked(raw, "an array"), 0.0)]
        source = raw if isinstance(raw, Source) else Source(Path(raw), None, self.options({}))
        file, number, given = source
        if file.suffix.lower() == ".npy":
            values = _load(file)
            return [Vectors(self._checked(values if number is None else values[number], str(file)), 0.0)]
        spec = self.task.spec
        layout = {"time": given.time, "unit": given.time_unit, "delimiter": given.delimiter, "decimal": given.decimal}
        try:
            parts = read_vectors(file, spec.channels, spec.rate, **layout)
        except (DataError, ConfigError) as error:  # the messages name options of `data` in training
            raise InputError(str(error).replace("data.", "")) from error
        return [Vectors(self._checked(values, str(file)), start) for start, values in parts]

    def _checked(self, values: NDArray[Any], place: str) -> Values:
        """Return values [T, D] as the model takes them."""
        spec = self.task.spec
        if values.ndim != 2 or values.shape[1] != len(spec.channels) or not len(values):
            raise InputError(
                f"{place} has the shape {list(values.shape)}; the model reads [T, {len(spec.channels)}], the channels "
                f"{', '.join(spec.channels[:12])}{', ...' if len(spec.channels) > 12 else ''}"
            )
        if not np.issubdtype(values.dtype, np.number) or np.isinf(values).any():
            raise InputError(f"{place} has values that are infinite, or no numbers; leave them empty, or use NaN")
        values = values.astype(np.float32)
        return np.where(values == 0, np.float32(np.nan), values) if spec.zero_missing else values

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

    def length(self, item: list[Vectors]) -> int:
        """Return the length in steps."""
        return sum(len(part.values) for part in item)

    def origin(self, place: str, item: Any) -> Row:
        """Return the file name."""
        return {"file": place}


def _load(file: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    return array
