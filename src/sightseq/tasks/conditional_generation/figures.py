"""Figures of generated texts for the report."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sightseq.core.plots import BLUE, styled
from sightseq.tasks.conditional_generation.scores import LENGTHS


@styled
def length_figure(groups: NDArray[np.float64]) -> Figure:
    """Plot BLEU by the length of the reference: see `LengthBLEU.compute`."""
    figure = Figure(figsize=(7, 3))
    axes = figure.subplots()
    shown = np.flatnonzero(groups[:, 0])
    axes.bar(shown, groups[shown, 1], color=BLUE, width=0.8)
    for group in shown:
        axes.annotate(f"{groups[group, 0]:.0f}", (group, groups[group, 1]), ha="center", va="bottom", fontsize=8)
    labels = [f"{LENGTHS * n + 1}-{LENGTHS * (n + 1)}" for n in range(len(groups) - 1)]
    labels.append(f"over {LENGTHS * (len(groups) - 1)}")
    axes.set_xticks(shown, [labels[group] for group in shown])
    axes.set(xlabel="words of the reference (above the bars: number of texts)", ylabel="BLEU")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    return figure


@styled
def attention_figure(
    sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]], weights: Sequence[NDArray[np.float32]]
) -> Figure:
    """Plot the attention weights of each generated token.

    Args:
        sources: tokens of each source.
        targets: generated tokens of each text.
        weights: for each text [target tokens, source tokens].
    """
    heights = [0.9 + 0.2 * len(words) for words in targets]
    figure = Figure(figsize=(min(8, 2 + 0.24 * max(map(len, sources))), sum(heights)))
    panels = figure.subplots(len(sources), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, source, target, values in zip(panels, sources, targets, weights, strict=True):
        axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor", fontsize=8)
        axes.set_yticks(range(len(target)), target, fontsize=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure
