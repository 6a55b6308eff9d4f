"""Tables that list recordings or videos with their labels."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sightseq.core.errors import DataError, nearest
from sightseq.data.captions.photo_names import PhotoNames
from sightseq.text.tables import SUFFIXES, read_table

SPEAKER = ("speaker", "speaker_id", "client_id")
SPLIT = ("split", "set", "subset")


class TableRow(NamedTuple):
    """A file of a table.

    Attributes:
        file: the recording or video.
        label: its label, or another text.
        group: who speaks, or another group; "" if the table has no such column.
        split: its split; "" if the table has no such column.
        place: place of the row, for messages.
    """

    file: Path
    label: str
    group: str
    split: str
    place: str


def find_table(folder: Path, split: str) -> Path | None:
    """Return the table of this name in a folder, with any suffix of a table; None if there is none."""
    return next((path for suffix in SUFFIXES if (path := folder / f"{split}{suffix}").is_file()), None)


def read_rows(
    name: str,
    table: Path,
    columns: Mapping[str, Sequence[str]],
    files: Sequence[Path],
    base: Path,
    delimiter: str | None = None,
    group: Sequence[str] = SPEAKER,
) -> Iterator[TableRow]:
    """Yield the files of a table.

    Args:
        name: name of the dataset, for messages.
        table: a CSV, TSV or JSONL file.
        columns: accepted names of the columns "file" and "label".
        files: all recordings or videos; see `PhotoNames` for how the table may name them.
        base: folder of the files.
        delimiter: see `read_table`.
        group: accepted names of the column of groups.

    Raises:
        DataError: the table has no such columns; a row has no label; or a file is missing, in the table twice or
            not named uniquely.
    """
    known, seen = PhotoNames(files, base), set[Path]()
    for place, row in read_table(table, [accepted[0] for accepted in columns.values()], delimiter):
        found = {kind: next((one for one in accepted if one in row), "") for kind, accepted in columns.items()}
        for kind, column in found.items():
            if not column:
                hint = nearest(columns[kind][0], map(str, row))
                raise DataError(f"{name}: {table} has no column {' or '.join(columns[kind])}; {hint}")
        given, label = (str(row[found[kind]] or "").strip() for kind in ("file", "label"))
        if not given or not label:
            raise DataError(f"{name}: {place}, has no {found['file']} or no {found['label']}; correct it")
        if (file := known.find(given, place)) is None:
            raise DataError(f"{name}: {place}: {given} is not below {base}; correct the table, or add the file")
        if file in seen:
            raise DataError(f"{name}: {place}: {given} is in the table twice; remove one of the rows")
        seen.add(file)
        yield TableRow(file, label, _value(row, group), _value(row, SPLIT), place)


def _value(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the value of the first of these columns that a row has; "" if it has none."""
    return next((str(row[one] or "").strip() for one in names if one in row), "")
