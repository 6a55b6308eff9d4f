"""What a language model must beat: how often tokens, pairs and triples of them occur."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.baseline import Arrays, Baseline

HELD_OUT = 10  # a tenth of the training tokens tells how far each order is to be trusted
ROUNDS = 20  # of that


class NGram(Baseline):
    """The interpolated n-gram model (Jelinek and Mercer, 1980): a weighted mean of the share that a token has of all
    that followed the last n - 1 tokens, ..., the last one, and of all tokens, and of one over the vocabulary.

    Args:
        n: 1 for single tokens, 2 for pairs, 3 for triples.
    """

    most = 20_000_000

    def __init__(self, n: int = 3) -> None:
        if not 1 <= n <= 3:
            raise ValueError(f"n={n} is 1, 2 or 3")
        self.n = n

    def fit(self, train: Arrays) -> None:
        tokens = train["input"].astype(np.int64)
        self.vocab_size = int(tokens.max()) + 2  # the last one is any that was not seen
        cut = len(tokens) - len(tokens) // HELD_OUT
        self._count(tokens[:cut])
        parts = self._parts(tokens[cut:])  # [n + 1, N]
        weights = np.full((self.n + 1, 1), 1 / (self.n + 1))
        for _ in range(ROUNDS):  # expectation maximisation
            share = weights * parts
            weights = (share / share.sum(0)).mean(1, keepdims=True)
        self.weights = weights
        self._count(tokens)

    def predict(self, batch: Arrays) -> NDArray[Any]:
        """The probability of each token after those before it."""
        found: NDArray[Any] = (self.weights * self._parts(batch["input"].astype(np.int64))).sum(0)
        return found

    def score(self, batch: Arrays) -> dict[str, float]:
        """Nats for each token, and the perplexity."""
        loss = float(-np.log(self.predict(batch)).mean())
        return {"loss": loss, "perplexity": math.exp(loss)}

    def _runs(self, tokens: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """A number for the run of `length` tokens that ends at each token; 0 stands before the first."""
        padded = np.concatenate([np.zeros(length - 1, np.int64), tokens])
        runs = np.zeros(len(tokens), np.int64)
        for place in range(length):
            runs = runs * self.vocab_size + padded[place : place + len(tokens)]
        return runs

    def _count(self, tokens: NDArray[np.int64]) -> None:
        self.counts = [np.unique(self._runs(tokens, length), return_counts=True) for length in range(1, self.n + 1)]

    def _look_up(self, runs: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """How often each run occurred."""
        known, counts = self.counts[length - 1]
        places = np.searchsorted(known, runs).clip(max=len(known) - 1)
        return np.where(known[places] == runs, counts[places], 0)

    def _parts(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability of each token by each order, from none to n; [n + 1, N]."""
        tokens = tokens.clip(max=self.vocab_size - 1)
        parts = [np.full(len(tokens), 1 / self.vocab_size)]
        total = self.counts[0][1].sum()
        for length in range(1, self.n + 1):
            runs = self._runs(tokens, length)
            # What came before: the same run without its last token.
            before = self._look_up(runs // self.vocab_size, length - 1) if length > 1 else np.full(len(tokens), total)
            # After what was never seen, a longer run knows no more than a shorter one.
            parts.append(np.where(before > 0, self._look_up(runs, length) / before.clip(min=1), parts[-1]))
        return np.stack(parts)
