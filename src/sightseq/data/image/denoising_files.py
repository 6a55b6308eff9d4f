"""Decoding photos of different sizes into the arrays of denoising datasets."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.arrays import RaggedWriter, save_about, save_split
from sightseq.core.errors import ConfigError, InputError
from sightseq.data.reading import Corrupt, Item, read_each
from sightseq.vision.image import SUFFIXES, open_image, to_pixels

MIN_SIDE = 16  # pixels: shortest side of a photo; SSIM needs at least 11


def check_longest(longest: int | None) -> None:
    """Check that `data.longest` is at least `MIN_SIDE`.

    Raises:
        ConfigError: it is too small.
    """
    if longest is not None and longest < MIN_SIDE:
        raise ConfigError(
            f"data.longest={longest}: must be at least {MIN_SIDE} pixels, or null to keep the size of all photos"
        )


def read_photo(file: Path, channels: int, longest: int | None = None) -> NDArray[np.uint8]:
    """Read a photo [C, H, W], upright, in grey (1 channel) or RGB (3 channels).

    Args:
        file: an image file. 16 bits are reduced to 8, CMYK is converted to RGB, transparent parts become white; of an
            animation, only the first frame is read.
        channels: 1 or 3.
        longest: a photo with a longer side, in pixels, is resized to this length. None: photos keep their size.

    Raises:
        InputError: the file cannot be read, or a side has fewer than `MIN_SIDE` pixels.
    """
    image = open_image(file)
    if longest is not None and max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise InputError(f"{file}: {width} x {height} pixels are too few; each side needs at least {MIN_SIDE}")
    return to_pixels(image, channels)


def photo_reader(channels: int, longest: int | None = None) -> Callable[[Path], dict[str, NDArray[np.uint8]]]:
    """Return the argument `read` of `save_splits` for files of clean photos; arguments: see `read_photo`."""
    return lambda file: {"photo": read_photo(file, channels, longest)}


def save_photos(folder: Path, split: str, photos: Iterable[Mapping[str, NDArray[np.uint8]]]) -> int:
    """Save photos of different sizes as one of the publisher's splits; only one photo is in memory at a time.

    Args:
        folder: the folder that `DataModule.process` receives.
        split: name of the split.
        photos: the arrays of each photo by name: `photo`, uint8 [C, H, W], and `noisy`, of the same shape, if the noisy
            photos are files.

    Returns:
        The number of photos.
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
    splits: Mapping[str, Sequence[Item]],
    channels: int,
    read: Callable[[Item], Mapping[str, NDArray[np.uint8]]],
    corrupt: Corrupt = "error",
) -> dict[str, int]:
    """Decode photos and save them, with the entries of `about.json` that `DenoisingData` reads.

    Args:
        name: name of the dataset, for messages.
        folder: the folder that `DataModule.process` receives.
        splits: the items of each of the publisher's splits: files, or tuples of files that belong together.
        channels: 1 for grey, 3 for RGB.
        read: reads the arrays of one item, as described in `save_photos`.
        corrupt: "skip" leaves out items that cannot be read.

    Returns:
        The number of photos that were read, for each split.

    Raises:
        DataError: a file cannot be read, and `corrupt` is "error".
    """
    skipped: list[str] = []
    counts = {}

    def read_all(items: Sequence[Item], title: str) -> Iterator[Mapping[str, NDArray[np.uint8]]]:
        results = read_each(items, read, name=name, corrupt=corrupt, title=title)
        for item, arrays in zip(items, results, strict=True):
            if arrays is None:
                skipped.append(str(item[0] if isinstance(item, tuple) else item))
            else:
                yield arrays

    for split, items in splits.items():
        counts[split] = save_photos(folder, split, read_all(items, f"decode {split}"))
    save_about(folder, {"channels": channels, "skipped": skipped})
    return counts


def list_photos(folder: Path) -> list[Path]:
    """Return the images in a folder, without its subfolders and without hidden files, sorted by name."""
    files = folder.iterdir() if folder.is_dir() else iter(())
    return sorted(file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))
