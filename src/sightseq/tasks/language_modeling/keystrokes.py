"""What a keyboard saves that offers the next word."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from sightseq.core.loading import PAD_INDEX
from sightseq.text.tokenizer import SPECIAL, Tokenizer

OFFERED = 3  # words at a time
LONGEST = 20  # letters of a word after which the keyboard no longer helps


class Keyboard:
    """Counts the presses in which a word is typed by somebody who takes it as soon as it is offered.

    After each letter, and before the first, the keyboard offers the three most probable words that begin with what
    is typed. Taking one is one press, which writes the space after it too; whoever is never offered the word types
    its letters and the space.

    Args:
        tokenizer: of words.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.words = [tokenizer.decode([number]) for number in range(tokenizer.vocab_size)]
        self.typed = torch.tensor([len(word) + 1 for word in self.words])

    @cached_property
    def tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """All words, so ordered that those that begin alike stand together; and of each word [vocab_size, LONGEST],
        between which places of that order those stand that begin with its first 0, 1, 2, ... letters.
        """
        order = sorted(range(len(SPECIAL), len(self.words)), key=lambda number: self.words[number])
        first, last = np.zeros((2, len(self.words), LONGEST), np.int64)
        for letters in range(LONGEST):
            prefixes = np.array([self.words[number][:letters] for number in order])
            edges = np.flatnonzero(np.concatenate([[True], prefixes[1:] != prefixes[:-1], [True]]))
            sizes = np.diff(edges)
            first[order, letters], last[order, letters] = np.repeat(edges[:-1], sizes), np.repeat(edges[1:], sizes)
        return torch.tensor(order), torch.from_numpy(first), torch.from_numpy(last)

    def presses(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Presses for each word: of logits [N, vocab_size] and the words [N] that were meant; 0 of what is no word."""
        device = logits.device
        order, first, last = (table.to(device) for table in self.tables)
        own = logits.gather(1, tokens[:, None])
        better = F.pad((logits[:, order] > own).cumsum(1), (1, 0))  # up to each place of the order
        typed = self.typed.to(device)[tokens]
        letters = torch.arange(LONGEST, device=device)
        among = better.gather(1, last[tokens]) - better.gather(1, first[tokens])
        offered = (among < OFFERED) & (letters < typed[:, None] - 1)
        found = torch.where(offered.any(1), offered.int().argmax(1) + 1, typed)
        return torch.where(tokens < len(SPECIAL), 0, found)


class KeystrokeSavings(Metric):
    """The share of presses that the keyboard saves: 1 - presses with it / presses without (Trnka and McCoy, 2008:
    Evaluating Word Prediction: Framing Keystroke Savings); words that are not known are left out of both.

    Reads `presses` [...] of each word, 0 for what is none, and `target` [...], -1 for filler.
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
