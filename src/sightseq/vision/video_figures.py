"""Figures of videos, in the common style of all figures: each clip is a strip of frames."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sightseq.core.plots import BLUE, GREY, judge, short, styled
from sightseq.vision.figures import LUMA

FRAMES = 8  # of a strip; those of a longer clip are evenly spaced
GAP = 0.06  # between frames, as a fraction of their width
NAME = 34  # characters of a class above a strip
BARS = 0.4  # height of the bars below a strip, as a fraction of a frame's


@styled
def clips_figure(clips: Sequence[NDArray[np.uint8]], labels: Sequence[str | tuple[str, float, str]]) -> Figure:
    """Plot clips as strips, two beside each other, with their labels.

    Args:
        clips: frames [T, H, W] grey or [T, H, W, 3] colour of each clip.
        labels: the class of each clip; or the predicted class, its probability in 0..1, and the true class.
    """
    figure, cells = _strips(clips, columns=2, rows=1.0)
    for axes, clip, label in zip(cells, clips, labels, strict=True):
        _show(axes, [(place, clip[frame]) for place, frame in enumerate(chosen(len(clip)))])
        if isinstance(label, str):
            axes.set_title(short(label, NAME), fontsize=8.5)
        else:
            judge(axes, *label, longest=NAME)
    return figure


@styled
def clip_saliency_figure(
    clips: Sequence[NDArray[np.uint8]],
    heats: Sequence[NDArray[np.float32]],
    labels: Sequence[tuple[str, float, str]],
) -> Figure:
    """Plot clips as strips, each above a grey copy with its heat map and a bar for the share of each frame in it.

    Args:
        clips: see `clips_figure`.
        heats: for each clip [T, H, W] in 0..1; the overlay is transparent where it is 0.
        labels: for each clip the predicted class, its probability in 0..1, and the true class.
    """
    figure, cells = _strips(clips, columns=1, rows=2 + GAP + BARS)
    for axes, clip, heat, label in zip(cells, clips, heats, labels, strict=True):
        height, width = clip.shape[1:3]
        places = list(enumerate(chosen(len(clip))))
        _show(axes, [(place, clip[frame]) for place, frame in places])
        grey = 0.85 * (clip @ LUMA if clip.ndim == 4 else clip)  # neither colours nor white look like heat
        top = (1 + GAP) * height
        _show(axes, [(place, grey[frame]) for place, frame in places], top)
        for place, frame in places:
            overlay = matplotlib.colormaps["inferno"](heat[frame])
            overlay[..., 3] = 0.75 * heat[frame]
            left = place * (1 + GAP) * width
            axes.imshow(overlay, extent=(left, left + width, top + height, top))
        shares = heat.mean((1, 2))[[frame for _, frame in places]]
        floor = (2 + GAP + BARS) * height
        tall = BARS * height * shares / max(shares.max(), np.finfo(np.float32).tiny)
        centres = [(place * (1 + GAP) + 0.5) * width for place, _ in places]
        axes.bar(centres, tall, width=0.5 * width, bottom=floor - tall, color=BLUE)
        axes.axhline(floor, color=GREY, linewidth=0.6)
        axes.set(xlim=(0, len(places) * (1 + GAP) * width), ylim=(floor, 0))
        judge(axes, *label, longest=NAME)
    return figure


def chosen(count: int) -> list[int]:
    """Return at most `FRAMES` evenly spaced frames of a clip, the first and the last one included."""
    frames: list[int] = np.unique(np.linspace(0, count - 1, min(count, FRAMES)).round().astype(int)).tolist()
    return frames


def _strips(clips: Sequence[NDArray[np.uint8]], columns: int, rows: float) -> tuple[Figure, list[Axes]]:
    """One cell for each clip, wide enough for `FRAMES` frames and `rows` frames tall."""
    tall = max((clip.shape[1] / clip.shape[2] for clip in clips), default=1.0)
    width = 8 / columns  # inches
    lines = max(1, math.ceil(len(clips) / columns))
    figure = Figure(figsize=(8, (rows * tall * width / FRAMES + 0.45) * lines))
    cells = [figure.add_subplot(lines, columns, place) for place in range(1, len(clips) + 1)]
    for axes in cells:
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
    return figure, cells


def _show(axes: Axes, frames: Sequence[tuple[int, NDArray[np.generic]]], top: float = 0.0) -> None:
    """Draw frames of values in 0..255 at their places; the pixels of small frames are drawn as squares."""
    height, width = frames[0][1].shape[:2]
    sharp = "nearest" if max(height, width) < 100 else "auto"
    for place, frame in frames:
        left = place * (1 + GAP) * width
        extent = (left, left + width, top + height, top)
        axes.imshow(frame, cmap="gray", vmin=0, vmax=255, interpolation=sharp, extent=extent)
    axes.set(xlim=(0, FRAMES * (1 + GAP) * width), ylim=(top + height, 0))
