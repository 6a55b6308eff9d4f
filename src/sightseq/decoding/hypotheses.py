"""Hypotheses of a beam search: how they grow, and the best finished ones of each example."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Hypothesis:
    """One text of an example.

    Attributes:
        tokens: token ids, without the end.
        score: what hypotheses are ranked by: see `BeamSearch`.
        log_probability: natural logarithm of the probability of the tokens, and of the end if there is one. Tokens that
            were excluded keep their part of the probability.
        ended: false if the text was cut off at `max_length`.
        attention: [len(tokens) + ended, S], attention weights from which each token, and the end, was predicted, on the
            CPU; None if not asked for.
    """

    tokens: list[int]
    score: float
    log_probability: float
    ended: bool
    attention: Tensor | None = None


class Tree:
    """The tree of all hypotheses of a batch: each node adds one token to its parent; the parent of the root is -1.

    Extending a hypothesis takes the same time whatever its length, because no tokens are copied.

    Args:
        attention: keep the attention weights.
    """

    def __init__(self, attention: bool) -> None:
        self.attention = attention
        self.size = 0
        self._read = 0  # rows of attention weights
        self._parents: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._readers: list[Tensor] = []
        self._weights: list[Tensor] = []

    def grow(self, nodes: Tensor, rows: Tensor, tokens: Tensor, weights: Tensor | None) -> Tensor:
        """Add one token to some hypotheses.

        Args:
            nodes: node of each hypothesis [N].
            rows: the hypothesis [E, K] that each token extends.
            tokens: [E, K].
            weights: attention weights [N, S] of each hypothesis.

        Returns:
            The new nodes [E, K].
        """
        self._parents.append(nodes[rows].flatten())
        self._tokens.append(tokens.flatten())
        if self.attention and weights is not None:
            self._readers.append(rows.flatten() + self._read)
            self._weights.append(weights)
            self._read += len(weights)
        added = torch.arange(self.size, self.size + tokens.numel(), device=tokens.device)
        self.size += tokens.numel()
        return added.view_as(tokens)

    def paths(self, ends: list[list[int]]) -> list[list[tuple[list[int], Tensor | None]]]:
        """Return the tokens and the attention weights [T, S] from the root to each of these nodes."""
        parents, tokens = torch.cat(self._parents).tolist(), torch.cat(self._tokens).tolist()
        readers, weights = (torch.cat(self._readers), torch.cat(self._weights)) if self.attention else (None, None)
        found: list[list[tuple[list[int], Tensor | None]]] = []
        for nodes in ends:
            found.append([])
            for node in nodes:
                path = []
                while node >= 0:
                    path.append(node)
                    node = parents[node]
                path.reverse()
                read = weights[readers[path]].cpu() if weights is not None and readers is not None else None
                found[-1].append(([tokens[node] for node in path], read))
        return found


class Finished:
    """The best finished hypotheses of each example, best first.

    Args:
        batch_size: number of examples B.
        size: number of hypotheses per example.
        device: the device of all tensors.
    """

    def __init__(self, batch_size: int, size: int, device: torch.device) -> None:
        self.score = torch.full((batch_size, size), -torch.inf, device=device)  # -inf marks an empty place
        self.log_probability = torch.zeros(batch_size, size, device=device)
        self.node = torch.full((batch_size, size), -1, device=device)

    def add(self, examples: Tensor, score: Tensor, log_probability: Tensor, node: Tensor) -> None:
        """Add hypotheses of these examples [E]; score, log-probability and node are [E, K]; -inf is not added."""
        if (score == -torch.inf).all():
            return
        score = torch.cat([self.score[examples], score], 1)
        score, places = score.topk(self.score.shape[1], dim=1)
        self.score[examples] = score
        for mine, added in ((self.log_probability, log_probability), (self.node, node)):
            mine[examples] = torch.cat([mine[examples], added], 1).gather(1, places)

    def hypotheses(self, tree: Tree, eos: int) -> list[list[Hypothesis]]:
        """Return the finished hypotheses of each example.

        Raises:
            ValueError: an example has none.
        """
        counts = (self.score > -torch.inf).sum(1).tolist()
        if 0 in counts:
            raise ValueError(f"no text for example {counts.index(0)}: the step returned no valid probabilities")
        scores, log_probabilities = self.score.tolist(), self.log_probability.tolist()
        ends = [nodes[:number] for nodes, number in zip(self.node.tolist(), counts, strict=True)]
        found = []
        for example, paths in enumerate(tree.paths(ends)):
            found.append(
                [
                    Hypothesis(
                        tokens[:-1] if tokens[-1] == eos else tokens,
                        scores[example][place],
                        log_probabilities[example][place],
                        tokens[-1] == eos,
                        attention,
                    )
                    for place, (tokens, attention) in enumerate(paths)
                ]
            )
        return found
