"""Constraints on the tokens that a search may choose."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ANY = -1  # marks the positions of a prefix where every token is allowed


@dataclass(frozen=True)
class Constraints:
    """Which tokens may follow a hypothesis.

    A prefix overrides all other constraints. If they leave no token at all, the text may end.

    Attributes:
        eos: the token that ends a text.
        min_length: a text may not end before this number of tokens.
        no_repeat_ngram: no sequence of n tokens occurs twice in a text (Paulus et al., 2018, arXiv 1705.04304); 0
            allows all.
        forbidden: tokens that are never chosen.
        prefix: [B, P], the first tokens of each example, padded with -1; None for no prefix.
        shortest: length of the shortest prefix.
    """

    eos: int
    min_length: int
    no_repeat_ngram: int
    forbidden: tuple[int, ...]
    prefix: Tensor | None
    shortest: int

    def apply(self, log_p: Tensor, examples: Tensor, history: Tensor | None, position: int) -> None:
        """Set the log-probabilities of excluded tokens to -inf, in place.

        Args:
            log_p: [N, vocab_size], N a multiple of E.
            examples: number of the example [E] of each group of adjacent rows.
            history: the tokens before [N, position]; only read if n-grams are blocked.
            position: number of tokens before.
        """
        if self.prefix is not None and position < self.prefix.shape[1]:
            forced = self.prefix[examples, position].repeat_interleave(len(log_p) // len(examples))
            rows = (forced != ANY).nonzero()[:, 0]
            tokens = forced[rows]
            kept = log_p[rows, tokens]
            self._exclude(log_p, history, position)
            log_p[rows] = -torch.inf
            log_p[rows, tokens] = kept
        else:
            self._exclude(log_p, history, position)

    def _exclude(self, log_p: Tensor, history: Tensor | None, position: int) -> None:
        if self.forbidden:
            log_p[:, list(self.forbidden)] = -torch.inf
        if self.no_repeat_ngram and history is not None and position >= self.no_repeat_ngram:
            ngrams = history.unfold(1, self.no_repeat_ngram, 1)  # [N, position - n + 1, n]
            last = history[:, position - self.no_repeat_ngram + 1 :]  # [N, n - 1]
            rows, places = (ngrams[:, :, :-1] == last[:, None]).all(2).nonzero(as_tuple=True)
            log_p[rows, ngrams[rows, places, -1]] = -torch.inf
        if position < self.min_length:
            ends = log_p[:, self.eos].clone()
            log_p[:, self.eos] = -torch.inf
            stuck = log_p.amax(1) == -torch.inf
            log_p[:, self.eos] = torch.where(stuck, ends, -torch.inf)


def pad_prefixes(prefixes: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Return the prefixes as one tensor [B, P], padded with -1."""
    longest = max(map(len, prefixes), default=0)
    rows = [[*prefix, *[ANY] * (longest - len(prefix))] for prefix in prefixes]
    return torch.tensor(rows, dtype=torch.long, device=device).view(len(prefixes), longest)
