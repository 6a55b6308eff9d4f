"""Reading images of one line of writing; the same for training data and for `predict`."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.errors import InputError, InputWarning
from sightseq.vision.image import open_image, source_name

LOWEST = 4  # pixels of height of an image that may be a line of writing
NARROWEST = 8  # pixels of width of a result: networks make one frame of several columns
WIDEST = 8192  # pixels of width of a result
CONTRAST = 32  # grey levels between paper and ink; those of a fainter line are not spread to 255
STROKE = 64  # grey levels above the paper, from which on a pixel is ink
ANGLES = np.arange(-7, 7.5, 0.5)  # degrees that `straighten` tries


def read_line(source: Path | Image.Image, height: int, straight: bool = False) -> NDArray[np.uint8]:
    """Read a grey image of one line of writing as columns from left to right, [W, height, 1].

    Paper is 0 and ink is bright: see `to_ink`. The image is scaled to `height` with its aspect ratio kept; a result
    narrower than `NARROWEST` is padded with paper at the right, one wider than `WIDEST` is compressed.

    Args:
        source: the image; its colours are converted to grey.
        height: height of the result in pixels.
        straight: make a sloping line horizontal: see `straighten`.

    Raises:
        InputError: it is not an image (see `vision.image.open_image`), or fewer than `LOWEST` pixels high.

    Warns:
        InputWarning: the image is so wide that it was compressed.
    """
    image = open_image(source).convert("L")
    if image.height < LOWEST:
        raise InputError(
            f"{source_name(source)}: is {image.width} x {image.height} pixels; a line of writing is at least {LOWEST} "
            "pixels high"
        )
    pixels = to_ink(np.asarray(image))
    if straight:
        pixels = straighten(pixels)
    width = max(1, round(pixels.shape[1] * height / pixels.shape[0]))
    if width > WIDEST:
        text = f"{source_name(source)}: is {width / height:.0f} times as wide as high; it was compressed"
        warnings.warn(text, InputWarning, stacklevel=2)
        width = WIDEST
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    columns = np.zeros((max(width, NARROWEST), height, 1), np.uint8)
    columns[:width, :, 0] = np.asarray(resized).T
    return columns


def to_ink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the amount of ink at each pixel of a grey image [H, W]: 0 is paper, 255 is strong ink.

    The median is the grey level of the paper: most of an image of writing is paper. Ink is darker than light paper and
    brighter than dark paper; the strongest 0.5 % of the pixels become 255, unless the contrast is below `CONTRAST`.
    """
    values = pixels.astype(np.float32)
    paper = np.median(values)
    ink = (paper - values if paper >= 128 else values - paper).clip(min=0)
    strongest = max(float(np.percentile(ink, 99.5)), CONTRAST)
    return (ink * (255 / strongest)).round().clip(max=255).astype(np.uint8)


def straighten(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make a sloping line of writing horizontal, and crop it to its ink, [H', W].

    Columns are moved up or down, by the angle that gives the sharpest profile of the rows (Postl, 1986). Paper alone is
    returned as it is.

    Args:
        ink: image [H, W]; paper is 0.
    """
    height, width = ink.shape
    padding = int(np.tan(np.radians(ANGLES.max())) * width / 2) + 1
    canvas = Image.fromarray(np.pad(ink, ((padding, padding), (0, 0))))

    def moved(angle: float) -> NDArray[np.uint8]:
        slope = float(np.tan(np.radians(angle)))
        matrix = (1.0, 0.0, 0.0, slope, 1.0, -slope * width / 2)
        return np.asarray(canvas.transform(canvas.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))

    def sharpness(angle: float) -> float:
        return float(np.square(moved(angle).sum(1, dtype=np.float64)).sum())

    straight = moved(max(sorted(ANGLES, key=abs), key=sharpness))
    rows = np.flatnonzero(straight.max(1) >= STROKE)
    if not len(rows):
        return ink
    margin = max(1, height // 20)
    first, last = max(rows[0] - margin, 0), rows[-1] + 1 + margin
    return straight[first:last] if last - first >= LOWEST else ink
