"""From a photograph to the face in it, framed as the faces of FER-2013 are."""

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from cv2 import CascadeClassifier

Face = tuple[float, float, float]  # left, top and side of a square, in pixels
LONGEST = 640  # pixels of the longer side; larger pictures are searched in a smaller copy
BORDER = 0.2  # of the longer side is added all around, else faces at the edge, or as large as the picture, are missed
SMALLEST = 0.04  # of the longer side: no smaller face is looked for
# The side of a face in FER-2013 by that of the square that the detector finds in it: the median over 1,088 of 1,500
# images, enlarged to 120 to 320 pixels. The centres agree (median offset 0.5 % of the side).
FRAME = 1.04
FILLS = 0.6  # of the longer side: what has so large a face is a crop (99 % of the faces found in FER-2013's images)
SQUARE = 0.8  # of the longer side: face crops are as high as wide, photographs are 3:4 or 2:3
# One thread at a time: a cascade cannot be shared, and of two that import cv2 the second may see a half of it.
# A search runs on all cores by itself.
LOCK = Lock()


def crop_face(image: Image.Image) -> tuple[Image.Image, bool]:
    """The largest face, cropped to a square as in FER-2013, and whether one was found; else the whole picture.

    A picture that a face fills is a crop already and stays whole. Where the square reaches beyond the picture
    it is moved inside, and made smaller if it is larger than the picture is high or wide.
    """
    face = largest_face(image)
    if face is None:
        return image, _is_face(image)
    left, top, side = face
    if side >= FILLS * max(image.size):
        return image, True
    framed = min(side * FRAME, *image.size)
    x, y = (
        min(max(start - (framed - side) / 2, 0), length - framed)
        for start, length in zip((left, top), image.size, strict=True)
    )
    return image.crop((round(x), round(y), round(x + framed), round(y + framed))), True


def largest_face(image: Image.Image) -> Face | None:
    """The largest upright face that looks ahead, in pixels of the picture; it may reach beyond its edges."""
    small, scale = _reduced(image)
    found = _search(small, "frontalface_alt2", factor=1.1, neighbours=5, smallest=SMALLEST)
    if not found:
        return None
    left, top, side = max(found, key=lambda face: face[2])
    return left / scale, top / scale, side / scale


def _is_face(image: Image.Image) -> bool:
    """Whether a face may fill a picture that is nearly square, one from the side or half hidden too.

    It says so of half the images of FER-2013 in which `largest_face` finds none, and of 5 % of square pets.
    """
    if min(image.size) < SQUARE * max(image.size):
        return False
    small, _ = _reduced(image)
    return any(
        _search(view, cascade, factor=1.02, neighbours=4, smallest=FILLS)
        for cascade in ("frontalface_alt2", "profileface")
        for view in (small, ImageOps.mirror(small))
    )


def _reduced(image: Image.Image) -> tuple[Image.Image, float]:
    """A grey copy of at most `LONGEST` pixels, and its size by the picture's."""
    scale = min(1.0, LONGEST / max(image.size))
    width, height = (max(1, round(scale * side)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0).convert("L"), scale


def _search(grey: Image.Image, cascade: str, factor: float, neighbours: int, smallest: float) -> list[Face]:
    """Every face that is found by so many neighbouring windows, growing by the factor from the smallest share."""
    longer = max(grey.size)
    border, least = round(BORDER * longer), round(smallest * longer)
    pixels = np.pad(np.asarray(grey), border, mode="edge")
    with LOCK:
        found = _cascade(cascade).detectMultiScale(pixels, factor, neighbours, minSize=(least, least))
    return [(float(x - border), float(y - border), float(side)) for x, y, side, _ in found]


@cache
def _cascade(name: str) -> "CascadeClassifier":
    """A detector by Viola and Jones (2001), trained by Lienhart et al. (2003), as OpenCV carries it."""
    import cv2.data  # takes 0.2 s, which only the models of faces need

    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")
