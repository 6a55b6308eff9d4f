"""Cropping the largest face of a photograph, framed like the faces of FER-2013."""

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from cv2 import CascadeClassifier

Face = tuple[float, float, float]  # left, top and side of a square, in pixels
LONGEST = 640  # pixels of the longer side; larger images are searched in a reduced copy
BORDER = 0.2  # of the longer side: without a border, faces at an edge, or as large as the image, are missed
SMALLEST = 0.04  # of the longer side: smallest face that is searched for
# Side of an image of FER-2013 divided by the side of the square that the detector finds in it: the median over
# 1,088 of 1,500 images, enlarged to 120 to 320 pixels. The centres agree (median offset: 0.5 % of the side).
FRAME = 1.04
FILLS = 0.6  # of the longer side: with a larger face the image is already a crop (99 % of the faces found in FER-2013)
SQUARE = 0.8  # shorter side by longer side: face crops are nearly square, photographs are 3:4 or 2:3
# One thread at a time: threads cannot share a cascade, and a second thread may see a partly imported cv2.
# A search itself uses all cores.
LOCK = Lock()


def crop_face(image: Image.Image) -> tuple[Image.Image, bool]:
    """Crop the largest face to a square as in FER-2013.

    An image that a face fills is already a crop and is returned whole. A square that reaches beyond the image is moved
    inside, and is reduced if it is larger than the image's height or width.

    Returns:
        The crop, or the whole image; and whether a face was found.
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
    """Find the largest upright frontal face, in pixels; it may reach beyond the edges of the image."""
    small, scale = _reduced(image)
    faces = _search(small, "frontalface_alt2", factor=1.1, neighbours=5, smallest=SMALLEST)
    if not faces:
        return None
    left, top, side = max(faces, key=lambda face: face[2])
    return left / scale, top / scale, side / scale


def _is_face(image: Image.Image) -> bool:
    """Whether a face fills a nearly square image; faces from the side and half hidden faces count too.

    It is true for half of the FER-2013 images without a `largest_face`, and for 5 % of square photographs of pets.
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
    """A grey copy whose longer side has at most `LONGEST` pixels, and its size divided by the image's."""
    scale = min(1.0, LONGEST / max(image.size))
    width, height = (max(1, round(scale * side)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0).convert("L"), scale


def _search(grey: Image.Image, cascade: str, factor: float, neighbours: int, smallest: float) -> list[Face]:
    """Find the faces in a grey image.

    Args:
        grey: the image.
        cascade: name of the detector.
        factor: ratio of successive window sizes.
        neighbours: how many overlapping windows must agree on a face.
        smallest: smallest face, as a fraction of the longer side.
    """
    longer = max(grey.size)
    border, least = round(BORDER * longer), round(smallest * longer)
    pixels = np.pad(np.asarray(grey), border, mode="edge")
    with LOCK:
        faces = _cascade(cascade).detectMultiScale(pixels, factor, neighbours, minSize=(least, least))
    return [(float(x - border), float(y - border), float(side)) for x, y, side, _ in faces]


@cache
def _cascade(name: str) -> "CascadeClassifier":
    """Load a detector of Viola and Jones (2001), trained by Lienhart et al. (2003), from the OpenCV package."""
    import cv2.data  # imported here as it takes 0.2 s, and only models of faces need it

    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")
