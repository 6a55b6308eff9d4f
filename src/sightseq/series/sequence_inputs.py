"""Sequences of vectors as inputs of a trained model: tables, .npy files, or arrays."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightseq.core.errors import ConfigError, DataError, InputError
from sightseq.core.page import Widget
from sightseq.core.predictor import Predictor, Row, Settings
from sightseq.core.windows import Window, windows
from sightseq.series.grid import Values
from sightseq.series.sensor_tables import TimeUnit, read_vectors
from sightseq.series.sequence_spec import SequenceSpec
from sightseq.series.tables import SUFFIXES


class TableSettings(Settings):
    """Options of `sightseq predict` for sequences in tables."""

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
    options: TableSettings


class Vectors(NamedTuple):
    """A sequence [T, D] in the units of the data, and its first time in seconds."""

    values: Values
    start: float


SequenceSource = Source | str | Path | NDArray[Any]
"""A file (.csv, .tsv, .parquet, .npy), one of the sequences in it, or an array [T, D]."""


class SequenceReader(Predictor):
    """Base of the predictors of models with a `SequenceSpec`: reads sequences and cuts them into windows.

    Inputs are tables (.csv, .tsv, .parquet) with a column for each channel of the model, arrays (.npy) [T, D] or
    [N, T, D], or from Python arrays [T, D]. A missing value is empty or NaN. `Settings` is a `TableSettings`.
    """

    widget: ClassVar[Widget | None] = Widget("file", "a table or an array", (*SUFFIXES, ".npy"))

    @property
    def spec(self) -> SequenceSpec:
        """The spec of the model."""
        return cast(SequenceSpec, self.task.spec)

    def expand(self, given: str, options: TableSettings) -> list[tuple[str, Source]]:
        """See `find_sequences`."""
        return find_sequences(given, options)

    def read(self, raw: SequenceSource) -> list[Vectors]:
        """See `read_sequence`."""
        return read_sequence(raw, self.spec)

    def windows(self, items: Sequence[list[Vectors]]) -> Iterator[Window]:
        """Yield the windows of sequences, each in its parts, with times in seconds; in steps if there is no rate."""
        spec, unit = self.spec, 1 / (self.spec.rate or 1)
        for number, parts in enumerate(items):
            for part in parts:
                for first, last in windows(len(part.values), spec.steps, spec.stride or spec.steps):
                    times = part.start + first * unit, part.start + last * unit
                    yield Window(number, *times, part.values[first:last])

    def length(self, item: list[Vectors]) -> int:
        """Return the length in steps."""
        return sum(len(part.values) for part in item)

    def origin(self, place: str, item: Any) -> Row:
        """Return the file name."""
        return {"file": place}


def find_sequences(given: str, options: TableSettings) -> list[tuple[str, Source]]:
    """Return the sequences of a file, or of all such files in a folder, each with its place.

    Raises:
        InputError: there are none.
    """
    place, kinds = Path(given), (*SUFFIXES, ".npy")
    files = sorted(file for file in place.iterdir() if file.suffix.lower() in kinds) if place.is_dir() else [place]
    if not files or not files[0].is_file() or files[0].suffix.lower() not in kinds:
        raise InputError(f"{given} is no sequence, and no folder of some; give files of the kinds {', '.join(kinds)}")
    return [item for file in files for item in _sequences(file, options)]


def _sequences(file: Path, options: TableSettings) -> list[tuple[str, Source]]:
    if file.suffix.lower() == ".npy" and (array := _load(file)).ndim == 3:
        return [(f"{file}, sequence {n + 1}", Source(file, n, options)) for n in range(len(array))]
    return [(str(file), Source(file, None, options))]


def read_sequence(raw: SequenceSource, spec: SequenceSpec) -> list[Vectors]:
    """Return a sequence at the model's rate; its parts, if it is interrupted.

    Raises:
        InputError: a file cannot be read, or lacks a channel; or an array has another shape, or infinite values.
    """
    if isinstance(raw, np.ndarray):
        return [Vectors(_checked(raw, "an array", spec), 0.0)]
    file, number, given = raw if isinstance(raw, Source) else Source(Path(raw), None, TableSettings.model_validate({}))
    if file.suffix.lower() == ".npy":
        values = _load(file)
        return [Vectors(_checked(values if number is None else values[number], str(file), spec), 0.0)]
    layout = {"time": given.time, "unit": given.time_unit, "delimiter": given.delimiter, "decimal": given.decimal}
    try:
        parts = read_vectors(file, spec.channels, spec.rate, **layout)
    except (DataError, ConfigError) as error:  # the messages name options of `data` in training
        raise InputError(str(error).replace("data.", "")) from error
    return [Vectors(_checked(values, str(file), spec), start) for start, values in parts]


def _checked(values: NDArray[Any], place: str, spec: SequenceSpec) -> Values:
    """Return values [T, D] as the model takes them."""
    if values.ndim != 2 or values.shape[1] != len(spec.channels) or not len(values):
        raise InputError(
            f"{place} has the shape {list(values.shape)}; the model reads [T, {len(spec.channels)}], the channels "
            f"{', '.join(spec.channels[:12])}{', ...' if len(spec.channels) > 12 else ''}"
        )
    if not np.issubdtype(values.dtype, np.number) or np.isinf(values).any():
        raise InputError(f"{place} has values that are infinite, or no numbers; leave them empty, or use NaN")
    values = values.astype(np.float32)
    return np.where(values == 0, np.float32(np.nan), values) if spec.zero_missing else values


def _load(file: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    return array
