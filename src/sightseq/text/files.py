"""Reading texts for prediction: from an argument, a file of lines, a table, or standard input."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sightseq.core.errors import InputError, nearest
from sightseq.text.tables import SUFFIXES, read_table

SHOWN = 60  # characters of a text in a table
FILE_NAME = re.compile(r"\S+\.(txt|csv|tsv|jsonl|md)")  # an argument like this is meant as a file, not as a text


def read_texts(given: str, column: str = "text", delimiter: str | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the place and the bytes of each text.

    Args:
        given: a file of lines, a table, "-" for the lines of standard input, or the text itself, whose place is "".
        column: column of a table.
        delimiter: delimiter of a table: see `text.tables.read_table`.

    Raises:
        InputError: `given` looks like a file that does not exist, is a folder, or is a table without this column.
        DataError: a table cannot be read.
    """
    if given == "-":
        yield from _numbered("standard input", sys.stdin.buffer)
    elif os.path.isdir(given):  # noqa: PTH112 (Path.is_dir raises for a text that cannot be a file name)
        raise InputError(f"{given}: is a folder; name a file with one text per line")
    elif os.path.isfile(given):  # noqa: PTH113 (as above)
        if (file := Path(given)).suffix.lower() in SUFFIXES:
            yield from _column(file, column, delimiter)
        else:
            with file.open("rb") as lines:
                yield from _numbered(given, lines)
    elif FILE_NAME.fullmatch(given):
        raise InputError(f"{given}: there is no such file")
    else:
        yield "", _encoded(given)


def decode_utf8(raw: str | bytes) -> str:
    """Decode UTF-8 bytes; a string is returned unchanged.

    Raises:
        InputError: the bytes are not UTF-8.
    """
    try:
        return raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8") from error


def short(text: str) -> str:
    """Return the beginning of a text, for a table: on one line, without terminal control characters."""
    text = "".join(c if c.isprintable() else " " for c in text[: 2 * SHOWN])
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _column(file: Path, column: str, delimiter: str | None) -> Iterator[tuple[str, bytes]]:
    for place, row in read_table(file, [column], delimiter, "delimiter"):
        if column not in row:
            raise InputError(
                f"{place}, has no column {column!r}; {nearest(column, map(str, row))}; name it with column="
            )
        yield place, _encoded(row[column]) if isinstance(row[column], str) else b""


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # `decoded` then refuses a lone surrogate


def _numbered(name: str, lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(lines, 1):
        mark = b"\xef\xbb\xbf" if number == 1 else b""  # byte order mark
        yield f"{name}, line {number}", line.removeprefix(mark).rstrip(b"\r\n")
