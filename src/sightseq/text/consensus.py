"""Consensus of captions: CIDEr-D and ROUGE-L as coco-caption computes them (Chen et al., 2015, arXiv 1504.00325).

All texts are tokens joined by spaces: see `text.ptb.ptb_tokens`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

LONGEST = 4  # words in the longest n-gram
SIGMA = 6.0  # standard deviation of the Gaussian penalty on differences in length, in words
BETA = 1.2  # weight of recall against precision in ROUGE-L
NGram = tuple[str, ...]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Vectors:
    """TF-IDF vectors of T texts, whose products are similarities.

    CIDEr-D clips the count a of an n-gram in the generated text at its count b in the reference:
    min(a, b) * b = sum over k >= 1 of [a >= k] * [b >= k] * b. There is one column for each n-gram and k.

    Attributes:
        counts: sparse matrix [T, columns] of [a >= k] / norm; the left factor.
        weights: sparse matrix [T, columns] of [b >= k] * b * idf^2 / norm; the right factor. Each n has its own norm.
        lengths: lengths of the texts [T].
    """

    counts: Any
    weights: Any
    lengths: Scores

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> "Vectors":
        """Return the vectors of the selected texts."""
        return Vectors(self.counts[rows], self.weights[rows], self.lengths[rows])

    def similarity(self, references: "Vectors") -> Scores:
        """Return the CIDEr-D of each text with each reference, [T, R] in 0..10."""
        products = (self.counts @ references.weights.T).toarray()
        return _scaled(products, self.lengths[:, None] - references.lengths)

    def paired(self, references: "Vectors") -> Scores:
        """Return the CIDEr-D of each text with the reference in the same row, [T] in 0..10."""
        products = np.asarray(self.counts.multiply(references.weights).sum(1)).ravel()
        return _scaled(products, self.lengths - references.lengths)


def _scaled(products: Scores, difference: Scores) -> Scores:
    """Apply the penalty on differences in length, take the mean over n, and multiply by 10."""
    scaled: Scores = products * np.exp(-(difference**2) / (2 * SIGMA**2)) * 10 / LONGEST
    return scaled


class CiderD:
    """CIDEr-D (Vedantam et al., 2015, arXiv 1411.5726): similarity of TF-IDF vectors of n-grams of 1 to 4 words.

    Args:
        references: for each image its references. An n-gram weighs log(images / images with this n-gram); one that is
            in no reference counts as if it were in one.
    """

    def __init__(self, references: Iterable[Sequence[str]]) -> None:
        self.images = 0
        self.frequency: Counter[NGram] = Counter()
        for several in references:
            self.images += 1
            self.frequency.update({ngram for text in several for ngram in _ngrams(text.split())})

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of T texts; those of another call have other columns."""
        ids: dict[NGram, int] = {}
        found: list[int] = []
        ends = []
        lengths = np.zeros(len(texts))
        for row, text in enumerate(texts):
            words = text.split()
            lengths[row] = max(0, len(words) - 1)  # coco-caption counts pairs of words
            found.extend([ids.setdefault(ngram, len(ids)) for ngram in _ngrams(words)])
            ends.append(len(found))
        size = max(len(ids), 1)
        rows = np.repeat(np.arange(len(texts)), np.diff(ends, prepend=0))
        keys, count = np.unique(rows * size + np.array(found, np.int64), return_counts=True)
        rows, ngram = keys // size, keys % size
        images = np.array([max(1, self.frequency.get(name, 0)) for name in ids])
        idf = np.log(self.images / images)[ngram]
        group = rows * LONGEST + np.array([len(name) - 1 for name in ids], np.int64)[ngram]
        norm = np.sqrt(np.bincount(group, (count * idf) ** 2))[group]
        inverse = np.divide(1, norm, out=np.zeros_like(norm), where=norm > 0)
        # One entry for each k = 1..count, in the column of this n-gram and k.
        entry = np.repeat(np.arange(len(keys)), count)
        k = np.arange(len(entry)) - np.repeat(np.cumsum(count) - count, count)
        names, columns = np.unique(k * size + ngram[entry], return_inverse=True)
        shape, places = (len(texts), len(names)), (rows[entry], columns)
        counts, weights = inverse[entry], (count * idf**2 * inverse)[entry]
        return Vectors(sparse.csr_array((counts, places), shape), sparse.csr_array((weights, places), shape), lengths)

    def scores(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
        """Return the CIDEr-D of each text, the mean over its references (at least one), [N] in 0..10."""
        numbers = np.array([len(several) for several in references])
        rows = np.repeat(np.arange(len(texts)), numbers)
        flat = [one for several in references for one in several]
        place = {text: n for n, text in enumerate(dict.fromkeys([*texts, *flat]))}  # equal texts share a vector
        vectors = self.vectors(list(place))
        left, right = (np.array([place[text] for text in several], np.int64) for several in (texts, flat))
        pairs = vectors[left[rows]].paired(vectors[right])
        means: Scores = np.bincount(rows, pairs, minlength=len(texts)) / numbers
        return means


def _ngrams(words: Sequence[str]) -> list[NGram]:
    """Return all n-grams of 1 to 4 words."""
    return [ngram for n in range(LONGEST) for ngram in zip(*(words[i:] for i in range(n + 1)), strict=False)]


def cider_d(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the CIDEr-D of a corpus in 0..10, with the document frequencies of its references.

    Args:
        texts: the N generated texts.
        references: for each text its references. With N = 1 all weights, and the score, are 0.
    """
    return float(CiderD(references).scores(texts, references).mean())


def rouge_l(text: str, references: Sequence[str]) -> float:
    """Return the ROUGE-L of a text in 0..1 (Lin, 2004): an F-score of its longest common subsequences of words.

    As in coco-caption, precision and recall are each those of the best reference.
    """
    words = text.split() or [""]
    several = [reference.split() or [""] for reference in references]
    common = [longest_common_subsequence(words, reference) for reference in several]
    precision = max(common) / len(words)
    recall = max(length / len(reference) for length, reference in zip(common, several, strict=True))
    if not precision:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def longest_common_subsequence(one: Sequence[str], two: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, not necessarily contiguous, of two sequences of words."""
    row = [0] * (len(two) + 1)
    for word in one:
        diagonal = 0
        for place, other in enumerate(two, 1):
            diagonal, row[place] = row[place], diagonal + 1 if word == other else max(row[place], row[place - 1])
    return row[-1]
