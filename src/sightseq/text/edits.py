"""Edit distance of transcripts, their error rates, and which characters are confused."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from sightseq.core.loading import PAD_INDEX


def edit_distance(one: Sequence[object], other: Sequence[object]) -> int:
    """Return the smallest number of substitutions, insertions and deletions between two sequences (Levenshtein)."""
    if not one or not other:
        return len(one) + len(other)
    left, right = _ids(one, other)
    places = np.arange(len(right) + 1)
    row = places
    for number, value in enumerate(left, 1):
        # Deletions and substitutions depend on the row above; insertions are a running minimum along the row.
        best = np.minimum(row[1:] + 1, row[:-1] + (right != value))
        row = np.minimum.accumulate(np.concatenate([[number], best]) - places) + places
    return int(row[-1])


def edits(hypothesis: Sequence[int], reference: Sequence[int]) -> list[tuple[int, int]]:
    """Return an alignment with the fewest edits: pairs (of the hypothesis, of the reference), in order.

    0 stands for a missing one: (0, b) is a deletion of b, (a, 0) an insertion of a.

    Args:
        hypothesis: ids above 0.
        reference: ids above 0.
    """
    rows = np.zeros((len(hypothesis) + 1, len(reference) + 1), np.int64)
    rows[:, 0], rows[0] = np.arange(len(rows)), np.arange(rows.shape[1])
    right = np.asarray(reference, np.int64)
    for number, value in enumerate(hypothesis, 1):
        best = np.minimum(rows[number - 1, 1:] + 1, rows[number - 1, :-1] + (right != value))
        rows[number] = np.minimum.accumulate(np.concatenate([[number], best]) - rows[0]) + rows[0]
    pairs = []
    i, j = len(hypothesis), len(reference)
    while i or j:
        if i and j and rows[i, j] == rows[i - 1, j - 1] + (hypothesis[i - 1] != reference[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((hypothesis[i], reference[j]))
        elif i and rows[i, j] == rows[i - 1, j] + 1:
            i -= 1
            pairs.append((hypothesis[i], 0))
        else:
            j -= 1
            pairs.append((0, reference[j]))
    return pairs[::-1]


def text_statistics(texts: Sequence[str], references: Sequence[str]) -> dict[str, Tensor]:
    """Return what `ErrorRate` reads of B texts and their references.

    Spaces at the ends are ignored, and words are separated by any number of spaces.

    Returns:
        `characters` and `words`, each int64 [B, 2]: the edits of each text and the length of its reference; and `exact`
        bool [B], whether both are equal.
    """
    pairs = [(text.strip(), reference.strip()) for text, reference in zip(texts, references, strict=True)]
    words = [(text.split(), reference.split()) for text, reference in pairs]
    return {
        "characters": torch.tensor([[edit_distance(a, b), len(b)] for a, b in pairs]).view(-1, 2),
        "words": torch.tensor([[edit_distance(a, b), len(b)] for a, b in words]).view(-1, 2),
        "exact": torch.tensor([a == b for a, b in pairs], dtype=torch.bool),
    }


def error_rate(statistics: Tensor) -> float:
    """Return the edits of all texts, divided by the length of all references; [B, 2]: see `text_statistics`.

    It is above 1 if there are more edits than characters; without any character it is the number of edits.
    """
    edit, length = statistics.sum(0).tolist()
    return float(edit / max(length, 1))


class ErrorRate(Metric):
    """Error rate of a corpus: see `error_rate`. Reads statistics [B, 2], and `index` [B], -1 for padding rows."""

    full_state_update = False
    higher_is_better = False
    statistics: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("statistics", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, statistics: Tensor, index: Tensor) -> None:
        self.statistics += statistics[index != PAD_INDEX].sum(0)

    def compute(self) -> Tensor:
        return torch.tensor(error_rate(self.statistics[None]))


class Confusions(Metric):
    """Counts of the edits between texts as ids: a matrix [size, size] of (hypothesis, reference); 0 for a missing id.

    Reads `tokens` and `target`, ids [B, ...] padded with 0, and `index` [B], -1 for padding rows.

    Args:
        size: number of ids.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(size, size, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, tokens: Tensor, target: Tensor, index: Tensor) -> None:
        for row, truth, number in zip(tokens.tolist(), target.tolist(), index.tolist(), strict=True):
            if number != PAD_INDEX:
                for pair in edits([n for n in row if n], [n for n in truth if n]):
                    self.counts[pair] += 1

    def compute(self) -> Tensor:
        return self.counts


def _ids(one: Sequence[object], other: Sequence[object]) -> tuple[np.ndarray, np.ndarray]:
    numbers: dict[object, int] = {}
    left, right = (np.array([numbers.setdefault(item, len(numbers)) for item in row]) for row in (one, other))
    return left, right
