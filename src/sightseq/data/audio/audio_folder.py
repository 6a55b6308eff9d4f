"""A user's own recordings: a folder of clips for each class, or tables that list them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sightseq.audio.files import audio_files
from sightseq.core.download import find_own, own_path
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.audio.clips import Clip, ClipData
from sightseq.data.audio.synthetic import chirp, write_wav
from sightseq.data.audio.waveforms import Piece
from sightseq.data.file_tables import find_table, read_rows
from sightseq.data.labelled_files import SPLITS, in_class_folders

FILE = ("file", "path", "filename", "wav")
LABEL = ("class", "label", "category", "target")


class AudioFolder(ClipData):
    """`path/cat/1.wav`, `path/dog/2.flac`, ..., or the same below `path/train`, `path/val` and `path/test`.

    If the folder has a table `train.csv` (or .tsv, .jsonl), the tables `train`, `val` and `test` list the recordings
    instead, with their classes, and perhaps their speakers. Missing splits are drawn from "train": see `ClipData`.

    Args:
        path: the folder; without it, the first of `folders` under `root`.
        file: column of the file names in the tables; None: file, path, filename or wav.
        label: column of the classes; None: class, label, category or target.
        delimiter: of the tables: comma, semicolon, tab, bar, or one character; None: by the suffix.
        speaker: regular expression whose first group finds the speaker in a file name (without its suffix), such as
            "(.*)_NO_"; None: the column speaker of the tables, if there is one.
        common: see `ClipData`.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        file: str | None = None,
        label: str | None = None,
        delimiter: str | None = None,
        speaker: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)
        self.columns = {"file": (file,) if file else FILE, "label": (label,) if label else LABEL}
        self.delimiter = delimiter
        try:
            self.speaker = re.compile(speaker) if speaker and not self.synthetic else None
        except re.error as error:
            raise ConfigError(f"data.speaker={speaker} is not a regular expression ({error})") from error
        if self.speaker and not self.speaker.groups:
            raise ConfigError(f"data.speaker={speaker} needs a group, such as (.*)_NO_")

    def cache_key(self) -> dict[str, Any]:
        """Options that change the clips, their labels or their speakers."""
        speaker = self.speaker.pattern if self.speaker else None
        return {**super().cache_key(), "columns": self.columns, "delimiter": self.delimiter, "speaker": speaker}

    def locate(self) -> list[Path]:
        """Return the tables, if there are some, and all recordings.

        Raises:
            DataError: there are no recordings.
        """
        folder = find_own(self.name, self.path, self.root, self.folders, "FOLDER (one folder of clips for each class)")
        self.base = folder
        self.recordings = audio_files(folder) if folder.is_dir() else []
        if not self.recordings:
            raise DataError(f"{self.name}: {folder} contains no recordings; name your folder with data.path=FOLDER")
        named = {split: find_table(folder, split) for split in SPLITS}
        self.tables = {SPLITS[split]: table for split, table in named.items() if table}
        if "train" not in self.tables:
            self.tables = {}
        return [*self.tables.values(), *self.recordings]

    def clips(self, sources: Sequence[Path]) -> list[Clip]:
        """Return the clips of the tables, or of the folders.

        Raises:
            DataError: there are fewer than two classes; a clip is in two splits; `speaker` does not fit a file name;
                or see `read_rows`.
        """
        clips = list(self._listed() if self.tables else self._in_folders())
        if len({clip.label for clip in clips}) < 2:
            raise DataError(f"{self.name}: {self.base} needs clips of at least two classes, each in a folder")
        paths = [clip.piece.path for clip in clips]
        if len(set(paths)) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise DataError(f"{self.name}: {twice} is in two of the tables; remove it from one")
        return clips

    def _listed(self) -> Iterator[Clip]:
        for split, table in self.tables.items():
            for row in read_rows(self.name, table, self.columns, self.recordings, self.base, self.delimiter):
                yield Clip(Piece(row.file), row.label, split, self._speaker(row.file) or row.group)

    def _in_folders(self) -> Iterator[Clip]:
        for file, label, split in in_class_folders(self.name, self.base, self.recordings):
            yield Clip(Piece(file), label, split, self._speaker(file))

    def _speaker(self, file: Path) -> str:
        if self.speaker is None:
            return ""
        if not (match := self.speaker.search(file.stem)) or not match[1]:
            raise DataError(f"{self.name}: data.speaker={self.speaker.pattern} finds no speaker in {file.name}")
        return match[1]

    def write_synthetic(self, folder: Path) -> None:
        """Write three classes of 20 clips each."""
        for label in range(3):
            for number in range(20):
                samples = chirp(2 * label, 16000, 0.4, seed=100 * label + number)
                write_wav(folder / f"pitch_{label}" / f"{number}.wav", samples, 16000)
