"""Decoding photographs on all cores; for any task."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from sightseq.core.errors import DataError, InputError
from sightseq.vision.image import FaceWarning, crop, open_image, to_pixels

Corrupt = Literal["error", "skip"]
"""What to do with a file that cannot be read: stop, or leave it out and count it."""
CHUNK = 64  # files decoded at a time: limits the results in memory
Item = TypeVar("Item")
Result = TypeVar("Result")


def read_photos(
    files: Sequence[Path],
    pixels: NDArray[np.uint8],
    *,
    name: str,
    corrupt: Corrupt = "error",
    read: Callable[[Path], NDArray[np.uint8]] | None = None,
    title: str = "decode",
) -> list[int]:
    """Decode photographs to one size, on all cores.

    Args:
        files: the N files.
        pixels: output array [N, C, H, W], such as one from `core.arrays.new_array`. H and W include the margin, if any.
        name: name of the dataset, for messages.
        corrupt: "skip" leaves the rows of unreadable files unchanged.
        read: returns the pixels [C, H, W] of a file; by default a centre crop resized to H x W.
        title: title of the progress bar.

    Returns:
        Row indices of the files that cannot be read.

    Raises:
        DataError: a file cannot be read, and `corrupt` is "error".
    """
    channels, height, width = pixels.shape[1:]

    def decode(file: Path) -> NDArray[np.uint8]:
        return read(file) if read else to_pixels(crop(open_image(file), height, width), channels)

    bad = []
    for row, image in enumerate(read_each(files, decode, name=name, corrupt=corrupt, title=title)):
        if image is None:
            bad.append(row)
        else:
            pixels[row] = image
    return bad


def read_each(
    files: Sequence[Item],
    read: Callable[[Item], Result],
    *,
    name: str,
    corrupt: Corrupt = "error",
    title: str = "decode",
) -> Iterator[Result | None]:
    """Decode files on all cores, with a progress bar; yield the results in order, with few of them in memory.

    Args:
        files: paths, or tuples of paths that belong together.
        read: decodes one item of `files`; raises `InputError` if it cannot be read.
        name: name of the dataset, for messages.
        corrupt: "skip" yields None for a file that cannot be read.
        title: title of the progress bar.

    Raises:
        DataError: a file cannot be read, and `corrupt` is "error".
    """

    def decode(file: Item) -> Result | None:
        try:
            return read(file)
        except InputError as error:
            if corrupt == "skip":
                return None
            raise DataError(
                f"{name}: {error}; remove the file, or leave such files out with data.corrupt=skip"
            ) from error

    bar = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with ThreadPoolExecutor() as pool, bar, warnings.catch_warnings():
        warnings.simplefilter("ignore", FaceWarning)
        step = bar.add_task(title, total=len(files))
        for start in range(0, len(files), CHUNK):
            for result in pool.map(decode, files[start : start + CHUNK]):
                bar.advance(step)
                yield result
