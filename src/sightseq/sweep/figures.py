"""Figures of a sweep: learning curves, and the score over the swept parameters."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from sightseq.core.naming import ScoreInfo
from sightseq.core.plots import BLUE, GREY, styled
from sightseq.core.report import read_history
from sightseq.sweep.folder import Job

COLOURS = (BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # of the best choices; the others are grey
LOG_SCALE = 30  # a positive number that varies by more than this factor has a logarithmic axis
Values = Sequence[float | str]


@styled
def learning_curves(ranked: Mapping[str, list[Job]], info: ScoreInfo) -> Figure:
    """Plot the headline score of all jobs over the epochs."""
    figure = Figure(figsize=(8, 4))
    axes = figure.add_subplot()
    axes.set(xlabel="epoch", title=f"validation {info.title}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y")
    for rank, (choice, jobs) in reversed([*enumerate(ranked.items())]):
        colour = COLOURS[rank] if rank < len(COLOURS) else GREY
        label: str | None = choice if rank < len(COLOURS) else None
        for job in jobs:
            results, history = job.results(), read_history(job.folder / "metrics.csv")
            column = f"val/{results['headline']}" if results else ""
            points = [(row["epoch"], row[column]) for row in history if math.isfinite(row.get(column, math.nan))]
            if points:
                marker = "o" if len(points) <= 12 else ""
                width, strength = (1.6, 1.0) if rank < len(COLOURS) else (0.8, 0.5)
                axes.plot(
                    *zip(*points, strict=True), color=colour, label=label, marker=marker, lw=width, alpha=strength
                )
                label = None
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower left")
    return figure


@styled
def importance_figure(shares: Mapping[str, float]) -> Figure:
    """Plot the importance of each parameter as a bar, the highest at the top."""
    figure = Figure(figsize=(8, 0.8 + 0.35 * len(shares)))
    axes = figure.add_subplot()
    bars = axes.barh(list(shares)[::-1], list(shares.values())[::-1], color=BLUE)
    axes.bar_label(bars, [f"{share:.0%}" for share in list(shares.values())[::-1]], padding=4)
    axes.set(xlim=(0, 1.08), xticks=[])
    axes.spines["bottom"].set_visible(False)
    return figure


@styled
def slices(values: Mapping[str, Values], scores: Sequence[float], info: ScoreInfo) -> Figure:
    """Plot the score of each job over each parameter."""
    columns = min(len(values), 3)
    rows = math.ceil(len(values) / columns)
    figure = Figure(figsize=(8, 2.7 * rows))
    panels: Any = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, (key, column) in zip(panels, values.items(), strict=False):
        axes.scatter(positions(column), scores, s=22, color=BLUE, alpha=0.7, linewidths=0)
        axes.set_title(key, fontsize=9)
        axes.grid(axis="y")
        if texts := options(column):
            axes.set_xticks(range(len(texts)), texts, rotation=20 if len(texts) > 3 else 0)
            axes.margins(x=0.3 / len(texts))
        elif logarithmic(column):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
    for axes in panels[len(values) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel(f"validation {info.title}")
    return figure


@styled
def parallel(values: Mapping[str, Values], scores: Sequence[float], info: ScoreInfo) -> Figure:
    """Plot each job as a line through its values; the best ones are dark and in front."""
    figure = Figure(figsize=(8, 3.4))
    axes = figure.add_subplot()
    heights = np.stack([scaled(column) for column in [*values.values(), scores]], axis=1)  # [jobs, parameters + 1]
    order = np.argsort(np.asarray(scores) * (1 if info.higher_is_better else -1))
    colours = colormaps["Blues"](np.linspace(0.2, 1.0, len(order)))
    for colour, job in zip(colours, order, strict=True):
        axes.plot(heights[job], color=colour, lw=1.4)
    for place, (key, column) in enumerate([*values.items(), (f"validation {info.title}", scores)]):
        axes.axvline(place, color=GREY, lw=0.8)
        last = place == len(values)
        for text, height in ticks(column, info if last else None):
            axes.text(place + 0.02, height, text, va="center", fontsize=8, color=GREY)
        axes.text(place, 1.08, key, ha="right" if last else "left" if not place else "center", fontsize=9)
    axes.set(xlim=(0, len(values) + 0.12), ylim=(-0.05, 1.05))
    axes.axis("off")
    return figure


def options(column: Values) -> list[str]:
    """Return the distinct values of a parameter that is not a number; nothing for numbers."""
    return sorted({str(value) for value in column}) if any(isinstance(value, str) for value in column) else []


def positions(column: Values) -> NDArray[np.float64]:
    """Return the place of each value on an axis: numbers themselves, others the index of their option."""
    texts = options(column)
    return np.array([texts.index(str(value)) if texts else float(value) for value in column])


def logarithmic(column: Values) -> bool:
    """Return whether a parameter needs a logarithmic axis."""
    numbers = [value for value in column if not isinstance(value, str)]
    return len(numbers) == len(column) and min(numbers) > 0 and max(numbers) / min(numbers) > LOG_SCALE


def scaled(column: Values) -> NDArray[np.float64]:
    """Return the values of a parameter scaled to 0..1; those of a logarithmic axis by their logarithms."""
    places: NDArray[np.float64] = np.log(positions(column)) if logarithmic(column) else positions(column)
    return np.asarray((places - places.min()) / (np.ptp(places) or 1.0))


def ticks(column: Values, info: ScoreInfo | None) -> list[tuple[str, float]]:
    """Return labels and their heights in 0..1 for a vertical axis: all options, or the lowest and highest number."""
    if texts := options(column):
        return [(text, index / max(1, len(texts) - 1)) for index, text in enumerate(texts)]
    low, high = positions(column).min(), positions(column).max()
    return [(info.text(value) if info else f"{value:.3g}", height) for value, height in ((low, 0.0), (high, 1.0))]
