"""Accuracy of recordings that were classified in several windows."""

import torch
from torch import Tensor
from torchmetrics import Metric

from sightseq.core.loading import PAD_INDEX


class VotingAccuracy(Metric):
    """Fraction of recordings whose true class has the highest mean probability over their windows.

    Reads `prediction` [B, C] (probabilities), `target` [B] and `recording` [B]; rows with target -1 are ignored.
    """

    full_state_update = False
    higher_is_better = True
    prediction: list[Tensor]
    target: list[Tensor]
    recording: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("prediction", "target", "recording"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, target: Tensor, recording: Tensor) -> None:
        real = target != PAD_INDEX
        self.prediction.append(prediction[real].float())
        self.target.append(target[real])
        self.recording.append(recording[real])

    def compute(self) -> Tensor:
        # The states are lists, or tensors if they were reduced over processes.
        prediction, target, recording = (
            torch.cat(state) if isinstance(state, list) else state
            for state in (self.prediction, self.target, self.recording)
        )
        names, places = torch.unique(recording, return_inverse=True)
        votes = prediction.new_zeros(len(names), prediction.shape[1]).index_add(0, places, prediction)
        truth = target.new_zeros(len(names)).index_copy(0, places, target)
        return (votes.argmax(1) == truth).float().mean()
