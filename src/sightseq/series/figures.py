"""Figures of labelled sequences, in the common style of all figures."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sightseq.core.plots import BLUE, GREY, ORANGE, VERMILION, judge, short, styled

LINES = 4  # channels that are drawn as lines; more are drawn as an image
COLOURS = (BLUE, VERMILION, ORANGE, GREY)
COLUMNS = 4


class Trace(NamedTuple):
    """A sequence to draw.

    Attributes:
        values: [T, D], NaN where one is missing.
        channels: their names, D.
        rate: steps per second, in Hz; None if the steps have no duration.
    """

    values: NDArray[np.floating[Any]]
    channels: Sequence[str]
    rate: float | None


@styled
def traces_figure(
    traces: Sequence[Trace],
    labels: Sequence[tuple[str, float, str]],
    heats: Sequence[NDArray[np.floating[Any]]] | None = None,
) -> Figure:
    """Plot sequences with their predictions; a wrong one has a red frame and the true class.

    Args:
        traces: the sequences.
        labels: for each the predicted class, its probability in 0..1, and the true class.
        heats: for each the importance of its steps [T] in 0..1, drawn as a band below it.
    """
    figure, cells = _grid(traces)
    for place, (cell, trace, label) in enumerate(zip(cells, traces, labels, strict=True)):
        _draw(cell, trace, None if heats is None else heats[place])
        judge(cell, *label)
    return figure


@styled
def batch_figure(traces: Sequence[Trace], names: Sequence[str]) -> Figure:
    """Plot sequences with their labels, such as a training batch after augmentation."""
    figure, cells = _grid(traces)
    for cell, trace, name in zip(cells, traces, names, strict=True):
        _draw(cell, trace, None)
        cell.set_title(short(name, 22), fontsize=8.5)
    return figure


def _grid(traces: Sequence[Trace]) -> tuple[Figure, list[Axes]]:
    """One cell for each sequence, and a legend if the channels are lines."""
    columns = min(COLUMNS, max(len(traces), 1))
    rows = max(1, math.ceil(len(traces) / columns))
    figure = Figure(figsize=(2 * columns, 1.75 * rows + 0.25))
    cells = [figure.add_subplot(rows, columns, place) for place in range(1, len(traces) + 1)]
    if traces and len(traces[0].channels) <= LINES:
        lines = [cells[0].plot([], [], color=colour)[0] for colour in COLOURS[: len(traces[0].channels)]]
        figure.legend(lines, traces[0].channels, loc="outside upper right", ncols=LINES, fontsize=7)
    return figure, cells


def _draw(cell: Axes, trace: Trace, heat: NDArray[np.floating[Any]] | None) -> None:
    values, step = trace.values, 1 / (trace.rate or 1)
    cell.tick_params(labelsize=7)
    cell.set_xlabel("seconds" if trace.rate else "steps", fontsize=7, labelpad=1)
    cell.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    end = len(values) * step
    if values.shape[1] <= LINES:
        for channel, colour in zip(values.T, COLOURS, strict=False):
            # A value that stands alone between missing ones is a dot.
            cell.plot(
                (np.arange(len(values)) + 0.5) * step, channel, color=colour, linewidth=1, marker=".", markersize=1
            )
    else:
        low, high = np.nanpercentile(values, (1, 99)) if np.isfinite(values).any() else (0.0, 1.0)
        extent = (0, end, values.shape[1], 0)
        cell.imshow(
            values.T,
            cmap="viridis",
            aspect="auto",
            extent=extent,
            interpolation="none",
            vmin=low,
            vmax=max(high, low + 1e-6),
        )
        cell.set_ylabel("channel", fontsize=7, labelpad=1)
        cell.set_facecolor("white")  # missing values
    cell.set_xlim(0, end)
    if heat is not None:
        band = cell.inset_axes((0, 0, 1, 0.08))
        band.imshow(heat[None], cmap="Greys", aspect="auto", vmin=0, vmax=1)
        band.set_axis_off()
