"""Keystrokes saved by a keyboard that offers the next word."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from sightseq.core.loading import PAD_INDEX
from sightseq.text.tokenizer import SPECIAL, Tokenizer

OFFERED = 3  # words that the keyboard offers at a time
LONGEST = 20  # letters; after so many letters of a word the keyboard no longer offers it


class Keyboard:
    """Counts the key presses for a word, if the user takes it as soon as it is offered.

    Before the first letter and after each letter, the keyboard offers the three most probable words that begin with the
    typed letters. Taking a word is one press, which also writes the space after it. A word that is never offered costs
    its letters and the space.

    Args:
        tokenizer: a word tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.words = [tokenizer.decode([token_id]) for token_id in range(tokenizer.vocab_size)]
        self.typed = torch.tensor([len(word) + 1 for word in self.words])

    @cached_property
    def tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """All word ids in alphabetical order [W], and for each word and prefix length 0, 1, 2, ... the first and the
        last (exclusive) position, in that order, of the words with the same prefix; both [vocab_size, LONGEST].
        """
        order = sorted(range(len(SPECIAL), len(self.words)), key=lambda token_id: self.words[token_id])
        first, last = np.zeros((2, len(self.words), LONGEST), np.int64)
        for letters in range(LONGEST):
            prefixes = np.array([self.words[token_id][:letters] for token_id in order])
            edges = np.flatnonzero(np.concatenate([[True], prefixes[1:] != prefixes[:-1], [True]]))
            sizes = np.diff(edges)
            first[order, letters], last[order, letters] = np.repeat(edges[:-1], sizes), np.repeat(edges[1:], sizes)
        return torch.tensor(order), torch.from_numpy(first), torch.from_numpy(last)

    def presses(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Return the presses for the target words [N], given logits [N, vocab_size]; 0 for special tokens."""
        device = logits.device
        order, first, last = (table.to(device) for table in self.tables)
        own = logits.gather(1, tokens[:, None])
        better = F.pad((logits[:, order] > own).cumsum(1), (1, 0))  # words better than the target, before each position
        typed = self.typed.to(device)[tokens]
        letters = torch.arange(LONGEST, device=device)
        better_with_prefix = better.gather(1, last[tokens]) - better.gather(1, first[tokens])
        offered = (better_with_prefix < OFFERED) & (letters < typed[:, None] - 1)
        presses = torch.where(offered.any(1), offered.int().argmax(1) + 1, typed)
        return torch.where(tokens < len(SPECIAL), 0, presses)


class KeystrokeSavings(Metric):
    """Fraction of presses that the keyboard saves: 1 - presses with it / presses without it (Trnka and McCoy, 2008:
    Evaluating Word Prediction: Framing Keystroke Savings). Unknown words are left out of both.

    Reads `presses` [...] of each word, 0 for special tokens, and `target` [...], -1 for padding.
    """

    full_state_update = False
    higher_is_better = True
    with_it: Tensor
    without: Tensor

    def __init__(self, keyboard: Keyboard) -> None:
        super().__init__()
        self.typed = keyboard.typed
        self.add_state("with_it", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("without", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, presses: Tensor, tokens: Tensor) -> None:
        words = (tokens != PAD_INDEX) & (presses > 0)
        self.with_it += presses[words].sum()
        self.without += self.typed.to(tokens.device)[tokens[words]].sum()

    def compute(self) -> Tensor:
        return 1 - self.with_it / self.without
