"""The loss of language models in plain PyTorch, for `sightseq eject`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.loading import PAD_INDEX


class LanguageModel(nn.Module):
    """A network with its loss: cross-entropy of each token. Its state is carried to the next window."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.state: Any = None

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the loss of a window, summed over its tokens, and their number."""
        target = batch["target"]
        logits, state = self.net(batch["input"], None if batch["fresh"].all() else self.state)
        self.state = [tuple(part.detach() for part in layer) for layer in state]  # gradients stop at the window's start
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD_INDEX, reduction="sum")
        return loss, torch.sum(target != PAD_INDEX)
