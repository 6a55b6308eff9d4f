"""Reads sentence pairs from two line-aligned files, or from a table of two columns."""

from itertools import zip_longest
from pathlib import Path

from sightseq.core.errors import DataError
from sightseq.text.sentences import clean_sentence, read_lines


def read_aligned(source: Path, target: Path, skipped: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of two files in which line N of one translates line N of the other.

    Args:
        source: file of the source language.
        target: file of the target language.
        skipped: the places of pairs with an empty line, which are left out, are appended.

    Raises:
        DataError: the files have different numbers of lines, or one is not UTF-8.
    """
    pairs: list[tuple[str, str]] = []
    counts = [0, 0]
    for number, lines in enumerate(zip_longest(read_lines(source), read_lines(target)), 1):
        counts = [number if line is not None else count for line, count in zip(lines, counts, strict=True)]
        if None not in lines:
            _add(pairs, *lines, f"{source}, line {number}", skipped)
    if counts[0] != counts[1]:
        raise DataError(
            f"{source} has {counts[0]:,} lines, and {target} has {counts[1]:,}; line N of one must translate line N of "
            "the other"
        )
    return pairs


def read_columns(file: Path, skipped: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of a file with one pair per line: text TAB text, and further columns that are not read.

    Quotes have no meaning. There is no header.

    Args:
        file: the file, UTF-8.
        skipped: see `read_aligned`.

    Raises:
        DataError: a line has no tab, or is not UTF-8.
    """
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(read_lines(file), 1):
        place = f"{file}, line {number}"
        columns = line.split("\t")
        if len(columns) < 2 and line.strip():
            raise DataError(f"{place}, has no tab; each line needs a text, a tab and its translation")
        _add(pairs, columns[0], columns[1] if len(columns) > 1 else "", place, skipped)
    return pairs


def _add(pairs: list[tuple[str, str]], source: str, target: str, place: str, skipped: list[str]) -> None:
    pair = (clean_sentence(source), clean_sentence(target))
    if all(pair):
        pairs.append(pair)
    else:
        skipped.append(f"{place}, where a side is empty")
