"""The images that a path, a folder or a pattern names, and pictures given from Python."""

import glob
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.errors import InputError
from sightseq.vision.image import SUFFIXES, image_files

Picture = str | Path | Image.Image | NDArray[np.uint8]
"""A file, a PIL image, or an array uint8 [H, W] or [H, W, 3]."""


def find_files(given: str) -> list[Path]:
    """The file, the images in the folder and below it but for hidden ones, or the matches of the pattern, in order.

    Raises:
        InputError: there are none.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        found = image_files(path)
        if not found:
            raise InputError(f"{given}: holds no image ({', '.join(sorted(SUFFIXES))})")
        return found
    if path.exists():
        return [path]
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    found = sorted(Path(name) for name in names if Path(name).is_file())
    if not found:
        raise InputError(f"{given}: there is no such file, folder, or match of the pattern")
    return found


def as_source(picture: Picture) -> Path | Image.Image:
    """A picture as `vision.image.open_image` and `read_image` take it.

    Raises:
        InputError: an array of another type or shape.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim < 2 or picture.shape[2:] not in ((), (3,)) or not picture.size:
            raise InputError(f"an array is uint8 [H, W] or [H, W, 3], not {picture.dtype} {list(picture.shape)}")
        return Image.fromarray(picture)
    return Path(picture) if isinstance(picture, str) else picture
