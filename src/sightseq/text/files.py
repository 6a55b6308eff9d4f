"""The texts that are typed, or stand in a file of lines, a table, or standard input."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sightseq.core.errors import InputError, nearest
from sightseq.text.tables import SUFFIXES, read_table

SHOWN = 60  # characters of a text in a table
FILE_NAME = re.compile(r"\S+\.(txt|csv|tsv|jsonl|md)")  # what was meant as one, not as a text


def read_texts(given: str, column: str = "text", delimiter: str | None = None) -> Iterator[tuple[str, bytes]]:
    """The place of each text, and its bytes: the lines of a file or, for "-", of standard input, a column of a table,
    or the text that was given, whose place is "".

    Args:
        given: as typed.
        column: of a table.
        delimiter: of a table; see `text.tables.read_table`.

    Raises:
        InputError: there is no such file, or no such column in it.
    """
    if given == "-":
        yield from _numbered("standard input", sys.stdin.buffer)
    elif os.path.isdir(given):  # noqa: PTH112 (Path.is_dir raises where a text is no possible name)
        raise InputError(f"{given}: is a folder; name a file with a text a line")
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


def decoded(raw: str | bytes) -> str:
    """The text of these bytes.

    Raises:
        InputError: they are not UTF-8.
    """
    try:
        return raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8") from error


def short(text: str) -> str:
    """The beginning of a text, for a table: on one line, without characters that control the terminal."""
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
    return text.encode("utf-8", "surrogatepass")  # half a surrogate pair is refused when decoded


def _numbered(name: str, lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(lines, 1):
        mark = b"\xef\xbb\xbf" if number == 1 else b""  # byte order mark
        yield f"{name}, line {number}", line.removeprefix(mark).rstrip(b"\r\n")
