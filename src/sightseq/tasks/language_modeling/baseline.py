"""Non-neural baseline of language modelling: an interpolated n-gram model."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.baseline import Arrays, Baseline

HELD_OUT = 10  # one tenth of the training tokens is held out to fit the weight of each order
ROUNDS = 20  # of expectation maximisation


class NGram(Baseline):
    """Interpolated n-gram model (Jelinek and Mercer, 1980): a weighted mean of the relative frequencies of a token
    after the last n - 1 tokens, ..., after the last token, among all tokens, and of 1 / vocabulary size.

    Args:
        n: order; 1 for single tokens, 2 for pairs, 3 for triples.
    """

    most = 20_000_000

    def __init__(self, n: int = 3) -> None:
        if not 1 <= n <= 3:
            raise ValueError(f"n={n} must be 1, 2 or 3")
        self.n = n

    def fit(self, train: Arrays) -> None:
        tokens = train["input"].astype(np.int64)
        self.vocab_size = int(tokens.max()) + 2  # the last id stands for all unseen tokens
        cut = len(tokens) - len(tokens) // HELD_OUT
        self._count(tokens[:cut])
        parts = self._parts(tokens[cut:])  # [n + 1, N]
        weights = np.full((self.n + 1, 1), 1 / (self.n + 1))
        for _ in range(ROUNDS):  # expectation maximisation
            posterior = weights * parts
            weights = (posterior / posterior.sum(0)).mean(1, keepdims=True)
        self.weights = weights
        self._count(tokens)

    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return the probability of each token given those before it; [N]."""
        probabilities: NDArray[Any] = (self.weights * self._parts(batch["input"].astype(np.int64))).sum(0)
        return probabilities

    def score(self, batch: Arrays) -> dict[str, float]:
        """Return the loss in nats per token, and the perplexity."""
        loss = float(-np.log(self.predict(batch)).mean())
        return {"loss": loss, "perplexity": math.exp(loss)}

    def _ngram_ids(self, tokens: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return an id for the n-gram of `length` tokens that ends at each token [N]; 0 pads before the first token."""
        padded = np.concatenate([np.zeros(length - 1, np.int64), tokens])
        ngrams = np.zeros(len(tokens), np.int64)
        for offset in range(length):
            ngrams = ngrams * self.vocab_size + padded[offset : offset + len(tokens)]
        return ngrams

    def _count(self, tokens: NDArray[np.int64]) -> None:
        self.counts = [
            np.unique(self._ngram_ids(tokens, length), return_counts=True) for length in range(1, self.n + 1)
        ]

    def _count_of(self, ngrams: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return the count of each n-gram; [N]."""
        known, counts = self.counts[length - 1]
        positions = np.searchsorted(known, ngrams).clip(max=len(known) - 1)
        return np.where(known[positions] == ngrams, counts[positions], 0)

    def _parts(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of each token by each order from 0 (uniform) to n; [n + 1, N]."""
        tokens = tokens.clip(max=self.vocab_size - 1)
        parts = [np.full(len(tokens), 1 / self.vocab_size)]
        total = self.counts[0][1].sum()
        for length in range(1, self.n + 1):
            ngrams = self._ngram_ids(tokens, length)
            # The context is the same n-gram without its last token.
            context = (
                self._count_of(ngrams // self.vocab_size, length - 1) if length > 1 else np.full(len(tokens), total)
            )
            # After an unseen context, use the probability of the shorter order.
            parts.append(np.where(context > 0, self._count_of(ngrams, length) / context.clip(min=1), parts[-1]))
        return np.stack(parts)
