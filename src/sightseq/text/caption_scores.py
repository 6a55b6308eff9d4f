"""Scores of captions as coco-caption computes them (Chen et al., 2015, arXiv 1504.00325), on the scale of papers.

All texts are tokens joined by spaces: see `text.ptb.ptb_tokens`. CIDEr and ROUGE-L are multiplied by 100, as papers do.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from sightseq.core.loading import PAD_INDEX
from sightseq.text import quality
from sightseq.text.batch import to_bytes, to_texts
from sightseq.text.consensus import cider_d, rouge_l

ORDERS = (1, 2, 3)  # of BLEU besides BLEU-4, which is named "bleu"


class Cider(Metric):
    """CIDEr-D of a corpus times 100, with the document frequencies of its references.

    Keeps all texts, as the document frequencies are known only at the end. Reads `captions` uint8 [B, L] (see
    `caption_statistics`), and `index` [B], -1 for padding rows.
    """

    full_state_update = False
    higher_is_better = True
    captions: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("captions", [], dist_reduce_fx="cat")
        # Of all processes, when the score was last computed:
        self.texts: list[str] = []
        self.references: list[list[str]] = []

    def update(self, captions: Tensor, index: Tensor) -> None:
        """Append the rows to one sequence of bytes, each ended by a 0."""
        rows = [text.encode() + b"\0" for text in to_texts(captions[index != PAD_INDEX])]
        flat = torch.from_numpy(np.frombuffer(b"".join(rows), np.uint8).copy())
        self.captions.append(flat.to(captions.device))

    def compute(self) -> Tensor:
        joined = dim_zero_cat(self.captions) if len(self.captions) else torch.zeros(0, dtype=torch.uint8)
        rows = [row.split("\n") for row in joined.cpu().numpy().tobytes().decode().split("\0")[:-1]]
        self.texts = [text for text, *_ in rows]
        self.references = [several for _, *several in rows]
        return torch.tensor(100 * cider_d(self.texts, self.references) if rows else torch.nan)


def caption_statistics(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Tensor]:
    """Return what the metrics of captions read besides the statistics for BLEU.

    Returns:
        `captions`, uint8 [B, L], each text and its references, joined by line ends, as UTF-8 padded with 0; and `rouge`
        float32 [B], the ROUGE-L of each text in 0..100.
    """
    pairs = list(zip(texts, references, strict=True))
    return {
        "captions": to_bytes(["\n".join([text, *several]) for text, several in pairs]),
        "rouge": torch.tensor([100 * rouge_l(text, several) for text, several in pairs]),
    }


def caption_scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return all scores of a corpus by name.

    Returns:
        `cider` in 0..1000, `bleu` (BLEU-4) and `bleu1` to `bleu3`, `rouge` and `chrf` in 0..100, and `exact` in 0..1.
    """
    statistics = quality.bleu_statistics(texts, references, "none").sum(0)
    return {
        "cider": 100 * cider_d(texts, references),
        "bleu": quality.bleu_score(statistics),
        **{f"bleu{order}": quality.bleu_score(statistics, order) for order in ORDERS},
        "rouge": float(caption_statistics(texts, references)["rouge"].mean()),
        "chrf": quality.chrf(texts, references),
        "exact": quality.exact_match(texts, references),
    }


def diversity(texts: Sequence[str], training: frozenset[str] | None = None) -> dict[str, float]:
    """Return how much the captions of a corpus differ from each other, and from the training captions.

    Args:
        texts: the generated texts.
        training: the training captions.

    Returns:
        `unique`, the number of different texts as a fraction of all; `vocabulary`, the number of different words; and,
        with `training`, `novel`, the fraction of the texts that are not among the training captions.
    """
    found: dict[str, float] = {
        "unique": len(set(texts)) / len(texts),
        "vocabulary": len({word for text in texts for word in text.split()}),
    }
    if training is not None:
        found["novel"] = sum(text not in training for text in texts) / len(texts)
    return found
