"""Quality of generated texts: BLEU, chrF and exact match, with the formulas of sacrebleu.

Each score is computed from statistics of single texts, which are counts: those of a corpus are the sums of those of its
texts. The metrics therefore keep a few integers, and the same statistics score any subset of the texts.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from sightseq.core.errors import ConfigError, nearest
from sightseq.core.extras import require
from sightseq.core.loading import PAD_INDEX
from sightseq.core.scores import MeanLoss
from sightseq.text.tokenizer import NORMALIZER

WORDS = 4  # longest n-gram of words in BLEU
CHARACTERS = 6  # longest n-gram of characters in chrF
BETA = 2  # weight of recall against precision in chrF
References = Sequence[str | Sequence[str]]
"""For each text its reference, or several."""


def bleu(texts: Sequence[str], references: References, tokenize: str = "13a", lowercase: bool = False) -> float:
    """Return the BLEU of a corpus in 0..100 (Papineni et al., 2002), as sacrebleu computes it (Post, 2018).

    Args:
        texts: the N generated texts.
        references: see `References`.
        tokenize: sacrebleu's name of the tokenisation: "13a", "intl", "char", or "none" for tokenised texts.
        lowercase: compare texts in lower case and Unicode's form NFC.

    Raises:
        ConfigError: sacrebleu is not installed, or does not have the tokenisation.
    """
    return bleu_score(bleu_statistics(texts, references, tokenize, lowercase).sum(0))


def chrf(texts: Sequence[str], references: References, lowercase: bool = False) -> float:
    """Return the chrF2 of a corpus in 0..100: the F-score of n-grams of 1 to 6 characters (Popović, 2015).

    Arguments: see `bleu`.
    """
    return chrf_score(chrf_statistics(texts, references, lowercase).sum(0))


def exact_match(texts: Sequence[str], references: References, lowercase: bool = False) -> float:
    """Return the fraction of texts that are equal to a reference, in 0..1.

    Arguments: see `bleu`.
    """
    return float(exact_matches(texts, references, lowercase).float().mean())


def bleu_statistics(
    texts: Sequence[str], references: References, tokenize: str = "13a", lowercase: bool = False
) -> Tensor:
    """Return the counts of each text for BLEU, int64 [N, 10]: words of the text and of the reference (of several the
    one nearest in length), then for n = 1..4 the n-grams that match, then for n = 1..4 all n-grams of the text.

    Arguments and errors: see `bleu`.
    """
    metric = _sacrebleu(tokenize, lowercase)
    rows = []
    for text, reference in _pairs(texts, references, lowercase):
        score = metric.sentence_score(text, reference)
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return torch.tensor(rows, dtype=torch.int64).view(-1, 2 + 2 * WORDS)


def bleu_score(statistics: Tensor, longest: int = WORDS) -> float:
    """Return BLEU in 0..100 from summed statistics.

    Args:
        statistics: int64 [10]: see `bleu_statistics`.
        longest: number of words, 1 to 4, of the longest n-gram that counts: 1 for BLEU-1.
    """
    length, reference_length, *counts = statistics.tolist()
    matching, total = counts[:longest], counts[WORDS : WORDS + longest]
    compute = require("sacrebleu.metrics", "translation").BLEU.compute_bleu
    score = compute(matching, total, length, reference_length, "exp", effective_order=False, max_ngram_order=longest)
    return float(score.score)


def chrf_statistics(texts: Sequence[str], references: References, lowercase: bool = False) -> Tensor:
    """Return the counts of each text for chrF, int64 [N, 18]: for n = 1..6 the n-grams of the text, of the reference
    (of several the one with the highest score), and those that match. Spaces are left out.

    Arguments: see `bleu`.
    """
    # sacrebleu returns the score of a text only, not its counts.
    rows = []
    for text, several in _pairs(texts, references, lowercase):
        candidates = [torch.tensor(_character_counts(text, reference)).flatten() for reference in several]
        rows.append(max(candidates, key=chrf_score) if len(candidates) > 1 else candidates[0])
    return torch.stack(rows) if rows else torch.zeros(0, 3 * CHARACTERS, dtype=torch.int64)


def chrf_score(statistics: Tensor) -> float:
    """Return chrF2 in 0..100 from summed statistics [18]: see `chrf_statistics`."""
    precisions, recalls = [], []
    for text, reference, matching in statistics.view(-1, 3).tolist():
        if text and reference:
            precisions.append(matching / text)
            recalls.append(matching / reference)
    if not any(precisions):
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return float(100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall))


def exact_matches(texts: Sequence[str], references: References, lowercase: bool = False) -> Tensor:
    """Return whether each text is equal to a reference, spaces at the ends apart; bool [N].

    Arguments: see `bleu`.
    """
    pairs = _pairs(texts, references, lowercase)
    return torch.tensor([text.strip() in [one.strip() for one in several] for text, several in pairs], dtype=torch.bool)


def check_tokenization(tokenize: str) -> None:
    """Raise ConfigError if sacrebleu is not installed, or does not have the tokenisation."""
    _sacrebleu(tokenize, lowercase=False)


def bleu_signature(tokenize: str = "13a", lowercase: bool = False) -> str:
    """Return sacrebleu's signature of `bleu` with one reference. Arguments and errors: see `bleu`."""
    metric = _sacrebleu(tokenize, lowercase, effective_order=False)
    metric.corpus_score(["a"], [["a"]])  # the signature contains the number of references
    return str(metric.get_signature())


def chrf_signature(lowercase: bool = False) -> str:
    """Return sacrebleu's signature of `chrf` with one reference."""
    metric = require("sacrebleu.metrics", "translation").CHRF(CHARACTERS, 0, BETA, lowercase)
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


class CorpusScore(Metric):
    """A score of a corpus from the summed statistics of its texts.

    Reads statistics [B, counts] of texts, and `index` [B], -1 for padding rows.

    Args:
        kind: "bleu" or "chrf".
        longest: words of the longest n-gram in BLEU: see `bleu_score`.
    """

    full_state_update = False
    higher_is_better = True
    statistics: Tensor

    def __init__(self, kind: str, longest: int = WORDS) -> None:
        super().__init__()
        self.kind, self.longest = kind, longest
        counts = {"bleu": 2 + 2 * WORDS, "chrf": 3 * CHARACTERS}[kind]
        self.add_state("statistics", torch.zeros(counts, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, statistics: Tensor, index: Tensor) -> None:
        self.statistics += statistics[index != PAD_INDEX].sum(0)

    def compute(self) -> Tensor:
        if self.kind == "bleu":
            return torch.tensor(bleu_score(self.statistics, self.longest))
        return torch.tensor(chrf_score(self.statistics))


class TextMean(MeanLoss):
    """Mean of a score of each text. Reads the scores [B], and `index` [B], -1 for padding rows."""

    higher_is_better = True

    def update(self, scores: Tensor, index: Tensor) -> None:
        super().update(scores[index != PAD_INDEX].sum(), (index != PAD_INDEX).sum())


@cache
def _sacrebleu(tokenize: str, lowercase: bool, effective_order: bool = True) -> Any:
    """Return sacrebleu's metric. The effective order does not change the counts, and avoids warnings."""
    kind = require("sacrebleu.metrics", "translation").BLEU
    if tokenize not in kind.TOKENIZERS:
        raise ConfigError(
            f"tokenize={tokenize}: sacrebleu has no such tokenisation; {nearest(tokenize, kind.TOKENIZERS)}"
        )
    return kind(lowercase=lowercase, tokenize=tokenize, effective_order=effective_order)


def _pairs(texts: Sequence[str], references: References, lowercase: bool) -> list[tuple[str, list[str]]]:
    """Return each text with the list of its references, normalised."""

    def normalised(text: str) -> str:
        return NORMALIZER.normalize_str(text) if lowercase else text

    several = ([one] if isinstance(one, str) else one for one in references)
    return [(normalised(text), list(map(normalised, row))) for text, row in zip(texts, several, strict=True)]


def _character_counts(text: str, reference: str) -> list[list[int]]:
    """Return the n-grams of the text, of the reference, and those that match, for n = 1..6; [6, 3]."""
    text, reference = "".join(text.split()), "".join(reference.split())
    counts = []
    for n in range(1, CHARACTERS + 1):
        mine = Counter(text[start : start + n] for start in range(len(text) - n + 1))
        theirs = Counter(reference[start : start + n] for start in range(len(reference) - n + 1))
        matching = sum(min(count, theirs[ngram]) for ngram, count in mine.items() if ngram in theirs)
        counts.append([mine.total() if theirs else 0, theirs.total(), matching])
    return counts
