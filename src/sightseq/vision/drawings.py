"""How drawings lie in their images, so that a sketchpad can draw such images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

INK = 64  # grey levels from the background: what differs less is noise, or the blurred edge of a stroke


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
