"""A CRNN with a second decoder that attends to its outputs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sightseq.nets.attention import AttentionKind
from sightseq.nets.decoder import Decoder, Memory, State
from sightseq.nets.recognition import CRNN
from sightseq.nets.translation import initialise


class AttendingCRNN(CRNN):
    """A CRNN whose outputs are also the memory of a recurrent decoder with attention, which writes character by
    character: joint CTC and attention, Kim et al., 2017 (arXiv 1609.06773).

    Args:
        in_channels, num_classes, image_size: see `CRNN`. Id 0 also starts and ends a text of the decoder.
        embedding: size of a character's vector.
        decoder: size of the state of each decoder layer.
        attention: see `Decoder`.
        crnn: see `CRNN`.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int | None],
        *,
        embedding: int = 64,
        decoder: Sequence[int] = (256,),
        attention: AttentionKind = "additive",
        **crnn: Any,
    ) -> None:
        super().__init__(in_channels, num_classes, image_size, **crnn)
        self.decoder = Decoder(num_classes, self.width, embedding=embedding, hidden=decoder, attention=attention)
        initialise(self.decoder)

    def forward(self, features: Tensor, lengths: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, ...]:
        """Read whole sequences: see `CRNN.forward`.

        Args:
            features: [B, in_channels, F, T].
            lengths: [B].
            tokens: the ids that the decoder reads [B, L]; None for CTC only.

        Returns:
            What `CRNN.forward` returns and, with tokens, the decoder's logits [B, L, num_classes] of the next ids.
        """
        y, steps, extra = self.read(features, lengths)
        found = self.head(y), steps, *extra
        if tokens is None:
            return found
        memory, state = self._begin(y, steps)
        return *found, self.decode(tokens, state, memory)[0]

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """Return the memory and the initial state of the decoder: see `nets.decoder`."""
        y, steps, _ = self.read(features, lengths)
        return self._begin(y, steps)

    def decode(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Read tokens [N, L] in the state before them; return logits [N, L, num_classes] and the next state."""
        features, after, _ = self.decoder.features(tokens, state, memory)
        return self.decoder.project(features), after

    def _begin(self, y: Tensor, steps: Tensor) -> tuple[Memory, State]:
        mask = torch.arange(y.shape[1], device=y.device) < steps[:, None]  # [B, T']
        summary = (y * mask[:, :, None]).sum(1) / steps[:, None]
        return self.decoder.begin(y, mask, summary)
