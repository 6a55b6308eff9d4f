"""Figures of lines of writing: where each character was read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sightseq.core.plots import BLUE, VERMILION, short, styled

LONGEST = 90  # characters of a title


class AlignedLine(NamedTuple):
    """An image, and the text that was read in it.

    Attributes:
        image: uint8 [H, W] or [H, W, 3].
        text: what was read.
        reference: the true text; None if it is unknown.
        spans: each character with its first column, and the column after its last one.
    """

    image: NDArray[np.uint8]
    text: str
    reference: str | None
    spans: Sequence[tuple[str, int, int]]


@styled
def alignment_figure(lines: Sequence[AlignedLine]) -> Figure:
    """Plot each image with the characters above the places where they were read; a wrong text has the true one below.

    Args:
        lines: at least one.
    """
    figure = Figure(figsize=(8, 1.75 * len(lines)))
    panels = figure.subplots(len(lines), 1, squeeze=False)[:, 0]
    widest = max(line.image.shape[1] for line in lines)  # all lines have one scale: a short one is not stretched
    for axes, line in zip(panels, lines, strict=True):
        height, width = line.image.shape[:2]
        extent = (0, width, height, 0)
        axes.imshow(line.image, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto", interpolation="nearest")
        for number, (character, start, end) in enumerate(line.spans):
            axes.axvspan(start, end, color=BLUE, alpha=0.25 if number % 2 else 0.12, linewidth=0)
            axes.text((start + end) / 2, -0.06 * height, character, ha="center", va="bottom", fontsize=9, color=BLUE)
        title, colour = short(line.text, LONGEST), "black"
        if line.reference == line.text:
            title = f"✓ {title}"
        elif line.reference is not None:
            title, colour = f"✗ {title}\ntruth: {short(line.reference, LONGEST)}", VERMILION
        axes.set_title(title, color=colour, pad=18)
        axes.set(xlim=(0, widest), yticks=[])
    panels[-1].set_xlabel("pixels")
    return figure
