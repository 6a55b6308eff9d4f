"""Decoding photographs on all cores; for any task."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightseq.data.reading import Corrupt, read_each
from sightseq.vision.image import FaceWarning, crop, open_image, to_pixels


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FaceWarning)
        for row, image in enumerate(read_each(files, decode, name=name, corrupt=corrupt, title=title)):
            if image is None:
                bad.append(row)
            else:
                pixels[row] = image
    return bad
