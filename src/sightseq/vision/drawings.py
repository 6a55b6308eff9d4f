"""How drawings lie in their images, and a canvas whose drawings become such images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.page import Canvas

INK = 64  # grey levels from the background: what differs less is noise, or the blurred edge of a stroke
LARGEST = 64  # pixels per side; larger images are photographs
PLAIN = 0.75  # fraction of images whose four corners must have one colour
FAINT = 0.25  # of the range of an image: what differs less from its corners is paper


def drawing_style(images: NDArray[np.uint8]) -> dict[str, Any]:
    """Measure the position and stroke width of drawings [N, H, W].

    LeCun et al. (1998), for example, scaled digits to 20 pixels and moved their centres of mass to the centres of
    images of 28 x 28 pixels; the 8 x 8 digits of scikit-learn fill the height of the image.

    Returns:
        `background` and `ink`: pixel values, 0 and 255, or 255 and 0.
        `anchor`: "mass" if the centres of mass lie closer together than the centres of the bounding boxes; else "box".
        `centre`: mean (x, y) of the anchor in pixels, from the upper left corner of the image.
        `extent`: median of the longer side of the bounding box, in pixels.
        `stroke`: width of a stroke in pixels: twice the area of the ink divided by the length of its outline.
    """
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    background = 255 if np.median(border) > 127 else 0
    ink = np.abs(images.astype(np.float64) - background)
    ink = ink[(ink >= INK).any((1, 2))]  # without empty images
    if not len(ink):
        raise ValueError("the images are empty")
    mass, boxes, sides = [], [], []
    for axis in (2, 1):  # x, then y
        positions = np.arange(ink.shape[axis]) + 0.5
        profile = ink.sum(3 - axis)
        mass.append(profile @ positions / profile.sum(1))
        touched = ink.max(3 - axis) >= INK
        first, last = touched.argmax(1), touched.shape[1] - touched[:, ::-1].argmax(1)
        boxes.append((first + last) / 2)
        sides.append(last - first)
    anchor = "mass" if np.std(mass, axis=1).sum() < np.std(boxes, axis=1).sum() else "box"
    centre = np.mean(mass if anchor == "mass" else boxes, axis=1)
    # The length of the outline is the total variation of the image (coarea formula); half of it is the stroke's length.
    around = np.pad(ink, ((0, 0), (0, 1), (0, 1)))
    variation = np.hypot(np.diff(around, axis=1, prepend=0), np.diff(around, axis=2, prepend=0)).sum()
    return {
        "background": background,
        "ink": 255 - background,
        "anchor": anchor,
        "centre": [round(float(value), 2) for value in centre],
        "extent": round(float(np.median(np.maximum(*sides))), 2),
        "stroke": round(float(2 * ink.sum() / variation), 2),
    }


def canvas(examples: Sequence[NDArray[np.uint8]]) -> Canvas | None:
    """Return a canvas whose drawings become images like the examples, uint8 [H, W].

    The drawing's ink is scaled to the examples' median height, or to the median width if it would be wider, and the
    centre of its box is placed at theirs.

    Args:
        examples: images of one size.

    Returns:
        None if the examples are no drawings: small, grey and on plain paper.
    """
    if not len(examples) or examples[0].ndim != 2 or max(examples[0].shape) > LARGEST:
        return None
    images = np.stack(examples).astype(np.float32)
    corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    paper = float(np.median(corners))
    if np.mean(np.abs(corners - paper).max(1) < 0.1 * np.ptp(images)) < PLAIN:
        return None
    sign = 1.0 if np.median(images) <= images.mean() else -1.0  # whether ink is brighter than paper
    strongest = float(np.percentile(sign * (images - paper), 99.5))
    boxes = np.array([box for image in images if (box := _box(np.abs(image - paper) > FAINT * strongest)) is not None])
    sizes, middles = boxes[:, 1] - boxes[:, 0], boxes.mean(1)  # [N, 2]: down, across
    height, width = np.median(sizes, 0)
    middle = np.median(middles, 0)

    def draw(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shape = images.shape[1:]
        box = _box(ink >= INK)
        if box is None:
            return np.full(shape, paper, np.uint8)
        (top, left), (bottom, right) = box
        cut = Image.fromarray(ink[top:bottom, left:right])
        scale = min(height / cut.height, max(width, height) / cut.width)
        size = [max(1, round(scale * side)) for side in (cut.width, cut.height)]
        small = np.asarray(cut.resize((size[0], size[1]), Image.Resampling.BOX), np.float32)
        small *= 255 / max(small.max(), 1)  # thin lines become pale when they shrink
        placed = np.zeros(shape, np.float32)
        first = [round(float(np.clip(m - s / 2, 0, n - s))) for m, s, n in zip(middle, size[::-1], shape, strict=True)]
        placed[first[0] : first[0] + size[1], first[1] : first[1] + size[0]] = small
        return (paper + sign * strongest * placed / 255).clip(0, 255).round().astype(np.uint8)

    style = drawing_style(np.stack(examples))
    return Canvas(draw, style["stroke"] / style["extent"])


def _box(ink: NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the first and the last (exclusive) row and column with ink; None if there is none."""
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return ((int(rows[0]), int(columns[0])), (int(rows[-1]) + 1, int(columns[-1]) + 1)) if len(rows) else None
