"""Calibration error: the gap between confidence and accuracy (Guo et al., 2017, arXiv 1706.04599)."""

import torch
from torch import Tensor
from torchmetrics import Metric

from sightseq.core.loading import PAD_INDEX

BINS = 15  # of confidence, as in the paper


class CalibrationError(Metric):
    """Expected calibration error, from sums over bins of confidence; no single sample is stored.

    Equal to torchmetrics' MulticlassCalibrationError, which stores every confidence. As there, a confidence of exactly
    1 has its own bin.

    Reads `prediction` [B, C] (probabilities) and `target` [B]; rows with target -1 are ignored.
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
        bin_index = torch.bucketize(confidence, edges, right=True) - 1
        real = (target != PAD_INDEX).float()
        self.count = self.count.index_add(0, bin_index, real)
        self.confidence = self.confidence.index_add(0, bin_index, confidence * real)
        self.hits = self.hits.index_add(0, bin_index, (guess == target).float() * real)

    def compute(self) -> Tensor:
        return (self.hits - self.confidence).abs().sum() / self.count.sum()

    def bins(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the samples, the sum of confidences and the correct predictions of each bin, over all processes; [15].

        A confidence of 1 falls in the last bin.
        """
        with self.sync_context():
            sums = [state.cpu() for state in (self.count, self.confidence, self.hits)]
        count, confidence, hits = (torch.cat([values[:-2], values[-2:].sum(0, keepdim=True)]) for values in sums)
        return count, confidence, hits
