"""Tables of texts: CSV, TSV and JSONL."""

import csv
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from sightseq.core.errors import ConfigError, DataError, nearest

SUFFIXES = {".csv": ",", ".tsv": "\t", ".jsonl": ""}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


def read_table(
    file: Path, wanted: Collection[str], delimiter: str | None = None, option: str = "data.delimiter"
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row stands, and its values by column: those of a header, or of one JSON object a line.

    Args:
        file: its suffix is one of `SUFFIXES`.
        wanted: the columns that will be read; a header that has them only under another delimiter is refused.
        delimiter: between columns, one of `DELIMITERS` or a sign; by default that of the suffix.
        option: the key that sets it, for messages.

    Raises:
        ConfigError: the delimiter is none.
        DataError: it is no such table, or not UTF-8.
    """
    sign = DELIMITERS.get(delimiter, delimiter) if delimiter else SUFFIXES[file.suffix.lower()]
    if len(sign) > 1 or sign in {'"', "\r", "\n"}:
        raise ConfigError(f"{option}={delimiter} is no sign between columns; {nearest(sign, DELIMITERS)}, or any sign")
    csv.field_size_limit(2**31 - 1)
    number = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets begin their files with a mark
            rows: Iterator[Any]
            if file.suffix.lower() == ".jsonl":
                if delimiter:
                    raise ConfigError(f"{option}={delimiter}: {file} has a JSON object a line, and no delimiter")
                rows = (json.loads(line) for line in stream if line.strip())
            else:
                _check_header(file, stream.readline(), sign, wanted, option)
                stream.seek(0)
                # Strict, for else a quote that nothing ends makes one value of many rows.
                rows = csv.DictReader(stream, delimiter=sign, strict=True)
            for number, row in enumerate(rows, 1):
                if not isinstance(row, dict):
                    raise DataError(f"{file}, row {number}, is no object of columns")
                if None in row:
                    raise DataError(f"{file}, row {number}, has more values than columns; put its text in quotes")
                yield f"{file}, row {number}", row
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 after row {number}; save it as such") from error
    except csv.Error as error:
        remedy = 'a value with quotes in it stands in quotes, and they are doubled: "a ""good"" film"'
        raise DataError(f"{file} cannot be read after row {number}: {error}; {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read after row {number}: {error}") from error


def _check_header(file: Path, line: str, sign: str, wanted: Collection[str], option: str) -> None:
    columns = {name: next(csv.reader([line], delimiter=other), []) for name, other in DELIMITERS.items()}
    own = next(csv.reader([line], delimiter=sign), [])
    if set(wanted) <= set(own):
        return
    for name, found in columns.items():
        if DELIMITERS[name] != sign and (set(wanted) <= set(found) or len(own) == 1 < len(found)):
            raise DataError(
                f"{file}: the columns {', '.join(found)} are separated by a {name}; say so with {option}={name}"
            )


def is_unicode(text: str) -> bool:
    """Whether it can be written down: JSON can spell half a character."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
