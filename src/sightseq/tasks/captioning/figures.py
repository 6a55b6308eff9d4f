"""Figures of captioned images for the report."""

import re
from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.plots import GREY, short, styled

WIDTH = 8.0  # of a figure, in inches
COLUMNS, GAP = 5, 0.08  # images side by side, and the space around them in inches
LINE, LINE_HEIGHT, FONT = 24, 0.13, 7.5  # characters of a caption per line; inches; points
REFERENCES = 5  # of an image
PANELS = 8  # of the attention figure, side by side
DARK = 0.35  # brightness of what a word does not attend to


@styled
def captions_figure(
    images: Sequence[NDArray[np.uint8]], captions: Sequence[str], references: Sequence[Sequence[str]] = ()
) -> Figure:
    """Plot images with their captions below.

    Args:
        images: [H, W] grey or [H, W, 3] colour, of one size.
        captions: one for each image.
        references: for each image a few, in grey below the caption; empty for none.
    """
    texts = list(map(_wrapped, captions))
    below = ["\n".join(_wrapped(f"· {text}") for text in few[:REFERENCES]) for few in references]
    below = below or [""] * len(images)
    side = WIDTH / COLUMNS - 2 * GAP
    tall = side * images[0].shape[0] / images[0].shape[1]
    rows = [slice(start, start + COLUMNS) for start in range(0, len(images), COLUMNS)]
    lines = [
        max(_lines(text) + _lines(other) for text, other in zip(texts[row], below[row], strict=True)) for row in rows
    ]
    height = sum(tall + 3 * GAP + LINE_HEIGHT * count for count in lines)
    figure = Figure(figsize=(WIDTH, height))
    figure.set_layout_engine("none")  # all places are given
    top = height
    for row, count in zip(rows, lines, strict=True):
        top -= GAP + tall
        for column, (image, text, other) in enumerate(zip(images[row], texts[row], below[row], strict=True)):
            left = column * WIDTH / COLUMNS + GAP
            axes = figure.add_axes((left / WIDTH, top / height, side / WIDTH, tall / height))
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            axes.axis("off")
            for lower, label, colour in ((0, text, "black"), (_lines(text), other, GREY)):
                place = (0, -(GAP / 2 + lower * LINE_HEIGHT) / tall)
                axes.text(*place, label, transform=axes.transAxes, va="top", fontsize=FONT, color=colour)
        top -= 2 * GAP + LINE_HEIGHT * count
    return figure


def _wrapped(text: str) -> str:
    """Return a text in lines, none of which starts with a punctuation mark that is a token of its own."""
    return fill(re.sub(r" (?=[.,;:!?](?: |$))", "\u00a0", text), LINE)


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


@styled
def attention_figure(
    images: Sequence[NDArray[np.uint8]], words: Sequence[Sequence[str]], weights: Sequence[NDArray[np.float32]]
) -> Figure:
    """Plot each image, then its attention weights for each word: the image, bright where the weights are large.

    Args:
        images: [H, W] grey or [H, W, 3] colour.
        words: words of each caption.
        weights: for each caption [words, h, w], of the positions of the feature map.
    """
    panels: list[list[tuple[str, NDArray[np.uint8]]]] = []  # rows of the figure
    for image, caption, maps in zip(images, words, weights, strict=True):
        row = [("", image), *((word, lit(image, one)) for word, one in zip(caption, maps, strict=True))]
        panels += [row[start : start + PANELS] for start in range(0, len(row), PANELS)]
    figure = Figure(figsize=(8, 1.25 * len(panels)))
    grid = figure.subplots(len(panels), PANELS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for number, row in enumerate(panels):
        for axes, (word, image) in zip(grid[number], row, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            axes.set_title(short(word, 14), fontsize=8, pad=2)
    return figure


def lit(image: NDArray[np.uint8], weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image [H, W] or [H, W, C] whose brightness is that of weights [h, w], relative to the largest one."""
    height, width = image.shape[:2]
    smooth = Image.fromarray(weights / weights.max()).resize((width, height), Image.Resampling.BICUBIC)
    light = DARK + (1 - DARK) * np.asarray(smooth).clip(0, 1)
    shown: NDArray[np.uint8] = (image * light.reshape(height, width, *[1] * (image.ndim - 2))).astype(np.uint8)
    return shown
