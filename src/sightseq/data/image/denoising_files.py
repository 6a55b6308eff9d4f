"""From photo files of different sizes to the columns that datasets of denoising read."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.arrays import RaggedWriter, save_about, save_split
from sightseq.core.errors import ConfigError, InputError
from sightseq.data.image.photos import Corrupt, One, read_each
from sightseq.vision.image import SUFFIXES, open_image, to_pixels

SMALLEST = 16  # pixels a side of a photo: the window of SSIM has 11


def check_longest(longest: int | None) -> None:
    """Refuses a `data.longest` below `SMALLEST`.

    Raises:
        ConfigError: it is too small.
    """
    if longest is not None and longest < SMALLEST:
        raise ConfigError(f"data.longest={longest}: is at least {SMALLEST} pixels, or null to reduce no photo")


def read_photo(file: Path, channels: int, longest: int | None = None) -> NDArray[np.uint8]:
    """A photo [C, H, W] in grey (1) or RGB (3), upright, at its own size.

    Args:
        file: of any format; 16 bits become 8, CMYK becomes RGB, transparent parts become white, and of an animation it
            is the first frame.
        channels: 1 or 3.
        longest: a photo with a longer side, in pixels, is reduced to it. None: it stays as large as it is.

    Raises:
        InputError: it cannot be read, or has fewer than `SMALLEST` pixels a side.
    """
    image = open_image(file)
    if longest is not None and max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    if min(image.size) < SMALLEST:
        width, height = image.size
        raise InputError(f"{file}: {width} x {height} pixels are too few; at least {SMALLEST} a side are needed")
    return to_pixels(image, channels)


def photo_reader(channels: int, longest: int | None = None) -> Callable[[Path], dict[str, NDArray[np.uint8]]]:
    """What `save_splits` reads files with that hold clean photos; arguments as `read_photo`."""
    return lambda file: {"photo": read_photo(file, channels, longest)}


def save_photos(folder: Path, split: str, photos: Iterable[Mapping[str, NDArray[np.uint8]]]) -> int:
    """Saves photos of different sizes as one of the publisher's splits, one at a time.

    Args:
        folder: that `DataModule.process` is given.
        split: its name.
        photos: of each the arrays [C, H, W] of equal shape by name: `photo`, and `noisy` if that is a file too.

    Returns:
        How many there were.
    """
    (folder / split).mkdir(parents=True, exist_ok=True)
    writers: dict[str, RaggedWriter] = {}
    sizes, groups = [], []
    for arrays in photos:
        for name, pixels in arrays.items():
            if name not in writers:
                writers[name] = RaggedWriter(folder / split / f"{name}.npy", np.uint8)
            writers[name].append(pixels.reshape(-1))
        clean = arrays["photo"]
        sizes.append(clean.shape[1:])
        content = hashlib.blake2b(clean.tobytes(), digest_size=8).digest()
        groups.append(int.from_bytes(content, "big", signed=True))
    for writer in writers.values():
        writer.close()
    if sizes:
        save_split(folder, split, size=np.array(sizes, np.int64), group=np.array(groups, np.int64))
    return len(sizes)


def save_splits(
    name: str,
    folder: Path,
    splits: Mapping[str, Sequence[One]],
    channels: int,
    read: Callable[[One], Mapping[str, NDArray[np.uint8]]],
    corrupt: Corrupt = "error",
) -> dict[str, int]:
    """Decodes photos and saves them, with what `DenoisingData` reads from `about.json`.

    Args:
        name: of the dataset, for messages.
        folder: that `DataModule.process` is given.
        splits: the files of each of the publisher's splits; or tuples of files that belong together.
        channels: 1 for grey, 3 for RGB.
        read: gives the arrays of one of them, as `save_photos` takes them.
        corrupt: "skip" leaves out what cannot be read.

    Returns:
        The number of photos that were read, for each split.

    Raises:
        DataError: a file cannot be read, and `corrupt` is "error".
    """
    skipped: list[str] = []
    counts = {}

    def readable(files: Sequence[One], title: str) -> Iterator[Mapping[str, NDArray[np.uint8]]]:
        results = read_each(files, read, name=name, corrupt=corrupt, title=title)
        for file, arrays in zip(files, results, strict=True):
            if arrays is None:
                skipped.append(str(file[0] if isinstance(file, tuple) else file))
            else:
                yield arrays

    for split, files in splits.items():
        counts[split] = save_photos(folder, split, readable(files, f"decode {split}"))
    save_about(folder, {"channels": channels, "skipped": skipped})
    return counts


def photos_in(folder: Path) -> list[Path]:
    """The images in a folder, but for those in folders below it, in the order of their names."""
    files = folder.iterdir() if folder.is_dir() else iter(())
    return sorted(file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))
