"""FER-2013: faces labelled with facial expressions."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import save_about, save_split
from sightseq.core.download import missing_error
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.image.image_folder import ImageFolder
from sightseq.data.image.images import synthetic_images
from sightseq.vision.spec import ImageSpec

SIZE = 48
CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # in the order of the csv's labels
FILES = ("fer2013.csv", "icml_face_data.csv")  # of the challenge, and of a later release
USAGE = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}


class FER2013(ImageFolder):
    """35,887 grey faces of 48x48 pixels with one of seven expressions (Goodfellow et al., 2013, arXiv 1307.0414).

    In the challenge's csv, Training is the training split, PublicTest the validation split and PrivateTest the test
    split. Without PrivateTest, PublicTest is the test split, and a stratified part of Training the validation split.
    The other release has a folder for each class (`train/angry/*.jpg`, `test/angry/*.jpg`): see `ImageFolder`.

    Args:
        common: see `ImageFolder`; `path` is the csv or the folder.
    """

    example_spec: ImageSpec = ImageSpec(1, SIZE, SIZE, CLASSES, (0.5,), (0.25,))
    subject = "face"

    def __init__(self, **common: Any) -> None:
        super().__init__(**{"image_size": SIZE, **common})

    def locate(self) -> list[Path]:
        """Return the csv, or the images of the other release.

        Raises:
            DataError: neither is there.
        """
        bases = [self.path] if self.path else [self.root / name for name in self.folders]
        for base in bases:
            for file in (base, *(base / name for name in FILES)):
                if file.is_file() and file.suffix.lower() == ".csv":
                    return [file]
            if (base / "train").is_dir():
                self.path = base
                return super().locate()
        if self.path:
            raise DataError(f"{self.name}: {self.path} is neither a csv nor a folder with {FILES[0]} or train/ in it")
        raise missing_error(self.name, self.root, self.folders, "fer2013.csv or train/ with a folder for each class")

    def order_classes(self, names: set[str]) -> list[str]:
        """Return the classes in the order of the csv's labels, then any others."""
        return sorted(names, key=lambda name: CLASSES.index(name) if name in CLASSES else len(CLASSES))

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the csv, or the images of the other release.

        Raises:
            ConfigError: `image_size` or `margin` does not fit the csv.
            DataError: a row cannot be read, and `corrupt` is "error"; or columns or training rows are missing.
        """
        if sources[0].suffix.lower() != ".csv":
            return super().process(sources, folder)
        if (self.image_size, self.margin) != (SIZE, 0):
            raise ConfigError(f"{self.name}: the faces of the csv have {SIZE}x{SIZE} pixels and no margin")
        images: dict[str, list[NDArray[np.uint8]]] = {}
        labels: dict[str, list[int]] = {}
        skipped = []
        # Bytes that are not UTF-8 then fail as a number in their own row, so the message can give the line.
        with sources[0].open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.reader(file)
            rows = _rows(reader, sources[0])
            header = [name.strip() for name in next(rows, [])]  # the later csv has spaces before its names
            if not {"emotion", "pixels"} <= set(header):
                raise DataError(f"{self.name}: {sources[0]} has the columns {header[:5]}, not emotion and pixels")
            for row in rows:
                try:
                    usage, label, pixels = _read(dict(zip(header, row, strict=True)))
                except (KeyError, ValueError) as error:
                    place = f"line {reader.line_num}"
                    if self.corrupt == "skip":
                        skipped.append(place)
                        continue
                    raise DataError(
                        f"{self.name}: {place} of {sources[0]} cannot be read ({error}); "
                        f"correct it, or leave such rows out with data.corrupt=skip"
                    ) from error
                images.setdefault(usage, []).append(pixels)
                labels.setdefault(usage, []).append(label)
        if "train" not in images:
            raise DataError(f"{self.name}: {sources[0]} has no rows with Usage Training")
        for split in images:
            name = "test" if split == "val" and "test" not in images else split
            save_split(folder, name, input=np.stack(images[split]), target=np.array(labels[split], np.int64))
        save_about(folder, {"classes": CLASSES, "skipped": skipped})
        return None

    def write_synthetic(self, folder: Path) -> None:
        """Write a csv with rows of all three usages."""
        with (folder / FILES[0]).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["emotion", "pixels", "Usage"])
            for usage, count in (("Training", 210), ("PublicTest", 35), ("PrivateTest", 35)):
                images, labels = synthetic_images(count, len(CLASSES), SIZE, 1, seed=count)
                for pixels, label in zip(images.reshape(count, -1), labels, strict=True):
                    writer.writerow([label, " ".join(map(str, pixels)), usage])


def _rows(reader: Iterator[list[str]], file: Path) -> Iterator[list[str]]:
    """The rows of a csv.

    Raises:
        DataError: the file is not a valid csv, for example because a quotation mark is never closed.
    """
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(f"{file} is not a csv file ({error})") from error


def _read(row: dict[str, str]) -> tuple[str, int, NDArray[np.uint8]]:
    """The split, the label and the pixels [1, 48, 48] of a row of the csv."""
    label = int(row["emotion"])
    if not 0 <= label < len(CLASSES):
        raise ValueError(f"emotion {label} is not one of 0 to {len(CLASSES) - 1}")
    values = row["pixels"].split()
    if len(values) != SIZE * SIZE:
        raise ValueError(f"{len(values)} pixels instead of {SIZE * SIZE}")
    pixels = np.array(values, dtype=np.int64)
    if pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(f"pixels from {pixels.min()} to {pixels.max()} are not bytes")
    usage = row.get("Usage", "Training").strip()
    if usage not in USAGE:
        raise ValueError(f"Usage {usage!r} is not one of {', '.join(USAGE)}")
    return USAGE[usage], label, pixels.astype(np.uint8).reshape(1, SIZE, SIZE)
