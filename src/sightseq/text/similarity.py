"""Similarity of many texts to each other."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sightseq.text.quality import BETA, CHARACTERS


def chrf_matrix(texts: Sequence[str]) -> Tensor:
    """Return the sentence chrF2 (Popović, 2015) of each text (row) with each text as the reference (column).

    Like `quality.chrf` of single texts, but for all pairs at once, and in 0..1. Spaces are left out.

    Args:
        texts: T texts.

    Returns:
        float64 [T, T].
    """
    texts = ["".join(text.split()) for text in texts]
    precision, recall, orders = np.zeros((3, len(texts), len(texts)))
    for n in range(1, CHARACTERS + 1):
        total = np.array([max(0, len(text) - n + 1) for text in texts])
        # One column for each n-gram and k that is 1 where the n-gram occurs at least k times: the product of two rows
        # is the number of common n-grams.
        columns: dict[tuple[str, int], int] = {}
        found = []
        for text in texts:
            seen: Counter[str] = Counter()
            for start in range(len(text) - n + 1):
                ngram = text[start : start + n]
                seen[ngram] += 1
                found.append(columns.setdefault((ngram, seen[ngram]), len(columns)))
        places = (np.repeat(np.arange(len(texts)), total), found)
        occurs = sparse.csr_array((np.ones(len(found)), places), (len(texts), max(1, len(columns))))
        common = (occurs @ occurs.T).toarray()
        both = (total[:, None] > 0) & (total > 0)
        precision += common / np.maximum(total, 1)[:, None] * both
        recall += common / np.maximum(total, 1) * both
        orders += both
    precision, recall = precision / np.maximum(orders, 1), recall / np.maximum(orders, 1)
    weighted = BETA**2 * precision + recall
    return torch.from_numpy((1 + BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1))
