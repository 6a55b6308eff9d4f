"""Figures of a classifier's report, in the style of `core.plots`."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.plots import BLUE, GREY, PALE, VERMILION, short, styled

COUNTED = 20  # most classes for which the confusion matrix shows counts
NAMED = 50  # most classes that are all named along an axis


@styled
def confusion_matrix_figure(matrix: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Plot a confusion matrix: correct predictions in blue, mistakes in red.

    Colours show fractions of a row. Mistakes have their own scale, from 0 to 0.1 or to the largest fraction if that is
    more, because they are rare compared with correct predictions. With more than 20 classes, the most frequent
    mistakes are listed below instead of counts in the cells.

    Args:
        matrix: counts [C, C]; rows are true classes, columns predictions.
        names: names of the C classes.
    """
    size = len(names)
    fraction = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(size, dtype=bool)
    mistakes = np.where(diagonal, 0, matrix)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:10]
    listed = [divmod(int(i), size) for i in order if mistakes.flat[i] and size > COUNTED]

    side = min(2 + 0.45 * size, 6.4)  # inches
    heights = [side + 1, 0.27 * len(listed)]
    figure = Figure(figsize=(min(side + 1.6, 8), sum(heights)))
    axes, *below = figure.subplots(1 + bool(listed), height_ratios=heights[: 1 + bool(listed)], squeeze=False).flat
    if listed:
        _list_mistakes(below[0], mistakes, listed, names)
    blues, reds = (LinearSegmentedColormap.from_list("", ["white", colour]) for colour in (BLUE, VERMILION))
    norm = PowerNorm(0.5, vmin=0, vmax=max(0.1, fraction[~diagonal].max(initial=0)))
    edges = {"edgecolors": PALE, "linewidth": 0.5} if size <= NAMED else {}
    axes.pcolormesh(np.ma.masked_array(fraction, ~diagonal), cmap=blues, vmin=0, vmax=1, **edges)
    mesh = axes.pcolormesh(np.ma.masked_array(fraction, diagonal), cmap=reds, norm=norm, **edges)
    axes.set(xlabel="prediction", ylabel="true class", aspect="equal")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)

    ticks = range(0, size, max(1, math.ceil(size / NAMED)))
    labels = [short(names[tick], 18) for tick in ticks]
    positions = [tick + 0.5 for tick in ticks]
    space = side * 72 / len(ticks)  # typographic points for each label
    points = min(9.5, 0.75 * space)
    upright = max(map(len, labels)) * 0.65 * points > 0.9 * space
    axes.set_yticks(positions, labels, fontsize=points)
    axes.set_xticks(positions, labels, fontsize=points, rotation=90 if upright else 0)
    axes.tick_params(length=0)
    if size > COUNTED:
        bar = figure.colorbar(mesh, ax=axes, shrink=0.4, aspect=14, format=PercentFormatter(1, decimals=0))
        bar.set_label("mistakes, fraction of the true class")
        bar.outline.set_visible(False)
        return figure
    points = min(11, 1.2 * space / len(str(matrix.max())))
    for row, column in zip(*np.nonzero(matrix), strict=True):
        dark = fraction[row, column] > 0.5 if row == column else norm(fraction[row, column]) > 0.7
        centred = {"ha": "center", "va": "center", "color": "white" if dark else "black"}
        axes.text(column + 0.5, row + 0.5, str(matrix[row, column]), size=points, **centred)
    return figure


def _list_mistakes(
    axes: Axes, mistakes: NDArray[np.int64], pairs: Sequence[tuple[int, int]], names: Sequence[str]
) -> None:
    counts = [int(mistakes[pair]) for pair in pairs]
    bars = axes.barh(range(len(pairs)), counts, height=0.6, color=VERMILION)
    words = [f"{short(names[true], 24)} → {short(names[guess], 24)}" for true, guess in pairs]
    axes.bar_label(bars, [f"{n}   {word}" for n, word in zip(counts, words, strict=True)], padding=4)
    axes.set(title="most frequent mistakes: true class → prediction", xticks=[], yticks=[], xlim=(0, 2 * counts[0]))
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)


@styled
def reliability_figure(count: Tensor, confidence: Tensor, hits: Tensor) -> Figure:
    """Plot the accuracy at each confidence (reliability diagram), and the number of samples at each confidence.

    Args:
        count: samples in each of K equal bins of confidence in 0..1; [K].
        confidence: sum of the confidences in each bin; [K].
        hits: correct predictions in each bin; [K].
    """
    samples, confidence_sum, correct = (values.double().numpy() for values in (count, confidence, hits))
    bins = len(samples)
    edges = np.arange(bins) / bins
    n = np.maximum(samples, 1)
    mean_confidence, accuracy = confidence_sum / n, correct / n
    # Wilson's 95 % interval, which makes visible that a bin of three samples proves little.
    z = 1.96
    middle = (accuracy + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(accuracy * (1 - accuracy) / n + z**2 / (4 * n**2))
    occupied = samples > 0

    figure = Figure(figsize=(6, 5.6))
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="calibrated: accuracy equals confidence")
    low, high = (middle - half)[occupied], (middle + half)[occupied]
    top.vlines(mean_confidence[occupied], low, high, color=BLUE, alpha=0.35, linewidth=4)
    top.plot(mean_confidence[occupied], accuracy[occupied], "o-", color=BLUE, label="this model (bar: 95% interval)")
    top.set(ylabel="accuracy", xlim=(-0.01, 1.01), ylim=(0, 1.03))
    top.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    top.grid()
    top.legend()
    below.bar(edges, samples, width=1 / bins, align="edge", color=BLUE, edgecolor="white")
    below.set(xlabel="confidence of the prediction", ylabel="samples", ylim=(0, max(1, 1.1 * samples.max())))
    below.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if samples.max(initial=0) > 10:
        below.set_yscale("log", nonpositive="clip")  # most samples are in the last bin
        below.set(ylabel="samples (log scale)", ylim=(0.7, None))
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return figure
