"""Language models: from tokens [B, T] to the logits of the next token at each position."""

from typing import Any

import torch
from torch import Tensor, nn

from sightseq.nets.recurrent import Recurrent, State


class RecurrentLanguageModel(Recurrent):
    """Recurrent language model (Mikolov et al., 2010), regularised as in Merity et al., 2018 (arXiv 1708.02182).

    Args:
        vocab_size: number of tokens.
        tied: the last layer shares its weights with the embedding (Press and Wolf, 2017, arXiv 1608.05859); if their
            widths differ, a linear layer is inserted before it.
        zipf: initialise the output bias with Zipf's law: the probability of the n-th token is proportional to 1 / n,
            for a vocabulary sorted by frequency. Otherwise a model of many words may need thousands of steps to learn
            how rare most of them are.
        recurrent: see `Recurrent`; must be unidirectional.
    """

    def __init__(self, vocab_size: int, *, tied: bool = True, zipf: bool = False, **recurrent: Any) -> None:
        super().__init__(vocab_size, **recurrent)
        if self.bidirectional:
            raise ValueError("a language model cannot be bidirectional: it would see the tokens that it predicts")
        width = self.embedding.embedding_dim
        self.bridge = nn.Linear(self.width, width) if tied and width != self.width else None
        self.head = nn.Linear(width if tied else self.width, vocab_size)
        nn.init.zeros_(self.head.bias)
        if zipf:
            self.head.bias.data = -torch.arange(1, vocab_size + 1).log()
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Tokens [B, T] and the state before them (None: 0) to logits [B, T, vocab_size] and the state after them."""
        outputs, after = self.read(tokens, state=state)
        logits: Tensor = self.head(self.bridge(outputs) if self.bridge else outputs)
        return logits, after
