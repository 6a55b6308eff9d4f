"""Attention of queries to the positions of a source."""

from typing import Literal

import torch
from torch import Tensor, nn

AttentionKind = Literal["additive", "multiplicative"]


class Attention(nn.Module):
    """A mean of a source's vectors, weighted by their relevance to a query.

    The score of a position is v · tanh(W q + U m) if additive (Bahdanau et al., 2015, arXiv 1409.0473), or q · U m
    divided by the square root of the width if multiplicative (Luong et al., 2015, arXiv 1508.04025, without the
    division). The weights are the softmax of the scores over the positions. With several heads, each has its own part
    of the scores and of the source's vectors (Chen et al., 2018, arXiv 1804.09849).

    Args:
        query: width of a query.
        memory: width of the source's vectors.
        kind: "additive" or "multiplicative".
        heads: number of heads; it divides both widths.
    """

    def __init__(self, query: int, memory: int, kind: AttentionKind = "multiplicative", heads: int = 1) -> None:
        super().__init__()
        if query % heads or memory % heads:
            raise ValueError(f"heads={heads} must divide the widths {query} of the queries and {memory} of the source")
        self.heads = heads
        self.key = nn.Linear(memory, query, bias=kind == "additive")
        self.kind = kind
        if kind == "additive":
            self.query = nn.Linear(query, query, bias=False)
            self.score = nn.Parameter(torch.empty(query).uniform_(-1, 1) * query**-0.5)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to the source of each example.

        Args:
            queries: [N, T, query]; N is a multiple of B, and the rows of one example are adjacent.
            keys: [B, S, query], what the layer `key` makes of the values, once for all queries.
            values: [B, S, memory].
            mask: bool [B, S], false at padding.

        Returns:
            Weighted means of the values [N, T, memory], and the weights [N, T, S], averaged over the heads.
        """
        rows, positions, _ = queries.shape
        queries = queries.reshape(keys.shape[0], -1, queries.shape[2])  # [B, Q, query] with Q = N / B * T
        if self.kind == "multiplicative":
            scores = _split(queries, self.heads) @ _split(keys, self.heads).transpose(2, 3)  # [B, heads, Q, S]
            scores = scores * (queries.shape[2] // self.heads) ** -0.5
        else:
            features = torch.tanh(self.query(queries)[:, :, None] + keys[:, None]) * self.score  # [B, Q, S, query]
            scores = features.view(*features.shape[:3], self.heads, -1).sum(4).permute(0, 3, 1, 2)
        weights = scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(dim=3)
        context = (weights.to(values.dtype) @ _split(values, self.heads)).transpose(1, 2).flatten(2)  # [B, Q, memory]
        return context.reshape(rows, positions, -1), weights.mean(1).reshape(rows, positions, -1)


def _split(x: Tensor, heads: int) -> Tensor:
    """[B, S, width] to [B, heads, S, width / heads]."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)
