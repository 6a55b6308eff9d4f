"""Base of datasets of sentence pairs without splits of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.splits import SplitData
from sightseq.data.parallel.parallel import ParallelData, save_pairs
from sightseq.text.sentences import fold_sentence


class GroupedPairs(SplitData, ParallelData):
    """Sentence pairs whose missing splits are drawn at random, by groups of near-duplicates.

    Pairs that have a sentence in common, on either side, are in one group: two translations of one sentence, or one
    sentence that translates two. Case and punctuation do not count. A group is never divided between splits.
    """

    def groups(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the group of each pair, [N]."""
        groups: NDArray[Any] = arrays["group"]
        return groups

    def save(self, folder: Path, split: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Save a split with its groups."""
        save_pairs(folder, split, pairs, group=group_pairs(pairs))


def group_pairs(pairs: Sequence[tuple[str, str]]) -> NDArray[np.int64]:
    """Return the group of each pair [N]: the number of its first pair.

    Pairs are connected if they have a source or a target in common: see `GroupedPairs`.
    """
    parents = list(range(len(pairs)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    first: dict[tuple[int, str], int] = {}
    for number, pair in enumerate(pairs):
        for side, text in enumerate(pair):
            one, other = root(first.setdefault((side, fold_sentence(text)), number)), root(number)
            parents[max(one, other)] = min(one, other)
    return np.array([root(number) for number in range(len(pairs))], np.int64)
