"""The Large Movie Review Dataset: Maas et al., 2011."""

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightseq.core.arrays import save_about
from sightseq.core.datamodule import DataModule
from sightseq.core.download import download, find_folder, missing
from sightseq.core.errors import DataError
from sightseq.core.splits import Rows
from sightseq.data.text.streams import StreamData
from sightseq.data.text.texts import TextData, save_texts, synthetic_reviews

ARCHIVE = "aclImdb_v1.tar.gz"
CLASSES = {"neg": "negative", "pos": "positive"}
PARTS = [(split, name) for split in ("train", "test") for name in CLASSES]
FILE = re.compile(r"\d+_\d+\.txt")
STARS = {"neg": 3, "pos": 8}  # of made-up reviews


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
        return find_reviews(self, PARTS)

    def process(self, sources: list[Path], folder: Path) -> None:
        """Reads the reviews in the order of their numbers; the line breaks of their web pages become such of a text.

        Raises:
            DataError: a file is not UTF-8, or the archive is damaged.
        """
        found: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for split, name, number, text in read_reviews(self.name, sources):
            found.setdefault((split, name), []).append((number, text))
        for split, name in (key for key in PARTS if key not in found):
            raise DataError(f"{self.name}: {sources[0]} holds no {split}/{name}; remove it, and fetch it anew")
        for split in ("train", "test"):
            rows = [(number, label, text) for label, name in enumerate(CLASSES) for number, text in found[split, name]]
            rows.sort()
            save_texts(folder, split, [text for _, _, text in rows], [label for _, label, _ in rows])
        save_about(folder, {"classes": list(CLASSES.values())})

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """The publisher's halves; of the first, the share of each class with the highest numbers validates."""
        rows, labels = super().split_rows(splits), splits["train"]["target"]
        train, val = [], []
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            cut = len(members) - max(round(len(members) * self.val_fraction), 1)
            train.append(members[:cut])
            val.append(members[cut:])
        parts = {"train": np.sort(np.concatenate(train)), "val": np.sort(np.concatenate(val))}
        return rows | {name: ("train", part) for name, part in parts.items()}

    def write_synthetic(self, folder: Path) -> None:
        """200 reviews to train and 100 to test, in the publisher's folders."""
        for split, count in (("train", 200), ("test", 100)):
            texts, labels = synthetic_reviews(count, seed=count)
            for label, name in enumerate(CLASSES):
                _write(folder / split / name, [t for t, found in zip(texts, labels, strict=True) if found == label])


class IMDBLanguage(StreamData):
    """The language of film reviews: the 50,000 without a label, so none that a classifier validates or tests with.

    Those with the highest numbers test, and those before them validate.
    """

    def locate(self) -> list[Path]:
        """The files of the reviews, or the archive, downloaded if need be.

        Raises:
            DataError: neither is there and nothing can be downloaded.
        """
        return find_reviews(self, [("train", "unsup")])

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """The reviews in the order of their numbers.

        Raises:
            DataError: a file is not UTF-8, or the archive is damaged.
        """
        found = sorted(row[2:] for row in read_reviews(self.name, sources) if row[1] == "unsup")
        test = len(found) - max(round(len(found) * self.test_fraction), 1)
        val = test - max(round(test * self.val_fraction), 1)
        for place, (_, text) in enumerate(found):
            yield "train" if place < val else "val" if place < test else "test", text

    def write_synthetic(self, folder: Path) -> None:
        """300 reviews."""
        _write(folder / "train" / "unsup", synthetic_reviews(300, seed=0)[0])


def find_reviews(data: DataModule, parts: Sequence[tuple[str, str]]) -> list[Path]:
    """The files of all reviews of these parts (split, class), or the archive, downloaded if need be.

    Raises:
        DataError: neither is there and nothing can be downloaded.
    """
    folder = find_folder(data.root, data.folders)
    if folder is not None and (folder / "train").is_dir():
        found = []
        for split, name in parts:
            files = sorted(file for file in (folder / split / name).glob("*.txt") if FILE.fullmatch(file.name))
            if not files:
                raise DataError(f"{data.name}: {folder / split / name} holds no reviews (0_9.txt)")
            found += files
        return found
    places = [data.root / ARCHIVE, *(data.root / name / ARCHIVE for name in data.folders)]
    archive = next((place for place in places if place.is_file()), None)
    if archive is None and data.url and not data.synthetic:
        archive = places[1]
        download(data.name, data.url, data.files, archive.parent)
    if archive is None:
        raise missing(data.name, data.root, data.folders, f"reviews (train/pos/0_9.txt or {ARCHIVE})")
    return [archive]


def read_reviews(name: str, sources: Sequence[Path]) -> Iterator[tuple[str, str, int, str]]:
    """Split, class, number and text of each review; the line breaks of their web pages become such of a text.

    Args:
        name: of the dataset, for messages.
        sources: as `find_reviews` gives them.

    Raises:
        DataError: a file is not UTF-8, or the archive is damaged.
    """
    packed = sources[0].name == ARCHIVE
    for split, kind, file, data in _read_archive(name, sources[0]) if packed else _read_files(sources):
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: {split}/{kind}/{file} is not UTF-8") from error
        yield split, kind, int(file.partition("_")[0]), text.replace("<br />", "\n")


def _read_files(sources: Sequence[Path]) -> Iterator[tuple[str, str, str, bytes]]:
    for file in sources:
        yield file.parts[-3], file.parts[-2], file.name, file.read_bytes()


def _read_archive(name: str, source: Path) -> Iterator[tuple[str, str, str, bytes]]:
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                parts = Path(member.name).parts[-3:]
                if member.isfile() and len(parts) == 3 and parts[1] in (*CLASSES, "unsup") and FILE.fullmatch(parts[2]):
                    content = archive.extractfile(member)
                    yield parts[0], parts[1], parts[2], content.read() if content else b""
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{name}: {source} is damaged ({error}); remove it, and fetch it anew") from error


def _write(folder: Path, texts: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    for number, text in enumerate(texts):
        (folder / f"{number}_{STARS.get(folder.name, 0)}.txt").write_text(text)
