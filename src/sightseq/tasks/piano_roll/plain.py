"""The loss of piano rolls in plain PyTorch, for `sightseq eject`."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RollModel(nn.Module):
    """A network with its loss: the negative log-likelihood of each frame given those before it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, summed over its frames, and their number."""
        target = batch["target"].float()
        logits, _ = self.net(batch["input"].float(), None, target)
        losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(2)
        real = torch.arange(target.shape[1], device=target.device) < batch["length"][:, None]
        return losses[real].sum(), real.sum()
