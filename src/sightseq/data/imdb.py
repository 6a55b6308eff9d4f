"""The Large Movie Review Dataset: Maas et al., 2011."""

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import save_about
from sightseq.core.download import download, find_folder, missing
from sightseq.core.errors import DataError
from sightseq.data.labelled import Rows
from sightseq.data.texts import TextData, save_texts, synthetic_reviews

ARCHIVE = "aclImdb_v1.tar.gz"
CLASSES = {"neg": "negative", "pos": "positive"}


class IMDB(TextData):
    """25,000 reviews to train and 25,000 to test, half of them positive (7 to 10 stars), half negative (1 to 4).

    Read from the publisher's folders, `aclImdb/train/pos/0_9.txt`, ..., or from the archive itself. Films of the
    test are not among those to train. Reviews of one film have numbers in a row, so those with the highest numbers
    validate: of films that are hardly trained on.
    """

    def locate(self) -> list[Path]:
        """The files of all reviews, or the archive, downloaded if need be.

        Raises:
            DataError: neither is there and nothing can be downloaded.
        """
        folder = find_folder(self.root, self.folders)
        if folder is not None and (folder / "train").is_dir():
            parts = [folder / split / name for split in ("train", "test") for name in CLASSES]
            found = [sorted(part.glob("[0-9]*_*.txt")) for part in parts]
            if not all(found):
                raise DataError(f"{self.name}: {parts[list(map(bool, found)).index(False)]} holds no reviews (0_9.txt)")
            return [file for files in found for file in files]
        places = [self.root / ARCHIVE, *(self.root / name / ARCHIVE for name in self.folders)]
        archive = next((place for place in places if place.is_file()), None)
        if archive is None and self.url and not self.synthetic:
            archive = places[1]
            download(self.name, self.url, self.files, archive.parent)
        if archive is None:
            raise missing(self.name, self.root, self.folders, f"reviews (train/pos/0_9.txt or {ARCHIVE})")
        return [archive]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Reads the reviews in the order of their numbers; the line breaks of their web pages become such of a text.

        Raises:
            DataError: a file is not UTF-8, or the archive is damaged.
        """
        found: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for split, name, number, data in self._read(sources):
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{self.name}: {split}/{name}, review {number} is not UTF-8") from error
            found.setdefault((split, name), []).append((number, text.replace("<br />", "\n")))
        for split in ("train", "test"):
            rows = [(number, label, text) for label, name in enumerate(CLASSES) for number, text in found[split, name]]
            rows.sort()
            save_texts(folder, split, [text for _, _, text in rows], [label for _, label, _ in rows])
        save_about(folder, {"classes": list(CLASSES.values())})

    def _read(self, sources: list[Path]) -> Iterator[tuple[str, str, int, bytes]]:
        """Split, class, number and bytes of each review."""
        if sources[0].name != ARCHIVE:
            for file in sources:
                yield file.parts[-3], file.parts[-2], int(file.name.partition("_")[0]), file.read_bytes()
            return
        try:
            with tarfile.open(sources[0]) as archive:
                for member in archive:
                    parts = Path(member.name).parts[-3:]
                    if member.isfile() and len(parts) == 3 and parts[1] in CLASSES:
                        content = archive.extractfile(member)
                        yield parts[0], parts[1], int(parts[2].partition("_")[0]), content.read() if content else b""
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(
                f"{self.name}: {sources[0]} is damaged ({error}); remove it to have it downloaded"
            ) from error

    def split_rows(self, targets: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, Rows]]:
        """The publisher's halves; of the first, the share of each class with the highest numbers validates."""
        rows = super().split_rows(targets)
        train, val = [], []
        for label in np.unique(targets["train"]):
            members = np.flatnonzero(targets["train"] == label)
            cut = len(members) - max(round(len(members) * self.val_fraction), 1)
            train.append(members[:cut])
            val.append(members[cut:])
        parts = {"train": np.sort(np.concatenate(train)), "val": np.sort(np.concatenate(val))}
        return rows | {name: ("train", part) for name, part in parts.items()}

    def write_synthetic(self, folder: Path) -> None:
        """200 reviews to train and 100 to test, in the publisher's folders."""
        for split, count in (("train", 200), ("test", 100)):
            for number, (text, label) in enumerate(zip(*synthetic_reviews(count, seed=count), strict=True)):
                place = folder / split / list(CLASSES)[label]
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{number // 2}_{8 if label else 3}.txt").write_text(text)
