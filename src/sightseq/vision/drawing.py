"""Drawings of a person, centred and scaled as the images that a model was trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.page import Canvas
from sightseq.vision.drawings import drawing_style

LARGEST = 64  # pixels per side; larger images are photographs
PLAIN = 0.75  # fraction of images whose four corners must have one colour
INK = 0.25  # of the range of an image: what differs more from its corners is ink


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
    boxes = np.array([box for image in images if (box := _box(np.abs(image - paper) > INK * strongest)) is not None])
    sizes, middles = boxes[:, 1] - boxes[:, 0], boxes.mean(1)  # [N, 2]: down, across
    height, width = np.median(sizes, 0)
    middle = np.median(middles, 0)

    def draw(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shape = images.shape[1:]
        box = _box(ink > 255 * INK)
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
