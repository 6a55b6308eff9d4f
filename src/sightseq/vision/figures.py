"""The figures that consist of images, in the style of all figures."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sightseq.core.plots import VERMILION, short, styled

LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue: ITU-R BT.601


@styled
def examples_figure(inputs: Sequence[NDArray[np.uint8]], labels: Sequence[tuple[str, float, str]]) -> Figure:
    """Samples with what the model says of them; mistakes have a red frame, a cross and the truth.

    Args:
        inputs: images, [H, W] grey or [H, W, 3] colour, of any sizes.
        labels: for each the prediction, its probability in 0..1, and the true class.
    """
    figure, cells = _grid([image.shape for image in inputs])
    for axes, image, label in zip(cells, inputs, labels, strict=True):
        _show(axes, image)
        _judge(axes, *label)
    return figure


@styled
def saliency_figure(
    inputs: Sequence[NDArray[np.uint8]],
    heats: Sequence[NDArray[np.float32]],
    labels: Sequence[tuple[str, float, str]],
) -> Figure:
    """Samples as in `examples_figure`, each beside itself in grey with its heat map glowing on it.

    Args:
        inputs: see `examples_figure`.
        heats: for each a map [H, W] in 0..1; where it is 0, nothing glows.
        labels: see `examples_figure`.
    """
    figure, cells = _grid([(image.shape[0], 2.04 * image.shape[1]) for image in inputs], widest=8 / 3)
    for axes, image, heat, label in zip(cells, inputs, heats, labels, strict=True):
        height, width = image.shape[:2]
        _show(axes, image)
        # On grey, no colour of the photograph is taken for heat; a little darker, its white is not.
        left = 1.04 * width
        _show(axes, 0.85 * (image @ LUMA if image.ndim == 3 else image), left)
        glow = matplotlib.colormaps["inferno"](heat)  # even in brightness, and clear to the colour-blind
        glow[..., 3] = 0.75 * heat
        axes.imshow(glow, extent=(left, left + width, height, 0))
        axes.set(xlim=(0, left + width), ylim=(height, 0))
        _judge(axes, *label)
    return figure


@styled
def batch_figure(inputs: Sequence[NDArray[np.uint8]], labels: Sequence[str]) -> Figure:
    """Samples with their labels, such as a training batch after augmentation.

    Args:
        inputs: images, [H, W] grey or [H, W, 3] colour, of any sizes.
        labels: one for each.
    """
    figure, cells = _grid([image.shape for image in inputs])
    for axes, image, label in zip(cells, inputs, labels, strict=True):
        _show(axes, image)
        axes.set_title(short(label, 18), fontsize=8.5)
    return figure


def _grid(shapes: Sequence[tuple[float, ...]], widest: float = 2.0) -> tuple[Figure, list[Axes]]:
    """One cell for each shape (height, width, ...), at most `widest` inches, with room for a title of two lines."""
    tall = max((shape[0] / shape[1] for shape in shapes), default=1.0)
    columns = max(1, min(len(shapes), 5 if tall > 0.5 else 3))
    rows = max(1, math.ceil(len(shapes) / columns))
    width = min(8 / columns, widest)  # inches
    figure = Figure(figsize=(width * columns, (min(width * tall, 4.0) + 0.5) * rows))
    cells = [figure.add_subplot(rows, columns, place) for place in range(1, len(shapes) + 1)]
    for axes in cells:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure, cells


def _show(axes: Axes, image: NDArray[np.generic], left: float = 0.0) -> None:
    """Draws an image of values in 0..255, its pixels as squares if they are few."""
    height, width = image.shape[:2]
    sharp = "nearest" if max(height, width) < 100 else "auto"
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation=sharp, extent=(left, left + width, height, 0))


def _judge(axes: Axes, guess: str, confidence: float, truth: str) -> None:
    """The prediction as a title, and where it is wrong the truth and a frame."""
    wrong = guess != truth
    text = f"{'✗' if wrong else '✓'} {short(guess, 11)} ({confidence:.0%})"
    if wrong:
        text += f"\ntruth: {short(truth, 14)}"
        axes.spines[:].set(visible=True, color=VERMILION, linewidth=2.5)
    axes.set_title(text, fontsize=8.5, color=VERMILION if wrong else "black")
