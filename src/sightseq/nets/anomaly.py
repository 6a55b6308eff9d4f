"""Autoencoders of sequences: from vectors [B, T, D] and lengths [B] to their reconstruction [B, T, D].

Padding is 0 in the input and in the output.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from sightseq.nets.recurrent import RecurrentLayers, reverse


class LSTMAutoencoder(nn.Module):
    """An LSTM reads a sequence into one vector, and another one reconstructs the sequence from it, last step first.

    After Malhotra et al., 2016 (arXiv 1607.00148). Their decoder reads its own last output; this one reads the vector
    at each step, so that it has to take everything from it, and all steps are computed at once.

    Args:
        in_channels: D.
        hidden: width of each layer; the decoder has the same in reverse order.
        code: size of the vector; smaller than a sequence, or everything can be reconstructed.
        cell: "lstm" or "gru".
    """

    def __init__(
        self,
        in_channels: int,
        *,
        hidden: Sequence[int] = (64,),
        code: int = 16,
        cell: Literal["lstm", "gru"] = "lstm",
    ) -> None:
        super().__init__()
        self.encoder = RecurrentLayers(in_channels, hidden, cell)
        self.code = nn.Linear(self.encoder.width, code)
        self.decoder = RecurrentLayers(code, tuple(reversed(hidden)), cell)
        self.head = nn.Linear(self.decoder.width, in_channels)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Vectors [B, T, D] and lengths [B] to their reconstruction [B, T, D]."""
        b, t, _ = vectors.shape
        outputs, _ = self.encoder.read(vectors, lengths)  # [B, T, width]
        code = self.code(outputs[torch.arange(b, device=vectors.device), lengths - 1])  # [B, code]
        decoded, _ = self.decoder.read(code[:, None].expand(b, t, code.shape[1]), lengths)
        found: Tensor = self.head(reverse(decoded, lengths))  # the first step decoded is the last one
        beyond = torch.arange(t, device=vectors.device) >= lengths[:, None]
        return found.masked_fill(beyond[..., None], 0)
