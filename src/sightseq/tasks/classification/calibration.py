"""How far a classifier is as often right as it claims (Guo et al., 2017, arXiv 1706.04599)."""

import torch
from torch import Tensor
from torchmetrics import Metric

from sightseq.core.loading import PAD_INDEX

BINS = 15  # of confidence, as in the paper


class CalibrationError(Metric):
    """The expected calibration error, of sums over bins of confidence: nothing of a single sample is kept.

    Its values are those of torchmetrics' MulticlassCalibrationError, which keeps every confidence. As there, the
    confidence 1 has a bin of its own.

    Reads `prediction` [B, C], probabilities, and `target` [B], where -1 is not counted.
    """

    full_state_update = False
    higher_is_better = False
    count: Tensor
    confidence: Tensor
    hits: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("count", "confidence", "hits"):
            self.add_state(name, torch.zeros(BINS + 1), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        confidence, guess = prediction.float().max(dim=1)
        edges = torch.linspace(0, 1, BINS + 1, device=confidence.device)
        place = torch.bucketize(confidence, edges, right=True) - 1
        real = (target != PAD_INDEX).float()
        self.count = self.count.index_add(0, place, real)
        self.confidence = self.confidence.index_add(0, place, confidence * real)
        self.hits = self.hits.index_add(0, place, (guess == target).float() * real)

    def compute(self) -> Tensor:
        return (self.hits - self.confidence).abs().sum() / self.count.sum()

    def bins(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of all processes: the samples in each of the 15 bins, the sum of their confidences, and how many are right.

        The confidence 1 is in the last bin.
        """
        with self.sync_context():
            sums = [state.cpu() for state in (self.count, self.confidence, self.hits)]
        count, confidence, hits = (torch.cat([values[:-2], values[-2:].sum(0, keepdim=True)]) for values in sums)
        return count, confidence, hits
