"""The figures of a classifier's report: see `core.plots`."""

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

COUNTED = 20  # the most classes whose confusion matrix has room for numbers
NAMED = 50  # the most classes that can all be named along an axis


@styled
def confusion_matrix_figure(matrix: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Which classes are taken for which: right answers in blue, mistakes in red.

    Colours are shares of the row. Mistakes have a scale of their own, on which a tenth is already full, because
    they are few beside the right answers. Where the classes are too many for numbers, the most frequent
    mistakes are listed below.

    Args:
        matrix: counts [C, C]; rows are true classes, columns predictions.
        names: of the C classes.
    """
    size = len(names)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
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
    norm = PowerNorm(0.5, vmin=0, vmax=max(0.1, share[~diagonal].max(initial=0)))
    edges = {"edgecolors": PALE, "linewidth": 0.5} if size <= NAMED else {}
    axes.pcolormesh(np.ma.masked_array(share, ~diagonal), cmap=blues, vmin=0, vmax=1, **edges)
    mesh = axes.pcolormesh(np.ma.masked_array(share, diagonal), cmap=reds, norm=norm, **edges)
    axes.set(xlabel="prediction", ylabel="true class", aspect="equal")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)

    ticks = range(0, size, max(1, math.ceil(size / NAMED)))
    labels = [short(names[tick], 18) for tick in ticks]
    places = [tick + 0.5 for tick in ticks]
    room = side * 72 / len(ticks)  # points for each label
    points = min(9.5, 0.75 * room)
    upright = max(map(len, labels)) * 0.65 * points > 0.9 * room
    axes.set_yticks(places, labels, fontsize=points)
    axes.set_xticks(places, labels, fontsize=points, rotation=90 if upright else 0)
    axes.tick_params(length=0)
    if size > COUNTED:
        bar = figure.colorbar(mesh, ax=axes, shrink=0.4, aspect=14, format=PercentFormatter(1, decimals=0))
        bar.set_label("mistaken, share of the class")
        bar.outline.set_visible(False)
        return figure
    points = min(11, 1.2 * room / len(str(matrix.max())))
    for row, column in zip(*np.nonzero(matrix), strict=True):
        dark = share[row, column] > 0.5 if row == column else norm(share[row, column]) > 0.7
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
    """How often the model is right at each confidence, and how often it has that confidence.

    Args:
        count: samples in each of K bins of confidence, which share the range 0..1 evenly; [K].
        confidence: the sum of their confidences; [K].
        hits: how many of them are right; [K].
    """
    seen, sure, right = (values.double().numpy() for values in (count, confidence, hits))
    bins = len(seen)
    edges = np.arange(bins) / bins
    n = np.maximum(seen, 1)
    claimed, share = sure / n, right / n
    # Wilson's interval at 95 %: a bin of three samples proves little, and is seen to.
    z = 1.96
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    filled = seen > 0

    figure = Figure(figsize=(6, 5.6))
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="honest: as often right as claimed")
    low, high = (middle - half)[filled], (middle + half)[filled]
    top.vlines(claimed[filled], low, high, color=BLUE, alpha=0.35, linewidth=4)
    top.plot(claimed[filled], share[filled], "o-", color=BLUE, label="this model (bar: 95% interval)")
    top.set(ylabel="right", xlim=(-0.01, 1.01), ylim=(0, 1.03))
    top.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    top.grid()
    top.legend()
    below.bar(edges, seen, width=1 / bins, align="edge", color=BLUE, edgecolor="white")
    below.set(xlabel="confidence of the prediction", ylabel="samples", ylim=(0, max(1, 1.1 * seen.max())))
    below.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if seen.max(initial=0) > 10:
        below.set_yscale("log", nonpositive="clip")  # most samples lie in the last bin
        below.set(ylabel="samples (log scale)", ylim=(0.7, None))
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return figure
