"""Figures of images, in the common style of all figures."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sightseq.core.plots import judge, short, styled

LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue: ITU-R BT.601


@styled
def examples_figure(inputs: Sequence[NDArray[np.uint8]], labels: Sequence[tuple[str, float, str]]) -> Figure:
    """Plot samples with their predictions; a wrong one has a red frame, a cross and the true class.

    Args:
        inputs: images, [H, W] grey or [H, W, 3] colour, of any sizes.
        labels: for each image the predicted class, its probability in 0..1, and the true class.
    """
    figure, cells = _grid([image.shape for image in inputs])
    for axes, image, label in zip(cells, inputs, labels, strict=True):
        _show(axes, image)
        judge(axes, *label)
    return figure


@styled
def saliency_figure(
    inputs: Sequence[NDArray[np.uint8]],
    heats: Sequence[NDArray[np.float32]],
    labels: Sequence[tuple[str, float, str]],
) -> Figure:
    """Plot samples as in `examples_figure`, each next to a grey copy with its heat map as an overlay.

    Args:
        inputs: see `examples_figure`.
        heats: for each image a heat map [H, W] in 0..1; the overlay is transparent where it is 0.
        labels: see `examples_figure`.
    """
    figure, cells = _grid([(image.shape[0], 2.04 * image.shape[1]) for image in inputs], widest=8 / 3)
    for axes, image, heat, label in zip(cells, inputs, heats, labels, strict=True):
        height, width = image.shape[:2]
        _show(axes, image)
        # The copy is grey and a little darker, so that neither colours nor white of the photograph look like heat.
        left = 1.04 * width
        _show(axes, 0.85 * (image @ LUMA if image.ndim == 3 else image), left)
        overlay = matplotlib.colormaps["inferno"](heat)  # perceptually uniform, and readable for colour-blind people
        overlay[..., 3] = 0.75 * heat
        axes.imshow(overlay, extent=(left, left + width, height, 0))
        axes.set(xlim=(0, left + width), ylim=(height, 0))
        judge(axes, *label)
    return figure


@styled
def batch_figure(inputs: Sequence[NDArray[np.uint8]], labels: Sequence[str]) -> Figure:
    """Plot samples with their labels, such as a training batch after augmentation.

    Args:
        inputs: images, [H, W] grey or [H, W, 3] colour, of any sizes.
        labels: one for each image.
    """
    figure, cells = _grid([image.shape for image in inputs])
    for axes, image, label in zip(cells, inputs, labels, strict=True):
        _show(axes, image)
        axes.set_title(short(label, 18), fontsize=8.5)
    return figure


def _grid(shapes: Sequence[tuple[float, ...]], widest: float = 2.0) -> tuple[Figure, list[Axes]]:
    """One cell for each shape (height, width, ...), at most `widest` inches wide, with space for a two-line title."""
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
    """Draw an image of values in 0..255; the pixels of a small image are drawn as squares."""
    height, width = image.shape[:2]
    sharp = "nearest" if max(height, width) < 100 else "auto"
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation=sharp, extent=(left, left + width, height, 0))
