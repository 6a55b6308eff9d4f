"""Figures of the searches before a training."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from sightseq.core.plots import BLUE, VERMILION, styled


@styled
def plot_learning_rates(rates: Sequence[float], losses: Sequence[float], chosen: float) -> Figure:
    """Plot the smoothed training loss against the learning rate, with the chosen one marked."""
    figure = Figure(figsize=(6, 3.4))
    axes = figure.subplots()
    axes.plot(rates[: len(losses)], losses[: len(rates)], color=BLUE)
    axes.axvline(chosen, color=VERMILION, linewidth=1)
    axes.set(xscale="log", xlabel="learning rate", ylabel="smoothed training loss")
    best = min(filter(math.isfinite, losses))
    axes.set_ylim(best - 0.1 * (losses[0] - best), losses[0] + 0.5 * (losses[0] - best))  # it rises without limit
    axes.set_title(f"Learning rate search: the loss falls fastest at {chosen:g}")
    return figure


@styled
def plot_batch_sizes(speeds: dict[int, float], chosen: int) -> Figure:
    """Plot the training speed against the batch size, with the chosen one marked."""
    figure = Figure(figsize=(6, 3.4))
    axes = figure.subplots()
    axes.plot(list(speeds), list(speeds.values()), marker="o", color=BLUE)
    axes.axvline(chosen, color=VERMILION, linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set(xlabel="batch size", ylabel="per second (samples or tokens)", ylim=(0, None))
    axes.set_title(f"Batch size search: the largest that fits is {chosen:,}")
    return figure
