"""Tables of sensors: CSV, TSV and Parquet files with a row for each time, read by pyarrow (extra `forecasting`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import DataError, nearest
from sightseq.core.extras import require
from sightseq.series.grid import Values, median_rate, regular
from sightseq.series.tables import EXTRA, numbers, read_columns, read_header

TimeUnit = Literal["s", "ms", "us", "ns"]
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
OPTION = "data.channels"


def read_sensors(
    file: Path,
    channels: Sequence[str],
    *,
    time: str | None = None,
    names: Sequence[str] = (),
    unit: TimeUnit = "s",
    delimiter: str | None = None,
    decimal: str = ".",
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64], dict[str, NDArray[np.str_]]]:
    """Read the columns of a table.

    Args:
        file: its suffix is one of `SUFFIXES`.
        channels: columns of numbers, D.
        time: column of the times: numbers, or ISO 8601 with fractions of a second; None: there is none.
        names: columns of names, such as labels.
        unit: of times that are numbers.
        delimiter: see `series.tables.Layout`.
        decimal: see `series.tables.Layout`.

    Returns:
        The times in seconds [N], or None; the values [N, D], NaN where one is missing; and the columns of names [N], ""
        where one is missing.

    Raises:
        DataError: see `series.tables`; or the file lacks a column or has no rows.
    """
    header, sign = read_header(file, delimiter)
    wanted = [*dict.fromkeys((*([time] if time else []), *channels, *names))]
    for name in wanted:
        if header.count(name) != 1:
            hint = "rename all but one" if name in header else nearest(name, header)
            raise DataError(f"{file} has {'more than one' if name in header else 'no'} column {name!r}; {hint}")
    table = read_columns(file, wanted, sign, decimal, names)
    if not table.num_rows:
        raise DataError(f"{file} has no rows")
    values = np.empty((table.num_rows, len(channels)))
    for place, name in enumerate(channels):
        values[:, place] = numbers(table[name], name, str(file), decimal, OPTION)
    compute = require("pyarrow.compute", EXTRA)
    texts = {
        name: compute.fill_null(table[name].cast(require("pyarrow", EXTRA).string()), "").to_numpy().astype(str)
        for name in names
    }
    return None if time is None else _seconds(table[time], time, str(file), unit, decimal), values, texts


def read_vectors(
    file: Path, channels: Sequence[str], rate: float | None, *, time: str | None = None, **layout: Any
) -> list[tuple[float, Values]]:
    """Read a table as vectors at a rate; an interrupted recording has several parts: see `series.grid.regular`.

    Args:
        file: see `read_sensors`.
        channels: see `read_sensors`.
        time: see `read_sensors`.
        rate: steps per second, in Hz; None: each row is a step.
        layout: other arguments of `read_sensors`.

    Returns:
        For each part its first time in seconds, and its values [T, D].
    """
    times, values, _ = read_sensors(file, channels, time=time, **layout)
    if times is None or rate is None:
        return [(0.0, values.astype(np.float32))]
    return regular(times, values, rate)


def usual_rate(times: Sequence[NDArray[np.float64]]) -> float | None:
    """Return the median of the rates of recordings with these times in seconds, in Hz; None if none has two times."""
    rates = [rate for one in times if (rate := median_rate(one))]
    return float(np.median(rates)) if rates else None


def _seconds(column: Any, name: str, place: str, unit: TimeUnit, decimal: str) -> NDArray[np.float64]:
    """Return times in seconds [N]; time stamps are seconds since 1970."""
    pyarrow = require("pyarrow", EXTRA)
    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        row = next((number for number, text in enumerate(column.to_pylist()) if text is not None), 0)
        raise DataError(
            f"{place}, row {row + 1}: the time {column[row].as_py()!r} in the column {name!r} cannot be read; write "
            "times as numbers (data.time_unit says of what unit), or as 2024-03-31 02:30:00.250"
        )
    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("ns", column.type.tz)).cast(pyarrow.int64())
        unit = "ns"
    found = numbers(column, name, place, decimal)
    if np.isnan(found).any():
        row = int(np.flatnonzero(np.isnan(found))[0])
        raise DataError(f"{place}, row {row + 1}: the column {name!r} has no time")
    return found * UNITS[unit]
