"""Conversion of time columns to seconds since 1970."""

from typing import Any

import numpy as np

from sightseq.core.errors import ConfigError, DataError
from sightseq.core.extras import require
from sightseq.series.zones import DAY, Seconds

EXTRA = "forecasting"
# Text formats that start with the year, so they are unambiguous; pyarrow itself reads full ISO 8601.
FORMATS = (
    "%Y-%m",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y.%m.%d",
    "%Y.%m.%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d",
)


def parse_times(column: Any, name: str, place: str, time_format: str | None = None) -> tuple[Seconds, bool]:
    """Parse a column of times.

    Args:
        column: pyarrow column of time stamps, dates, text, years, dates as YYYYMMDD, or seconds (format "unix").
        name: its name, for messages.
        place: name of the file, for messages.
        time_format: see `series.tables.Layout`.

    Returns:
        Seconds since 1970, [N], and whether they are UTC; otherwise they are wall times.

    Raises:
        DataError: a time is missing, cannot be read, or is finer than a second; the message names the row.
        ConfigError: the format is wrong.
    """
    pyarrow, compute = require("pyarrow", EXTRA), require("pyarrow.compute", EXTRA)
    kinds, kind = pyarrow.types, column.type
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise DataError(f"{place}, row {row + 1}: the column {name!r} has no time")
    if kinds.is_timestamp(kind):
        try:
            seconds = column.cast(pyarrow.timestamp("s", kind.tz))
        except pyarrow.ArrowInvalid as error:
            raise DataError(f"{place}: the column {name!r} has times finer than a second; round them") from error
        return _integers(seconds), kind.tz is not None
    if kinds.is_date(kind):
        return _integers(column.cast(pyarrow.timestamp("s"))), False
    if kinds.is_integer(kind) or kinds.is_floating(kind):
        return _from_numbers(column.to_numpy(), name, place, time_format)
    if not (kinds.is_string(kind) or kinds.is_large_string(kind)):
        raise DataError(f"{place}: the column {name!r} has {kind}, not times; name the one of times with data.time=")
    if time_format == "unix":
        raise DataError(f"{place}: the column {name!r} has text, not seconds; leave data.time_format out")
    attempts = []
    for tried in FORMATS if time_format is None else (time_format,):
        try:
            parsed = compute.strptime(column, format=tried, unit="s", error_is_null=True)
        except (ValueError, pyarrow.ArrowException) as error:
            raise ConfigError(f"data.time_format={tried} is not a format of times such as %d.%m.%Y") from error
        if not parsed.null_count:
            return _integers(parsed), "%z" in tried
        attempts.append(parsed)
    best = min(attempts, key=lambda parsed: parsed.null_count)
    row = int(np.flatnonzero(best.is_null().to_numpy())[0])
    raise DataError(
        f"{place}, row {row + 1}: the time {column[row].as_py()!r} in the column {name!r} cannot be read; write times "
        "as 2024-03-31 02:30:00, or give their format, such as data.time_format='%d.%m.%Y %H:%M'"
    )


def _from_numbers(values: Any, name: str, place: str, time_format: str | None) -> tuple[Seconds, bool]:
    """Convert years, dates as YYYYMMDD, or seconds since 1970."""
    numbers = values.astype(np.int64)
    if time_format == "unix":
        if (numbers != values).any():
            raise DataError(f"{place}: the column {name!r} has times finer than a second; round them")
        return numbers, True
    whole = (numbers == values).all()
    if whole and ((numbers >= 1000) & (numbers <= 2999)).all():
        years = (numbers - 1970).astype("datetime64[Y]")
        return years.astype("datetime64[s]").astype(np.int64), False
    year, month, day = numbers // 10000, numbers // 100 % 100, numbers % 100
    if whole and ((year >= 1000) & (year <= 2999) & (month >= 1) & (month <= 12) & (day >= 1)).all():
        months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
        days = months.astype("datetime64[D]").astype(np.int64) + day - 1
        if (days.astype("datetime64[D]").astype("datetime64[M]") == months).all():
            return days * DAY, False
    raise DataError(
        f"{place}: the column {name!r} has numbers such as {values[0]}, which are neither years nor dates as YYYYMMDD; "
        "name the column of times with data.time=, or give data.time_format=unix for seconds since 1970"
    )


def _integers(column: Any) -> Seconds:
    pyarrow = require("pyarrow", EXTRA)
    found: Seconds = column.cast(pyarrow.int64()).to_numpy()
    return found
