"""Figures of a report in one style: plain data in, a matplotlib `Figure` out.

They use matplotlib's object interface and not pyplot, so no figure stays open, and the backend and the user's style
have no effect. Figures are at most 8 inches wide: at 800 pixels, one point of font size is 1.4 pixels.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from sightseq.core.files import creating, replacing
from sightseq.core.fonts import families
from sightseq.core.naming import ScoreInfo

P = ParamSpec("P")
# The palette of Okabe and Ito, which colour-blind readers can distinguish.
BLUE, VERMILION, ORANGE = "#0072B2", "#D55E00", "#E69F00"
GREY, PALE = "#6B7280", "#E5E7EB"
DPI = 150  # of the pictures that `predict` writes

STYLE: dict[Any, Any] = {
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "text.parse_math": False,  # a class name may contain "$"
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": PALE,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Within this context matplotlib draws in our style, whatever the user's own is."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorator: draw in our style, with fonts that contain the characters of all texts in the arguments."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style():
            matplotlib.rcParams["font.family"] = families("".join(_texts([args, kwargs])))
            return draw(*args, **kwargs)

    return drawn


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | dict):
        for inner in [*value, *(value.values() if isinstance(value, dict) else ())]:
            yield from _texts(inner)


@styled
def curves_figure(history: Sequence[Mapping[str, float]], metrics: Mapping[str, ScoreInfo]) -> Figure:
    """Plot training and validation scores over the epochs, and mark the best validation epoch.

    Args:
        history: one row per epoch, in order: "epoch", and "train/x" and "val/x" for each metric x; values may be
            missing or NaN.
        metrics: how to format and rank each metric x, at least one; each gets its own panel.
    """
    columns = min(len(metrics), 2)
    rows = math.ceil(len(metrics) / columns)
    figure = Figure(figsize=((6, 8)[columns - 1], 3.2 * rows))
    epochs = np.array([row.get("epoch", number) for number, row in enumerate(history, start=1)])
    for panel, (metric, info) in enumerate(metrics.items(), start=1):
        axes = figure.add_subplot(rows, columns, panel)
        axes.set(title=info.title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(axis="y")
        drawn = []
        for stage, name, colour, line in (("train", "training", ORANGE, "--"), ("val", "validation", BLUE, "-")):
            values = np.array([row.get(f"{stage}/{metric}", math.nan) for row in history], dtype=float)
            shown = np.isfinite(values)
            if not shown.any():
                continue
            drawn.append(values[shown])
            # A line through one point is invisible; markers on a long line overlap.
            marker = "o" if shown.sum() <= 12 else ""
            axes.plot(epochs[shown], values[shown], line, color=colour, label=name, marker=marker)
            if stage == "val":
                best = np.nanargmin(np.where(shown, -values if info.higher_is_better else values, math.nan))
                axes.plot(epochs[best], values[best], "o", color=BLUE, markersize=9, markerfacecolor="white", zorder=5)
                best_text = f"best validation: {info.text(float(values[best]))}, epoch {epochs[best]:.0f}"
                axes.set_title(f"{info.title}\n{best_text}")
        if drawn:
            axes.legend()
            _scale(axes, info, np.concatenate(drawn))
    return figure


def _scale(axes: Axes, info: ScoreInfo, values: NDArray[np.float64]) -> None:
    if info.percent:
        decimals = 0 if np.ptp(values) > 0.05 else 1
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=decimals))
    elif not info.higher_is_better and values.min() > 0 and values.max() > 30 * values.min():
        axes.set_yscale("log")  # on a linear scale the first epoch would hide the others
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


@styled
def spectrogram_figure(waveform: NDArray[np.floating[Any]], sample_rate: int) -> Figure:
    """Plot a spectrogram in decibels relative to its maximum.

    Args:
        waveform: [samples].
        sample_rate: in Hz.
    """
    frame = 512  # samples
    padded = np.pad(waveform, (0, max(0, frame - len(waveform))))
    hop = max(frame // 4, len(padded) // 800)  # the figure is 800 pixels wide
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop] * np.hanning(frame)
    power = np.abs(np.fft.rfft(frames)).T  # [frequencies, frames]
    decibels = 20 * np.log10(np.maximum(power / max(power.max(), 1e-9), 1e-4))
    figure = Figure(figsize=(8, 2.2))
    axes = figure.add_subplot()
    extent = (0, len(padded) / sample_rate, 0, sample_rate / 2000)
    axes.imshow(decibels, cmap="magma", origin="lower", aspect="auto", extent=extent)
    axes.set(xlabel="seconds", ylabel="kHz")
    return figure


def judge(axes: Axes, guess: str, confidence: float, truth: str, longest: int = 11) -> None:
    """Set a predicted class as the title; if it is wrong, add the true class and a red frame.

    Args:
        axes: the cell of the sample.
        guess: the predicted class.
        confidence: its probability in 0..1.
        truth: the true class; "" if it is unknown.
        longest: characters of the predicted class that fit above the cell; a longer one is truncated.
    """
    wrong = truth not in ("", guess)
    mark = "" if not truth else "✗ " if wrong else "✓ "
    text = f"{mark}{short(guess, longest)} ({confidence:.0%})"
    if wrong:
        text += f"\ntruth: {short(truth, longest + 3)}"
        axes.spines[:].set(visible=True, color=VERMILION, linewidth=2.5)
    axes.set_title(text, fontsize=8.5, color=VERMILION if wrong else "black")


def short(name: str, most: int) -> str:
    """Return the name on one line, truncated to `most` characters."""
    name = " ".join(name.split())
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"


def write_figure(figure: Figure, path: Path) -> str:
    """Write a picture that `output=` asks for, create its folder, and return its path.

    Raises:
        ConfigError: it cannot be written.
    """
    with creating(path.parent, "output="):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        figure.savefig(file, dpi=DPI, format="png")
    return str(path)
