"""Samples listed in tables: a column of files, a column of transcripts, and perhaps writers or speakers and splits."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError, nearest
from sightseq.data.captions.photo_names import PhotoNames
from sightseq.data.image.image_folder import SPLITS as FOLDERS
from sightseq.data.transcribed import Sample, TranscribedData
from sightseq.text.tables import SUFFIXES, is_unicode, read_table

SPLITS = {**FOLDERS, "dev": "val"}
VALIDATED = "validated"  # the table of Common Voice with all clips that listeners have confirmed
# Names of columns, in any case, that are found without an option; the first that a table has is used.
FILES = ("path", "file", "filename", "file_name", "image", "img", "audio", "wav", "clip", "image_path", "audio_path")
TEXTS = ("sentence", "text", "transcript", "transcription", "identity", "label", "words", "raw_transcription")
GROUPS = ("client_id", "speaker", "speaker_id", "writer", "writer_id", "spk", "group")
SPLIT_COLUMNS = ("split", "set", "subset")


class TranscriptTable(TranscribedData):
    """Files with transcripts, listed in one table, or in tables named train, val (valid, validation, dev) and test.

    A table is a `.csv` or `.tsv` file with a header, or a `.jsonl` file with one object a line. Files are named with or
    without their folders. Columns that are not named by an option are found by their names: see `FILES`, `TEXTS`,
    `GROUPS` and `SPLIT_COLUMNS`.

    A row whose file is not there is refused, or left out with `corrupt="skip"`. A row without transcript is left out
    and counted. A file must not be in two rows.

    Args:
        path: the table, or the folder of the tables; by default the first of `folders` under `root`.
        folder: folder of the images or clips; by default that of the table.
        file, text: names of the columns of files and transcripts.
        group: name of the column of writers or speakers; none of them is in two splits that are drawn.
        split: name of the column of splits, if there is only one table.
        delimiter: between columns: comma, semicolon, tab, bar, or one character; by default that of the file's suffix.
        unusable: transcripts that mean that nobody can read or hear the sample, such as UNREADABLE; it is left out.
        common: see `TranscribedData`.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        folder: str | None = None,
        file: str | None = None,
        text: str | None = None,
        group: str | None = None,
        split: str | None = None,
        delimiter: str | None = None,
        unusable: Sequence[str] = (),
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)
        self.given_folder = None if self.synthetic else own_path(folder)
        self.columns = {"file": file, "text": text, "group": group, "split": split}
        self.delimiter, self.unusable = delimiter, frozenset(unusable)

    @abstractmethod
    def find(self, folder: Path) -> list[Path]:
        """Return the images or clips in a folder and its subfolders."""

    @abstractmethod
    def save(self, folder: Path, splits: dict[str, list[Sample]], skipped: list[str], remarks: list[str]) -> None:
        """Read and save the samples of each split, and what is to be said of them."""

    def cache_key(self) -> dict[str, Any]:
        """Options that change what is read from the files."""
        options = {"columns": self.columns, "delimiter": self.delimiter, "unusable": sorted(self.unusable)}
        return {**super().cache_key(), **options}

    def locate(self) -> list[Path]:
        """Return the tables, and all images or clips in the folder and its subfolders.

        Raises:
            DataError: there is no table, or it is not clear which one is meant; or there are no images or clips.
        """
        place = find_own(self.name, self.path, self.root, self.folders, f"FILE ({', '.join(SUFFIXES)})")
        tables = self._tables(place)
        self.base = self.given_folder or tables[0].parent
        if not (found := self.find(self.base)):
            raise DataError(f"{self.name}: {self.base} contains no files to read; name their folder with data.folder=")
        return [*tables, *found]

    def _tables(self, place: Path) -> list[Path]:
        if place.is_file():
            if place.suffix.lower() not in SUFFIXES:
                raise DataError(f"{self.name}: {place} is not one of {', '.join(SUFFIXES)}")
            return [place]
        tables = [file for file in sorted(place.iterdir()) if file.suffix.lower() in SUFFIXES and file.stem[0] != "."]
        divided = [file for file in tables if file.stem.lower() in SPLITS]
        splits = [SPLITS[file.stem.lower()] for file in divided]
        if "train" in splits and len(set(splits)) == len(splits):
            return divided
        tables = [file for file in tables if file.stem.lower() == VALIDATED] or tables
        if len(tables) != 1:
            found = ", ".join(file.name for file in tables[:3]) or "none"
            raise DataError(
                f"{self.name}: {place} needs one table ({', '.join(SUFFIXES)}), or one for each of train, val and "
                f"test, and has {found}; name yours with data.path=FILE"
            )
        return tables

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the tables, then all files that they list.

        Raises:
            DataError: a table cannot be read or lacks a column, a file is listed twice, or a file is not there or
                cannot be read and `corrupt` is "error".
        """
        tables = [file for file in sources if file.suffix.lower() in SUFFIXES]
        names = PhotoNames([file for file in sources if file.suffix.lower() not in SUFFIXES], self.base)
        splits: dict[str, list[Sample]] = {}
        skipped: list[str] = []
        listed: dict[Path, str] = {}
        for table in tables:
            for place, row in read_table(table, [name for name in self.columns.values() if name], self.delimiter):
                columns = self._find_columns(place, row)
                values = {option: _text(row[name]) if name else "" for option, name in columns.items()}
                split = SPLITS[table.stem.lower()] if len(tables) > 1 else self._split(place, columns, values)
                file = names.find(values["file"], place)
                if file is None:
                    self._reject(f"{place}: there is no file {values['file']!r} below {self.base}", skipped)
                elif (other := listed.setdefault(file, place)) != place:
                    raise DataError(f"{self.name}: {other} and {place} are the same file, {file}; remove one row")
                elif values["text"].strip() in self.unusable or not is_unicode(values["text"]):
                    skipped.append(f"{place}: its transcript is {values['text']!r}")
                else:
                    splits.setdefault(split, []).append(Sample(file, values["text"], values["group"]))
        if "train" not in splits:
            raise DataError(f"{self.name}: {tables[0]} has no training sample with a file and a transcript")
        self.save(folder, splits, skipped, shared_groups(splits))

    def _find_columns(self, place: str, row: Collection[str]) -> dict[str, str | None]:
        """Return the name in the table of each column, None for one that it does not have."""
        present = {str(name).strip().casefold(): name for name in row}
        known = {"file": FILES, "text": TEXTS, "group": GROUPS, "split": SPLIT_COLUMNS}
        columns: dict[str, str | None] = {}
        for option, given in self.columns.items():
            if given is not None and given not in row:
                raise DataError(
                    f"{self.name}: {place}, has no column {given!r} (data.{option}); {nearest(given, map(str, row))}"
                )
            columns[option] = given or next((present[name] for name in known[option] if name in present), None)
        for option in ("file", "text"):
            if columns[option] is None:
                raise DataError(
                    f"{self.name}: {place}, has the columns {', '.join(map(str, row))}; name that of the {option}s "
                    f"with data.{option}="
                )
        return columns

    def _split(self, place: str, columns: dict[str, str | None], values: dict[str, str]) -> str:
        """Return the split of a row of the only table."""
        if columns["split"] is None:
            return "train"
        if (given := values["split"].strip().lower()) not in SPLITS:
            raise DataError(
                f"{self.name}: {place}, has {values['split']!r} in the column {columns['split']!r}; it must be train, "
                "val or test, in each row"
            )
        return SPLITS[given]

    def _reject(self, problem: str, skipped: list[str]) -> None:
        if self.corrupt != "skip":
            raise DataError(f"{self.name}: {problem}; correct it, or leave such rows out with data.corrupt=skip")
        skipped.append(problem)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def shared_groups(splits: dict[str, list[Sample]]) -> list[str]:
    """Return remarks on writers or speakers that are both in training and in another split."""
    known = {split: {sample.group for sample in samples} - {""} for split, samples in splits.items()}
    return [
        f"{len(shared):,} writers or speakers are in train and in {split}"
        for split, groups in known.items()
        if split != "train" and (shared := groups & known["train"])
    ]
