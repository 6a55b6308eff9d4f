"""How composed music compares with the training music, for results.json and the report."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from sightseq.core.baseline import Baseline
from sightseq.core.blocks import Block, FigureBlock, TableBlock
from sightseq.music.figures import histogram_figure
from sightseq.music.piece import Piece
from sightseq.music.statistics import BAR, describe, overlap
from sightseq.tasks.music.report import BARS

MOST = 200  # training pieces that are compared, from the first one
HISTOGRAMS = {"pitch_classes": "pitch_class_overlap", "intervals": "interval_overlap"}
NUMBERS = {
    "notes_per_beat": "notes per beat",
    "polyphony": "notes at once",
    "out_of_key": "out of key",
    "repetition": "repeated bars",
}
PERCENT = ("out of key", "repeated bars", "pitch class overlap", "interval overlap")
CAPTION = (
    f"Means over pieces composed from nothing, and over training pieces; of each the first {BARS} bars. Out of key: "
    "share of the duration of all notes that is outside the scale of the best-fitting key. Repeated bars: share of the "
    "bars that occur before in their piece. Overlap of histograms with those of the training music: 1 minus half the "
    "sum of the absolute differences."
)


@runtime_checkable
class KnowsMusic(Protocol):
    """A baseline that keeps the training music."""

    def training_pieces(self, most: int) -> Sequence[Piece]:
        """Return the first training pieces, at most `most`."""


def compare_music(composed: Sequence[Piece], baselines: Mapping[str, Baseline]) -> tuple[dict[str, Any], list[Block]]:
    """Compare composed pieces with training pieces.

    Args:
        composed: at least one piece.
        baselines: by name; without one that knows the training music, nothing is compared.

    Returns:
        For results.json: `music`, the statistics of the `model` and of the `training` music (see `music.statistics`),
        and the overlap of their histograms; and `summary`. A table and a figure for the report.
    """
    training = next((one.training_pieces(MOST) for one in baselines.values() if isinstance(one, KnowsMusic)), ())
    if not training:
        return {}, []
    own, other = (describe([piece.excerpt(BARS * BAR) for piece in pieces]) for pieces in (composed, training))
    found = {
        name: {number: round(each[number], 4) for number in NUMBERS}
        for name, each in (("model", own), ("training", other))
    }
    overlaps = {title: round(overlap(own[name], other[name]), 4) for name, title in HISTOGRAMS.items()}
    columns = ["music", *NUMBERS.values(), *(title.replace("_", " ") for title in HISTOGRAMS.values())]
    rows: list[list[str | float | None]] = [
        ["this model", *found["model"].values(), *overlaps.values()],
        ["training music", *found["training"].values(), *[None] * len(overlaps)],
    ]
    return {"music": {**found, **overlaps}, "summary": _summary(found["model"], found["training"], overlaps)}, [
        TableBlock("Composed music", columns, rows, percent=PERCENT, caption=CAPTION),
        FigureBlock("Pitches and intervals", histogram_figure(own, other)),
    ]


def _summary(own: Mapping[str, float], training: Mapping[str, float], overlaps: Mapping[str, float]) -> str:
    pitches, intervals = overlaps.values()
    return (
        f"Composed music (training music): {own['notes_per_beat']:.2f} ({training['notes_per_beat']:.2f}) notes per "
        f"beat, {own['polyphony']:.2f} ({training['polyphony']:.2f}) at once, {own['out_of_key']:.1%} "
        f"({training['out_of_key']:.1%}) of their duration out of key, {own['repetition']:.1%} "
        f"({training['repetition']:.1%}) repeated bars; overlap of pitch classes {pitches:.1%}, of intervals "
        f"{intervals:.1%}."
    )
