"""Scores of generated texts that are not in `text.quality`."""

import torch
from torch import Tensor
from torchmetrics import Metric

from sightseq.core.loading import PAD_INDEX
from sightseq.core.scores import MeanLoss
from sightseq.text.quality import WORDS, bleu_score

LENGTHS = 5  # words per group of `LengthBLEU`
GROUPS = 10  # the last group has all longer references


class Perplexity(MeanLoss):
    """Exponential of the cross-entropy in nats per token."""

    def compute(self) -> Tensor:
        return super().compute().exp()


class LengthBLEU(Metric):
    """BLEU of the texts whose references have 1 to 5, 6 to 10, ... words.

    Reads `bleu_statistics` [B, 10] (see `text.quality`), and `index` [B], -1 for padding rows.
    """

    full_state_update = False
    statistics: Tensor
    texts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("statistics", torch.zeros(GROUPS, 2 + 2 * WORDS, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("texts", torch.zeros(GROUPS, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, statistics: Tensor, index: Tensor) -> None:
        statistics = statistics[index != PAD_INDEX]
        group = ((statistics[:, 1] - 1).clamp(min=0) // LENGTHS).clamp(max=GROUPS - 1)
        self.statistics.index_add_(0, group, statistics)
        self.texts += torch.bincount(group, minlength=GROUPS)

    def compute(self) -> Tensor:
        """Return the number of texts and the BLEU of each group, float64 [10, 2]; 0 for a group without texts."""
        rows = [[count, bleu_score(row)] for count, row in zip(self.texts.tolist(), self.statistics, strict=True)]
        return torch.tensor(rows, dtype=torch.float64)
