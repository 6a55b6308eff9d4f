"""Figures of anomaly detection, in the common style of all figures."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from sightseq.core.plots import BLUE, GREY, VERMILION, styled


@styled
def errors_figure(
    errors: NDArray[np.floating],
    anomalies: NDArray[np.bool_] | None,
    threshold: float,
    times: NDArray[np.floating] | None = None,
    unit: str = "window",
) -> Figure:
    """Plot the error of windows, on a logarithmic scale, with the threshold.

    Args:
        errors: [N], in the order of the data.
        anomalies: which are anomalies [N]; None if unknown: those above the threshold are marked.
        threshold: see `AnomalyTask`.
        times: middle of each window [N]; None: their numbers.
        unit: of the times.
    """
    figure = Figure(figsize=(8, 2.8))
    axes = figure.add_subplot()
    places = np.arange(len(errors)) if times is None else times
    marked = errors > threshold if anomalies is None else anomalies
    names = ("below", "above the threshold") if anomalies is None else ("normal", "anomaly")
    for chosen, colour, name in ((~marked, BLUE, names[0]), (marked, VERMILION, names[1])):
        axes.plot(places[chosen], errors[chosen], "o", markersize=3, color=colour, label=name, alpha=0.7)
    if np.isfinite(threshold):
        axes.axhline(threshold, color=GREY, linewidth=1, label="threshold")
    if len(errors) and errors.min() > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")  # not as mathematics: see `STYLE`
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel=unit, ylabel="error")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
