"""What a keyboard saves that offers the next word."""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from sightseq.core.order import FILLER
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
        words = [tokenizer.decode([number]) for number in range(tokenizer.vocab_size)]
        order = sorted(range(len(SPECIAL), len(words)), key=lambda number: words[number])
        self.order = torch.tensor(order)  # words that begin alike stand together
        self.typed = torch.tensor([len(word) + 1 for word in words])
        # Of each word, between which places of that order those stand that begin with its first 0, 1, 2, ... letters.
        self.first = torch.zeros(len(words), LONGEST, dtype=torch.long)
        self.last = torch.zeros(len(words), LONGEST, dtype=torch.long)
        for letters in range(LONGEST):
            prefixes = [words[number][:letters] for number in order]
            edges = [
                0,
                *(place for place in range(1, len(order)) if prefixes[place] != prefixes[place - 1]),
                len(order),
            ]
            for begin, end in pairwise(edges):
                members = self.order[begin:end]
                self.first[members, letters], self.last[members, letters] = begin, end

    def presses(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Presses for each word: of logits [N, vocab_size] and the words [N] that were meant; 0 of what is no word."""
        device = logits.device
        own = logits.gather(1, tokens[:, None])
        better = F.pad((logits[:, self.order.to(device)] > own).cumsum(1), (1, 0))  # up to each place of the order
        first, last = self.first.to(device)[tokens], self.last.to(device)[tokens]
        typed = self.typed.to(device)[tokens]
        letters = torch.arange(LONGEST, device=device)
        offered = (better.gather(1, last) - better.gather(1, first) < OFFERED) & (letters < typed[:, None] - 1)
        found = torch.where(offered.any(1), offered.int().argmax(1) + 1, typed)
        return torch.where(tokens < len(SPECIAL), 0, found)


class KeystrokeSavings(Metric):
    """The share of presses that the keyboard saves: 1 - presses with it / presses without (Trnka and McCoy, 2008:
    Evaluating Word Prediction: Framing Keystroke Savings); words that are not known are left out of both.

    Updated with predictions [..., 2], of which the second are the presses of each word, 0 for what is none, and the
    tokens [...], -1 for filler.
    """

    full_state_update = False
    with_it: Tensor
    without: Tensor

    def __init__(self, keyboard: Keyboard) -> None:
        super().__init__()
        self.typed = keyboard.typed
        self.add_state("with_it", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("without", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, tokens: Tensor) -> None:
        presses = predictions[..., 1]
        words = (tokens != FILLER) & (presses > 0)
        self.with_it += presses[words].sum()
        self.without += self.typed.to(tokens.device)[tokens[words]].sum()

    def compute(self) -> Tensor:
        return 1 - self.with_it / self.without
