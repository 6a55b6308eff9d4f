"""Tables of texts: CSV, TSV and JSONL."""

import csv
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from sightseq.core.errors import ConfigError, DataError, nearest

SUFFIXES = {".csv": ",", ".tsv": "\t", ".jsonl": ""}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


class TableSettings(BaseModel):
    """Options of a predictor that also reads its texts from tables."""

    column: str = Field("text", description="column of the texts in a table (.csv or .tsv with a header, .jsonl)")
    delimiter: str | None = Field(
        None, description="delimiter of a table: comma, semicolon, tab, bar or one character; null: by file extension"
    )

    def check_inputs(self, inputs: Sequence[str]) -> None:
        """Raise ConfigError if `column` or `delimiter` is given and no input is a table."""
        useless = {"column", "delimiter"} & self.model_fields_set
        if useless and not any(given.lower().endswith(tuple(SUFFIXES)) for given in inputs):
            raise ConfigError(
                f"{' and '.join(sorted(useless))}: no input is a table ({', '.join(sorted(SUFFIXES))}); leave it out"
            )


def read_table(
    file: Path, wanted: Collection[str], delimiter: str | None = None, option: str = "data.delimiter"
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place of each row, for messages, and its values by column (header column or JSON key).

    Args:
        file: a CSV, TSV or JSONL file; its suffix is one of `SUFFIXES`.
        wanted: columns that the caller needs; a header with these columns under another delimiter only is an error.
        delimiter: between columns: a name of `DELIMITERS` or one character; by default that of the suffix.
        option: config key or option that sets the delimiter, for messages.

    Raises:
        ConfigError: the delimiter is invalid, or one is given for a JSONL file.
        DataError: the file is not a valid table, or not UTF-8.
    """
    separator = DELIMITERS.get(delimiter, delimiter) if delimiter else SUFFIXES[file.suffix.lower()]
    if len(separator) > 1 or separator in {'"', "\r", "\n"}:
        raise ConfigError(
            f"{option}={delimiter} is not a delimiter; {nearest(separator, DELIMITERS)}, or any one character"
        )
    csv.field_size_limit(2**31 - 1)
    number = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets write a byte order mark
            rows: Iterator[Any]
            if file.suffix.lower() == ".jsonl":
                if delimiter:
                    raise ConfigError(f"{option}={delimiter}: {file} has one JSON object per line, and no delimiter")
                rows = (json.loads(line) for line in stream if line.strip())
            else:
                _check_header(file, stream.readline(), separator, wanted, option)
                stream.seek(0)
                # Strict: otherwise an unclosed quote turns many rows into one value.
                rows = csv.DictReader(stream, delimiter=separator, strict=True)
            for number, row in enumerate(rows, 1):
                if not isinstance(row, dict):
                    raise DataError(f"{file}, row {number}, is not a JSON object")
                if None in row:
                    raise DataError(f"{file}, row {number}, has more values than columns; put its text in quotes")
                yield f"{file}, row {number}", row
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 after row {number}; save it as UTF-8") from error
    except csv.Error as error:
        remedy = 'put a value that contains quotes in quotes and double them: "a ""good"" film"'
        raise DataError(f"{file} cannot be read after row {number}: {error}; {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read after row {number}: {error}") from error


def _check_header(file: Path, line: str, separator: str, wanted: Collection[str], option: str) -> None:
    """Raise DataError if the header has the wanted columns, or more than one column, under another delimiter only."""
    columns = {name: next(csv.reader([line], delimiter=other), []) for name, other in DELIMITERS.items()}
    own = next(csv.reader([line], delimiter=separator), [])
    if set(wanted) <= set(own):
        return
    for name, header in columns.items():
        if DELIMITERS[name] != separator and (set(wanted) <= set(header) or len(own) == 1 < len(header)):
            raise DataError(f"{file}: the columns {', '.join(header)} are separated by a {name}; set {option}={name}")


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded as UTF-8; JSON can contain lone surrogates, which cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
