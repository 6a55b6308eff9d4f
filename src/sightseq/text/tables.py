"""Tables of texts: CSV, TSV and JSONL."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightseq.core.errors import DataError

SUFFIXES = {".csv": ",", ".tsv": "\t", ".jsonl": ""}


def read_table(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row stands, and its values by column: those of a header, or of one JSON object a line.

    Raises:
        DataError: it is no such table, or not UTF-8.
    """
    csv.field_size_limit(2**31 - 1)
    number = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets begin their files with a mark
            rows: Iterator[Any]
            if file.suffix.lower() == ".jsonl":
                rows = (json.loads(line) for line in stream if line.strip())
            else:
                # Strict, for else a quote that nothing ends makes one value of many rows.
                rows = csv.DictReader(stream, delimiter=SUFFIXES[file.suffix.lower()], strict=True)
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


def is_unicode(text: str) -> bool:
    """Whether it can be written down: JSON can spell half a character."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
