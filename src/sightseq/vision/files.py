"""Image files named by a path, a folder or a pattern, and images given from Python."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, WithJsonSchema

from sightseq.core.errors import InputError
from sightseq.core.inputs import named_files
from sightseq.vision.image import SUFFIXES, image_files

ImageSource = str | Path | Image.Image | NDArray[np.uint8]
"""A file, a PIL image, or an array uint8 [H, W] or [H, W, 3]."""


def to_pixels(rows: list[Any]) -> NDArray[np.uint8]:
    """Convert nested lists of integers 0..255, [H, W] or [H, W, 3], to an array.

    Raises:
        ValueError: they are something else.
    """
    try:
        pixels = np.array(rows)
    except (ValueError, OverflowError) as error:  # rows of unequal length
        raise ValueError("an image must be lists of one length, [H, W] or [H, W, 3]") from error
    if pixels.dtype.kind != "i" or pixels.min(initial=0) < 0 or pixels.max(initial=0) > 255:
        raise ValueError("the pixels of an image must be integers 0..255")
    return pixels.astype(np.uint8)


JSONImage = Annotated[
    list[Any],
    AfterValidator(to_pixels),
    WithJsonSchema({"type": "array", "items": {"type": "array"}, "description": "pixels 0..255, [H, W] or [H, W, 3]"}),
]
"""An image in JSON, for pydantic."""


def find_files(given: str) -> list[Path]:
    """Return the file, the images in the folder and its subfolders (no hidden ones), or the pattern's matches, sorted.

    Raises:
        InputError: there are none.
    """
    return named_files(given, image_files, f"images ({', '.join(sorted(SUFFIXES))})")


def as_source(picture: ImageSource) -> Path | Image.Image:
    """Convert an image to a source for `vision.image.open_image` and `read_image`.

    Raises:
        InputError: an array does not have a supported type or shape.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim < 2 or picture.shape[2:] not in ((), (3,)) or not picture.size:
            raise InputError(
                f"an image array must be uint8 [H, W] or [H, W, 3], not {picture.dtype} {list(picture.shape)}"
            )
        return Image.fromarray(picture)
    return Path(picture) if isinstance(picture, str) else picture
