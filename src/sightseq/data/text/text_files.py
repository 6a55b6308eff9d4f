"""Anyone's own texts, to write like them: a folder of .txt files, or one file."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.data.text.streams import StreamData, cut_file, read_text, synthetic_prose

FEW = 3  # files, of which each gives a part to every split


class TextFiles(StreamData):
    """Each `.txt` file in the folder and below it is a document; whole documents train, validate and test.

    Of fewer than three files each gives its beginning to validate, its end to test, and what comes between to train.

    Args:
        path: the folder or the file; without it, the first of `folders` under `root`.
        common: see `StreamData`.
    """

    def __init__(self, *, path: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)

    def locate(self) -> list[Path]:
        """The files, by name.

        Raises:
            DataError: there are none.
        """
        place = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        found = [place] if place.is_file() else sorted(f for f in place.rglob("*.txt") if f.is_file())
        if not found:
            raise DataError(f"{self.name}: {place} holds no .txt file")
        return found

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, Iterable[str]]]:
        """The files in the order of their names; which of them validate and test, a hash of their names decides.

        Raises:
            DataError: a file is not UTF-8.
        """
        drawn = sorted(sources, key=lambda file: hashlib.sha256(os.fsencode(file.name)).digest())
        tests = max(round(len(drawn) * self.test_fraction), 1)
        vals = max(round((len(drawn) - tests) * self.val_fraction), 1)
        split = dict.fromkeys(drawn, "train") | dict.fromkeys(drawn[:tests], "test")
        split |= dict.fromkeys(drawn[tests : tests + vals], "val")
        for file in sources:
            if len(sources) < FEW:
                yield from cut_file(file, self.val_fraction, self.test_fraction)
            else:
                yield split[file], read_text(file)

    def write_synthetic(self, folder: Path) -> None:
        """20 files of made-up prose."""
        for number in range(20):
            (folder / f"{number}.txt").write_text(synthetic_prose(20, number))
