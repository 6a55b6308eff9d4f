"""Language models: tokens [B, T] to the logits of the next one at each position."""

from typing import Any

import torch
from torch import Tensor, nn

from sightseq.nets.recurrent import Recurrent, State


class RecurrentLanguageModel(Recurrent):
    """Predicts each token from those before it: Mikolov et al., 2010; regularised as Merity et al., 2018
    (arXiv 1708.02182).

    Args:
        vocab_size: of the data.
        tied: the last layer shares its weights with the embedding (Press and Wolf, 2017, arXiv 1608.05859); where
            their widths differ, a linear layer stands between.
        zipf: the logits begin with Zipf's law, the n-th token as probable as 1 / n: of a vocabulary in the order of
            frequency. Else thousands of steps may pass before a model of many words has learned how rare most are.
        recurrent: see `Recurrent`; in one direction.
    """

    def __init__(self, vocab_size: int, *, tied: bool = True, zipf: bool = False, **recurrent: Any) -> None:
        super().__init__(vocab_size, **recurrent)
        if self.bidirectional:
            raise ValueError("a language model that reads from the end has seen what it is to predict")
        width = self.embedding.embedding_dim
        self.bridge = nn.Linear(self.width, width) if tied and width != self.width else None
        self.head = nn.Linear(width if tied else self.width, vocab_size)
        nn.init.zeros_(self.head.bias)
        if zipf:
            self.head.bias.data = -torch.arange(1, vocab_size + 1).log()
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """[B, T] and the state after what came before, to logits [B, T, vocab_size] and the state after these."""
        outputs, after = self.read(tokens, state=state)
        logits: Tensor = self.head(self.bridge(outputs) if self.bridge else outputs)
        return logits, after
