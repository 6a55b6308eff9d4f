"""An n-gram language model as a step function."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class NGramStep:
    """An interpolated n-gram model (Witten and Bell, 1991): see `Step`.

    The probability of a token after a context h of up to n - 1 tokens is

        (count(h, token) + types(h) * p(token | h without its first token)) / (count(h) + types(h)),

    where types(h) is the number of different tokens that follow h in the texts; without any context, p is the relative
    frequency with 1 added to each count. The state holds the last n - 1 tokens [N, n - 1], -1 before the text.

    Args:
        texts: token ids of each text; each is followed by `eos`.
        vocab_size: number of tokens V.
        n: order, at least 1.
        eos: the token that starts and ends a text.
    """

    def __init__(self, texts: Iterable[Sequence[int]], vocab_size: int, n: int = 5, eos: int = 0) -> None:
        if n < 1:
            raise ValueError(f"n={n} must be at least 1")
        self.n, self.vocab_size, self.eos = n, vocab_size, eos
        counts: list[dict[tuple[int, ...], dict[int, int]]] = [{} for _ in range(n)]
        for text in texts:
            tokens = [eos, *text, eos]
            for place in range(1, len(tokens)):
                for length in range(min(n - 1, place) + 1):
                    row = counts[length].setdefault(tuple(tokens[place - length : place]), {})
                    row[tokens[place]] = row.get(tokens[place], 0) + 1
        start = np.ones(vocab_size)
        for token, count in counts[0].get((), {}).items():
            start[token] += count
        self._tables: list[dict[tuple[int, ...], NDArray[np.float32]]] = [
            {(): (start / start.sum()).astype(np.float32)}
        ]
        for rows in counts[1:]:
            table = {}
            for context, row in rows.items():
                types, total = len(row), sum(row.values())
                p = types * self._probabilities(context[1:])
                p[list(row)] += list(row.values())
                table[context] = (p / (total + types)).astype(np.float32)
            self._tables.append(table)

    def __call__(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        """Map tokens [N, T] and a state (None at the start) to log-probabilities [N, T, V] and the next state."""
        history = tokens.new_full((len(tokens), self.n - 1), -1) if state is None else state
        read = torch.cat([history, tokens], dim=1)
        rows = [
            [self._probabilities(tuple(row[place + 1 : place + self.n])) for place in range(tokens.shape[1])]
            for row in read.tolist()
        ]
        log_p = torch.from_numpy(np.log(np.array(rows, np.float32))).to(tokens.device)
        return log_p, read[:, read.shape[1] - self.n + 1 :]

    def _probabilities(self, context: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the probabilities of the next token [V] after the longest known end of a context."""
        for start in range(max(len(context) - len(self._tables) + 1, 0), len(context)):
            known = self._tables[len(context) - start].get(context[start:])
            if known is not None:
                return known
        return self._tables[0][()]
