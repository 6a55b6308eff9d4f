"""A user's own texts for a language model: a folder of .txt files, or one file."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.data.text.streams import StreamData, read_text, split_file, synthetic_prose

FEW = 3  # with fewer files, each of them is cut into the three splits


class TextFiles(StreamData):
    """Each `.txt` file in the folder and its subfolders is a document, and belongs to one split.

    With fewer than three files, each file is cut: its beginning is the validation split, its end the test split, and
    the middle the training split.

    Args:
        path: the folder or the file; by default the first of `folders` under `root`.
        common: see `StreamData`.
    """

    def __init__(self, *, path: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)

    def locate(self) -> list[Path]:
        """Return the files, sorted by path.

        Raises:
            DataError: there are none.
        """
        place = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        files = [place] if place.is_file() else sorted(f for f in place.rglob("*.txt") if f.is_file())
        if not files:
            raise DataError(f"{self.name}: {place} contains no .txt file")
        return files

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, Iterable[str]]]:
        """Yield the files in their order; a hash of a file's name determines its split.

        Raises:
            DataError: a file is not UTF-8.
        """
        shuffled = sorted(sources, key=lambda file: hashlib.sha256(os.fsencode(file.name)).digest())
        tests = max(round(len(shuffled) * self.test_fraction), 1)
        vals = max(round((len(shuffled) - tests) * self.val_fraction), 1)
        split = dict.fromkeys(shuffled, "train") | dict.fromkeys(shuffled[:tests], "test")
        split |= dict.fromkeys(shuffled[tests : tests + vals], "val")
        for file in sources:
            if len(sources) < FEW:
                yield from split_file(file, self.val_fraction, self.test_fraction)
            else:
                yield split[file], read_text(file)

    def write_synthetic(self, folder: Path) -> None:
        """Write 20 files of synthetic prose."""
        for number in range(20):
            (folder / f"{number}.txt").write_text(synthetic_prose(20, number))
