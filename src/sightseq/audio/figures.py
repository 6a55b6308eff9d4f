"""Figures of sounds as mel spectrograms, in the common style of all figures: seconds and Hz on their axes."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from sightseq.audio.features import MelAxes
from sightseq.core.plots import BLUE, VERMILION, judge, short, styled

Spectrogram = NDArray[np.floating[Any]]
"""Mel features [n_mels, T] of one sound, without padding."""
HERTZ = (200, 500, 1000, 2000, 4000, 8000, 16000)
COLUMNS = 4
ROW_SECONDS = 5.0  # of an alignment in each row


@styled
def examples_figure(features: Sequence[Spectrogram], axes: MelAxes, labels: Sequence[tuple[str, float, str]]) -> Figure:
    """Plot the spectrograms of samples with their predictions; a wrong one has a red frame and the true class.

    Args:
        features: mel features of each sample.
        axes: units of the features.
        labels: for each sample the predicted class, its probability in 0..1, and the true class.
    """
    figure, cells = _grid(len(features))
    for cell, one, label in zip(cells, features, labels, strict=True):
        _draw(cell, one, axes)
        judge(cell, *label)
    return figure


@styled
def batch_figure(features: Sequence[Spectrogram], axes: MelAxes, names: Sequence[str]) -> Figure:
    """Plot the spectrograms of samples with their labels, such as a training batch after augmentation.

    Args:
        features: mel features of each sample.
        axes: units of the features.
        names: one for each sample.
    """
    figure, cells = _grid(len(features))
    for cell, one, name in zip(cells, features, names, strict=True):
        _draw(cell, one, axes)
        cell.set_title(short(name, 22), fontsize=8.5)
    return figure


@styled
def saliency_figure(
    features: Sequence[Spectrogram],
    axes: MelAxes,
    heats: Sequence[NDArray[np.floating[Any]]],
    labels: Sequence[tuple[str, float, str]],
) -> Figure:
    """Plot samples as in `examples_figure`, each above a grey copy with its heat map as an overlay.

    Args:
        features: mel features of each sample.
        axes: units of the features.
        heats: for each sample a heat map [n_mels, T] in 0..1; the overlay is transparent where it is 0.
        labels: see `examples_figure`.
    """
    columns = min(COLUMNS, max(len(features), 1))
    rows = math.ceil(len(features) / columns)
    figure = Figure(figsize=(8, 3.0 * max(rows, 1)))
    for place, (one, heat, label) in enumerate(zip(features, heats, labels, strict=True)):
        row, column = divmod(place, columns)
        upper = figure.add_subplot(2 * rows, columns, 2 * row * columns + column + 1)
        lower = figure.add_subplot(2 * rows, columns, (2 * row + 1) * columns + column + 1, sharex=upper)
        for cell in (upper, lower):
            _label_cell(cell, first=column == 0)
        upper.tick_params(labelbottom=False)
        upper.set_xlabel("")
        _draw(upper, one, axes)
        judge(upper, *label)
        _draw(lower, one, axes, "gray", 0.75)
        overlay = matplotlib.colormaps["inferno"](heat)
        overlay[..., 3] = 0.75 * heat
        lower.imshow(overlay, origin="lower", aspect="auto", extent=_extent(one, axes))
    return figure


@styled
def alignment_figure(features: Spectrogram, axes: MelAxes, spans: Sequence[tuple[str, float, float]]) -> Figure:
    """Plot a spectrogram, in rows of a few seconds, with the text that is aligned to it.

    Args:
        features: mel features of the sound.
        axes: units of the features.
        spans: each character or word with its start and end in seconds, in the order of time.
    """
    seconds = features.shape[1] * axes.hop
    rows = max(1, math.ceil(seconds / (1.2 * ROW_SECONDS)))
    length = seconds / rows
    figure = Figure(figsize=(8, 1.7 * rows + 0.4))
    for row, cell in enumerate(np.ravel(figure.subplots(rows, squeeze=False))):
        start, end = row * length, (row + 1) * length
        _draw(cell, features, axes, "gray_r")
        cell.set(xlim=(start, end), ylabel="Hz", xlabel="seconds" if row == rows - 1 else "")
        for number, (text, first, last) in enumerate(spans):
            if last <= start or first >= end:
                continue
            colour = (BLUE, VERMILION)[number % 2]  # neighbours differ
            cell.axvspan(first, last, color=colour, alpha=0.25, linewidth=0)
            middle = (first + last) / 2
            if not start <= middle < end:  # the text is in the row of its middle alone
                continue
            cell.annotate(
                "␣" if text == " " else text,
                (middle, 1.02),
                xycoords=("data", "axes fraction"),
                ha="center",
                fontsize=10,
                color=colour,
                annotation_clip=False,
            )
    return figure


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """One cell for each spectrogram, with space for a two-line title."""
    columns = min(COLUMNS, max(count, 1))
    rows = max(1, math.ceil(count / columns))
    figure = Figure(figsize=(2 * columns, 1.75 * rows))
    cells = [figure.add_subplot(rows, columns, place) for place in range(1, count + 1)]
    for place, cell in enumerate(cells):
        _label_cell(cell, first=place % columns == 0)
    return figure, cells


def _label_cell(cell: Axes, first: bool) -> None:
    """Set small ticks; only the first cell of a row has labels of frequency."""
    cell.tick_params(labelsize=7, labelleft=first)
    cell.set_xlabel("seconds", fontsize=7, labelpad=1)
    if first:
        cell.set_ylabel("Hz", fontsize=7)


def _draw(cell: Axes, features: Spectrogram, axes: MelAxes, colours: str = "magma", darkness: float = 1.0) -> None:
    low, high = np.percentile(features, (2, 99.8)) if features.size else (0.0, 1.0)
    top = low + max(high - low, 1e-6) / darkness
    extent = _extent(features, axes)
    cell.imshow(features, cmap=colours, origin="lower", aspect="auto", extent=extent, vmin=low, vmax=top)
    ticks = [mel for mel in map(_mel, HERTZ) if extent[2] <= mel <= extent[3]]
    cell.yaxis.set_major_locator(FixedLocator(ticks))
    cell.yaxis.set_major_formatter(FuncFormatter(lambda mel, _: f"{round(700 * (10 ** (mel / 2595) - 1)):,}"))
    cell.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))


def _extent(features: Spectrogram, axes: MelAxes) -> tuple[float, float, float, float]:
    """Return left and right in seconds, bottom and top in mel: bands are equally wide in mel and overlap by half."""
    bands, frames = features.shape
    low, high = _mel(axes.low), _mel(axes.high)
    margin = (high - low) / (bands + 1) / 2
    return -axes.hop / 2, (frames - 0.5) * axes.hop, low + margin, high - margin


def _mel(hertz: float) -> float:
    """Convert a frequency to the HTK mel scale."""
    return 2595 * math.log10(1 + hertz / 700)
