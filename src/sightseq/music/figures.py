"""Figures of pieces and of their statistics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from sightseq.core.plots import BLUE, GREY, ORANGE, PALE, styled
from sightseq.music.piece import NAMES, PITCHES, Piece, pitch_name
from sightseq.music.statistics import BAR, WIDEST

MARGIN = 3  # semitones above and below the notes
MOST_BARS = 32  # bars with a line each


@styled
def roll_figure(piece: Piece, given: NDArray[np.bool_] | None = None, bar: float = BAR, title: str = "") -> Figure:
    """Plot the notes of a piece: time in bars to the right, pitch upwards, with a line for each bar and each C.

    Notes are blue, given ones orange, and drums grey.

    Args:
        piece: any piece.
        given: [N], whether each note was given to the model (an opening, or a melody to harmonise).
        bar: beats per bar.
        title: above the plot.
    """
    notes = piece.notes
    given = np.zeros(len(notes), bool) if given is None else given
    lowest, highest = int(notes["pitch"].min(initial=PITCHES)), int(notes["pitch"].max(initial=0))
    if lowest > highest:
        lowest, highest = 60, 72
    low, high = lowest - MARGIN, highest + MARGIN
    figure = Figure(figsize=(8, min(1.2 + 0.05 * (high - low), 4.5)))
    axes = figure.add_subplot()
    kinds = {
        "given": (ORANGE, given & ~notes["drum"]),
        "composed": (BLUE, ~given & ~notes["drum"]),
        "drums": (GREY, notes["drum"]),
    }
    bars = max(1, int(np.ceil(piece.duration / bar - 1e-6)))
    edge = 0.4 if bars <= MOST_BARS else 0
    shown = {name: kind for name, kind in kinds.items() if kind[1].any()}
    for colour, chosen in shown.values():
        boxes = [
            Rectangle((start / bar, pitch - 0.45), (end - start) / bar, 0.9)
            for start, end, pitch, *_ in notes[chosen].tolist()
        ]
        # White edges separate repeated notes, but would hide narrow ones.
        axes.add_collection(PatchCollection(boxes, facecolor=colour, edgecolor="white", linewidth=edge, zorder=2))
    octaves = range(-(-low // 12) * 12, high + 1, 12)
    axes.set_yticks(list(octaves), [pitch_name(pitch) for pitch in octaves])
    axes.xaxis.set_major_locator(MaxNLocator(min(bars, 16), integer=True, min_n_ticks=1))
    if bars <= MOST_BARS:
        axes.set_xticks(range(bars + 1), minor=True)
    axes.grid(axis="both", which="both", color=PALE, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(which="minor", length=0)
    axes.set(xlim=(0, bars), ylim=(low, high), xlabel="bars", title=title)
    if len(shown) > 1:
        handles = [Rectangle((0, 0), 1, 1, facecolor=colour) for colour, _ in shown.values()]
        figure.legend(handles, list(shown), loc="outside upper right", ncols=len(shown))
    return figure


@styled
def histogram_figure(composed: Mapping[str, Any], training: Mapping[str, Any]) -> Figure:
    """Plot the pitch classes and the melodic intervals of composed music beside those of the training music.

    Args:
        composed: statistics of the composed pieces: see `statistics.describe`.
        training: the same of the training pieces.
    """
    figure = Figure(figsize=(8, 5.2))
    panels = {
        "pitch_classes": ("Pitch classes", "share of the duration", list(NAMES)),
        "intervals": ("Intervals of the upper line, in semitones", "share of the intervals", _interval_names()),
    }
    for place, (name, (title, label, names)) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(2, 1, place)
        _bars(axes, composed[name], training[name], names)
        axes.set(title=title, ylabel=label)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def _bars(axes: Axes, composed: NDArray[np.float64], training: NDArray[np.float64], names: list[str]) -> None:
    places = np.arange(len(names))
    axes.bar(places - 0.2, training, 0.4, color=ORANGE, label="training")
    axes.bar(places + 0.2, composed, 0.4, color=BLUE, label="composed")
    axes.set_xticks(places, names)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y")
    axes.set_axisbelow(True)


def _interval_names() -> list[str]:
    """Labels of the even intervals; all of them would overlap."""
    names = ["" if step % 2 else f"{step:+d}" if step else "0" for step in range(-WIDEST, WIDEST + 1)]
    names[0], names[-1] = f"≤-{WIDEST}", f"≥+{WIDEST}"
    return names
