"""How varied the captions of a model are, beside those of the baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

from sightseq.core.baseline import Baseline
from sightseq.core.blocks import Block, TableBlock
from sightseq.tasks.captioning.baseline import CaptionBaseline
from sightseq.text.caption_scores import diversity

CAPTION = (
    "Unique: different captions, as a fraction of all. Vocabulary: different words. Novel: captions that are not among "
    "the training captions, as a fraction of all."
)


def compare_diversity(texts: Sequence[str], baselines: Mapping[str, Baseline]) -> tuple[dict[str, Any], list[Block]]:
    """Compare how varied the captions are.

    Args:
        texts: the model's captions of a split, normalised.
        baselines: by name; those of captioning have captioned the same split, and know the training captions.

    Returns:
        For results.json: `diversity`, by name, see `text.caption_scores.diversity`, and `summary`; and the table for
        the report.
    """
    captioning = {name: one for name, one in baselines.items() if isinstance(one, CaptionBaseline)}
    training = next((one.training for one in captioning.values()), None)
    captions = {"this model": texts, **{name: one.texts for name, one in captioning.items()}}
    found = {name: diversity(several, training) for name, several in captions.items()}
    names = list(found["this model"])
    rows: list[list[str | float]] = [[name, *values.values()] for name, values in found.items()]
    table = TableBlock("Variety", ["captions", *names], rows, percent=("unique", "novel"), caption=CAPTION)
    return {"diversity": found, "summary": _summary(found["this model"])}, [table]


def _summary(own: Mapping[str, float]) -> str:
    novel = f", {own['novel']:.1%} are not among the training captions" if "novel" in own else ""
    return f"{own['unique']:.1%} of the captions are unique{novel}; they have {own['vocabulary']:,} words."
