"""Tables of time series: CSV, TSV and Parquet files, read by pyarrow (extra `forecasting`)."""

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import ConfigError, DataError, nearest
from sightseq.core.extras import require
from sightseq.series.clock import parse_times
from sightseq.series.zones import Seconds

EXTRA = "forecasting"
SUFFIXES = {".csv": "", ".tsv": "\t", ".txt": "", ".parquet": ""}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "-", "?"]
HEADER = 2**20  # maximum bytes of the header line of a CSV file


@dataclass(frozen=True)
class Layout:
    """Roles and formats of the columns of a table.

    Attributes:
        targets: columns to forecast; None: every column without another role.
        past: covariates known up to the forecast origin.
        known: covariates known in advance.
        time: column of the times; None: the first column.
        series: column with the series name of each row; None: the table is one series.
        delimiter: delimiter of a CSV file, one of `DELIMITERS` or a character; None: the most frequent in the header.
        decimal: decimal point of a CSV file.
        time_format: format of the times for strptime, such as "%d.%m.%Y %H:%M", or "unix" for seconds since 1970, UTC;
            None: ISO 8601 (2024-03-31 02:30:00), or a leading part of it.
    """

    targets: tuple[str, ...] | None = None
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    time: str | None = None
    series: str | None = None
    delimiter: str | None = None
    decimal: str = "."
    time_format: str | None = None


@dataclass(frozen=True)
class Table:
    """Columns of numbers with their times.

    Attributes:
        targets: names of the first columns of `values`.
        columns: names of all columns of `values`: targets, past and known covariates.
        values: NaN where a value is missing, [N, columns].
        times: seconds since 1970, [N].
        in_utc: whether the times are UTC; otherwise they are wall times.
        series: index of the series of each row, [N].
        names: names of the series.
    """

    targets: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    times: Seconds
    in_utc: bool
    series: NDArray[np.int64]
    names: Sequence[str]


def read_table(file: Path, layout: Layout) -> Table:
    """Read a table; its suffix is one of `SUFFIXES`.

    Raises:
        ConfigError: pyarrow is not installed, or an option is wrong.
        DataError: the file is not such a table, lacks a column, or contains text or infinities in a column of numbers,
            or a time that cannot be read; the message names the row (1 is the first row after the header).
    """
    header, delimiter = read_header(file, layout.delimiter)
    wanted = _wanted(header, layout, str(file))
    as_text = {layout.time or wanted[0]} if layout.time_format not in (None, "unix") else set()
    as_text |= {layout.series} if layout.series else set()
    columns = read_columns(file, wanted, delimiter, layout.decimal, as_text)
    return make_table(columns, layout, str(file), file.stem)


def make_table(columns: Any, layout: Layout, place: str, name: str) -> Table:
    """Read the columns of a pyarrow table, such as one made from a pandas DataFrame.

    Args:
        columns: pyarrow table.
        layout: roles and formats of the columns.
        place: origin of the table, for messages.
        name: name of the series, if the table has no column of names.

    Raises:
        ConfigError: see `read_table`.
        DataError: see `read_table`.
    """
    header = list(columns.column_names)
    _wanted(header, layout, place)
    time, targets = _time(header, layout), _targets(header, layout)
    names = (*targets, *layout.past, *layout.known)
    if not columns.num_rows:
        raise DataError(f"{place} has no rows")
    times, in_utc = parse_times(columns[time], time, place, layout.time_format)
    values = np.empty((columns.num_rows, len(names)))
    for number, column in enumerate(names):
        values[:, number] = numbers(columns[column], column, place, layout.decimal)
        if np.isnan(values[:, number]).all():
            raise DataError(f"{place}: the column {column!r} has no value in any row")
    if layout.series is None:
        return Table(targets, names, values, times, in_utc, np.zeros(len(times), np.int64), [name])
    codes, series = _codes(columns[layout.series], layout.series, place)
    return Table(targets, names, values, times, in_utc, codes, series)


def _time(header: list[str], layout: Layout) -> str:
    return header[0] if layout.time is None else layout.time


def _targets(header: list[str], layout: Layout) -> tuple[str, ...]:
    """Return the columns to forecast: the chosen ones, or all without another role."""
    others = {_time(header, layout), layout.series, *layout.past, *layout.known}
    return tuple(name for name in header if name not in others) if layout.targets is None else layout.targets


def _wanted(header: list[str], layout: Layout, place: str) -> list[str]:
    """Return the columns to read; check that each occurs once and has one role."""
    time, targets = _time(header, layout), _targets(header, layout)
    columns = (*targets, *layout.past, *layout.known)
    wanted = [*dict.fromkeys((time, *columns, *((layout.series,) if layout.series else ())))]
    for name in wanted:
        if header.count(name) != 1:
            problem = "has no column" if name not in header else "has more than one column"
            hint = nearest(name, header) if name not in header else "rename all but one"
            raise DataError(f"{place} {problem} {name!r}; {hint}")
    if not targets:
        raise DataError(f"{place} has no column to forecast; name one with data.targets=[NAME]")
    if len(set(columns)) < len(columns) or {time, layout.series} & set(columns):
        raise ConfigError(
            "a column is named twice in data.time, data.series, data.targets, data.past and data.known; name it once"
        )
    return wanted


def read_header(file: Path, delimiter: str | None = None) -> tuple[list[str], str]:
    """Return the names of the columns, and the delimiter of a CSV file; for the arguments see `Layout`."""
    if file.suffix.lower() == ".parquet":
        parquet = require("pyarrow.parquet", EXTRA)
        try:
            return list(parquet.read_schema(file).names), ""
        except (OSError, ValueError) as error:
            raise DataError(f"{file} cannot be read: {_brief(error)}") from error
    try:
        with file.open("rb") as stream:
            line = stream.readline(HEADER).decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8; save it as such") from error
    if not line.strip():
        raise DataError(f"{file} has no header line with the names of its columns")
    sign = delimiter and DELIMITERS.get(delimiter, delimiter)
    sign = sign or SUFFIXES.get(file.suffix.lower()) or max(DELIMITERS.values(), key=line.count)
    if len(sign) != 1 or sign in '"\r\n':
        raise ConfigError(
            f"data.delimiter={delimiter} is not a delimiter; {nearest(sign, DELIMITERS)}, or use one character"
        )
    return next(csv.reader([line], delimiter=sign)), sign


def read_columns(file: Path, wanted: Sequence[str], delimiter: str, decimal: str, as_text: Collection[str] = ()) -> Any:
    """Return columns of a file as a pyarrow table.

    Args:
        file: of a kind in `SUFFIXES`.
        wanted: names of the columns.
        delimiter: of a CSV file, a character.
        decimal: decimal point of a CSV file.
        as_text: columns that are read as text; the types of the others are found out.

    Raises:
        DataError: the file cannot be read.
    """
    pyarrow = require("pyarrow", EXTRA)
    try:
        if file.suffix.lower() == ".parquet":
            return require("pyarrow.parquet", EXTRA).read_table(file, columns=list(wanted))
        reader = require("pyarrow.csv", EXTRA)
        return reader.read_csv(
            file,
            parse_options=reader.ParseOptions(delimiter=delimiter),
            convert_options=reader.ConvertOptions(
                include_columns=list(wanted),
                column_types={name: pyarrow.string() for name in as_text},
                null_values=MISSING,
                strings_can_be_null=True,
                decimal_point=decimal,
            ),
        )
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{file} cannot be read: {_brief(error)}") from error


def numbers(
    column: Any, name: str, place: str, decimal: str = ".", option: str = "data.targets"
) -> NDArray[np.float64]:
    """Return a pyarrow column of numbers, NaN where a value is missing, [N].

    Args:
        column: the column.
        name: its name, for messages.
        place: origin of the table, for messages.
        decimal: decimal point of numbers that were read as text.
        option: what names the columns of numbers, for messages.

    Raises:
        DataError: a value is text or infinite; the message names the row.
    """
    pyarrow, compute = require("pyarrow", EXTRA), require("pyarrow.compute", EXTRA)
    kind = column.type
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_dictionary(kind):
        text = compute.utf8_trim_whitespace(column.cast(pyarrow.string()))
        text = text if decimal == "." else compute.replace_substring(text, decimal, ".")
        number = compute.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
        bad = np.flatnonzero(compute.fill_null(compute.invert(number), False).to_numpy(zero_copy_only=False))
        if len(bad):
            raise DataError(
                f"{place}, row {bad[0] + 1}: the column {name!r} has {text[int(bad[0])].as_py()!r}, which is not a "
                f"number; correct it, or name the columns of numbers with {option}=[...]"
            )
        column = text
    elif not (
        pyarrow.types.is_integer(kind)
        or pyarrow.types.is_floating(kind)
        or pyarrow.types.is_decimal(kind)
        or pyarrow.types.is_boolean(kind)
        or pyarrow.types.is_null(kind)
    ):
        raise DataError(f"{place}: the column {name!r} has {kind}, not numbers; leave it out with {option}=[...]")
    values: NDArray[np.float64] = column.cast(pyarrow.float64(), safe=False).to_numpy().astype(np.float64)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise DataError(f"{place}, row {row + 1}: the column {name!r} is infinite; correct it, or leave it empty")
    return values


def _codes(column: Any, name: str, place: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return the index of the series of each row, [N], and the names of the series in order of their first row."""
    pyarrow = require("pyarrow", EXTRA)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise DataError(f"{place}, row {row + 1}: the column {name!r}, which names the series, is empty")
    if pyarrow.types.is_string(column.type):
        column = column.cast(pyarrow.large_string())  # one array may exceed 2 GiB
    # Encoding one combined array is ten times as fast as unifying the dictionaries of many chunks.
    encoded = pyarrow.chunked_array([column.combine_chunks()]).dictionary_encode().chunk(0)
    return encoded.indices.to_numpy().astype(np.int64), [str(value) for value in encoded.dictionary.to_pylist()]


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
