"""The Large Movie Review Dataset: Maas et al., 2011."""

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightseq.core.arrays import save_about
from sightseq.core.datamodule import DataModule
from sightseq.core.download import download, find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.core.splits import Rows
from sightseq.data.text.streams import StreamData
from sightseq.data.text.texts import TextData, save_texts, synthetic_reviews

ARCHIVE = "aclImdb_v1.tar.gz"
CLASSES = {"neg": "negative", "pos": "positive"}
PARTS = [(split, name) for split in ("train", "test") for name in CLASSES]
FILE = re.compile(r"\d+_\d+\.txt")
STARS = {"neg": 3, "pos": 8}  # in the file names of synthetic reviews


class IMDB(TextData):
    """25,000 training and 25,000 test reviews, half of them positive (7 to 10 stars), half negative (1 to 4).

    They are read from the publisher's folders, `aclImdb/train/pos/0_9.txt`, ..., or from the archive itself. Training
    and test reviews are about different films. Reviews of one film have consecutive ids, so the training reviews with
    the highest ids are the validation split: hardly any of its films occur in the training split.
    """

    def locate(self) -> list[Path]:
        """Return the files of the reviews, or else the archive; it is downloaded if neither is there.

        Raises:
            DataError: neither is there, and the archive cannot be downloaded.
        """
        return find_reviews(self, PARTS)

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the reviews in the order of their ids; `<br />` becomes a line end.

        Raises:
            DataError: a file is not UTF-8, or the archive is damaged or incomplete.
        """
        reviews: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for split, name, number, text in read_reviews(self.name, sources):
            reviews.setdefault((split, name), []).append((number, text))
        for split, name in (key for key in PARTS if key not in reviews):
            raise DataError(f"{self.name}: {sources[0]} contains no {split}/{name}; remove it and download it again")
        for split in ("train", "test"):
            rows = [(n, label, text) for label, name in enumerate(CLASSES) for n, text in reviews[split, name]]
            rows.sort()
            save_texts(folder, split, [text for _, _, text in rows], [label for _, label, _ in rows])
        save_about(folder, {"classes": list(CLASSES.values())})

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """Use the publisher's splits; the reviews of each class with the highest ids are the validation split."""
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
        """Write 200 training and 100 test reviews, in the publisher's folders."""
        for split, count in (("train", 200), ("test", 100)):
            texts, labels = synthetic_reviews(count, seed=count)
            for label, name in enumerate(CLASSES):
                _write(folder / split / name, [t for t, own in zip(texts, labels, strict=True) if own == label])


class IMDBLanguage(StreamData):
    """Film reviews for a language model: the 50,000 reviews without a label.

    None of them is in the validation or test split of a classifier. The reviews with the highest ids are the test
    split, and those before them the validation split.
    """

    def locate(self) -> list[Path]:
        """Return the files of the reviews, or else the archive; it is downloaded if neither is there.

        Raises:
            DataError: neither is there, and the archive cannot be downloaded.
        """
        return find_reviews(self, [("train", "unsup")])

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """Yield the reviews in the order of their ids.

        Raises:
            DataError: a file is not UTF-8, or the archive is damaged.
        """
        reviews = sorted(row[2:] for row in read_reviews(self.name, sources) if row[1] == "unsup")
        test = len(reviews) - max(round(len(reviews) * self.test_fraction), 1)
        val = test - max(round(test * self.val_fraction), 1)
        for place, (_, text) in enumerate(reviews):
            yield "train" if place < val else "val" if place < test else "test", text

    def write_synthetic(self, folder: Path) -> None:
        """Write 300 reviews."""
        _write(folder / "train" / "unsup", synthetic_reviews(300, seed=0)[0])


def find_reviews(data: DataModule, parts: Sequence[tuple[str, str]]) -> list[Path]:
    """Find the files of all reviews of these parts (split, class), or the archive; download it if neither is there.

    Raises:
        DataError: neither is there, and the archive cannot be downloaded; or a folder contains no reviews.
    """
    folder = find_folder(data.root, data.folders)
    if folder is not None and (folder / "train").is_dir():
        found = []
        for split, name in parts:
            files = sorted(file for file in (folder / split / name).glob("*.txt") if FILE.fullmatch(file.name))
            if not files:
                raise DataError(f"{data.name}: {folder / split / name} contains no reviews (such as 0_9.txt)")
            found += files
        return found
    places = [data.root / ARCHIVE, *(data.root / name / ARCHIVE for name in data.folders)]
    archive = next((place for place in places if place.is_file()), None)
    if archive is None and data.url and not data.synthetic:
        archive = places[1]
        download(data.name, data.url, data.files, archive.parent)
    if archive is None:
        raise missing_error(data.name, data.root, data.folders, f"reviews (train/pos/0_9.txt or {ARCHIVE})")
    return [archive]


def read_reviews(name: str, sources: Sequence[Path]) -> Iterator[tuple[str, str, int, str]]:
    """Yield split, class, id and text of each review; `<br />` becomes a line end.

    Args:
        name: name of the dataset, for messages.
        sources: result of `find_reviews`.

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
        raise DataError(f"{name}: {source} is damaged ({error}); remove it and download it again") from error


def _write(folder: Path, texts: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    for number, text in enumerate(texts):
        (folder / f"{number}_{STARS.get(folder.name, 0)}.txt").write_text(text)
