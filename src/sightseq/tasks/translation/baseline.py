"""Non-neural baselines of translation, on the texts themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from sightseq.core.arrays import ArrayDataset
from sightseq.core.baseline import CHUNK, Arrays, Baseline
from sightseq.text.quality import bleu, chrf, exact_match
from sightseq.text.tokenizer import CLOSING, PRE_TOKENIZERS
from sightseq.text.translation_spec import TranslationSpec

ENDING = CLOSING | set("\u0964\u06d4\u060c\u061f\u061b")  # also the danda, and the marks of Urdu
MOST_WORDS = 100  # of a sentence; the work of IBM Model 1 grows with their square
NULL = 0  # source word of target words that translate none


class TextBaseline(Baseline):
    """Base of the baselines that predict a text for each source; [N] strings.

    Args:
        tokenize: tokenisation for BLEU: see `text.quality.bleu`.
    """

    spec: TranslationSpec

    def __init__(self, tokenize: str = "13a") -> None:
        self.tokenize = tokenize

    def read(self, dataset: ArrayDataset) -> Arrays:
        """Return the texts of a split, without auxiliary pairs of other languages."""
        arrays = super().read(dataset)
        others = arrays.get("auxiliary", np.zeros(len(arrays["input"]), np.bool_))
        return {name: arrays[name][~others] for name in ("input", "target")}

    def score(self, batch: Arrays) -> dict[str, float]:
        """Return BLEU and chrF in 0..100, and the fraction of exact matches."""
        texts, references = self.predict(batch).tolist(), batch["target"].tolist()
        lowercase = self.spec.target.lowercase
        return {
            "bleu": bleu(texts, references, self.tokenize, lowercase),
            "chrf": chrf(texts, references, lowercase),
            "exact": exact_match(texts, references, lowercase),
        }


class CopySource(TextBaseline):
    """The source itself. Names and numbers are often the same in both languages."""

    def predict(self, batch: Arrays) -> NDArray[Any]:
        return batch["input"]


class TranslationMemory(TextBaseline):
    """The translation of the most similar training source, by the cosine of TF-IDF weights of words and word pairs.

    Args:
        tokenize: see `TextBaseline`.
        max_ngram: length of the longest n-gram, in words.
    """

    def __init__(self, tokenize: str = "13a", max_ngram: int = 2) -> None:
        super().__init__(tokenize)
        self.max_ngram = max_ngram

    def fit(self, train: Arrays) -> None:
        # Words are split as for the tokenizer: the pattern of scikit-learn would split Hindi at each vowel sign.
        self.vectorizer = TfidfVectorizer(
            tokenizer=split_words, token_pattern=None, ngram_range=(1, self.max_ngram), sublinear_tf=True
        )
        self.memory = self.vectorizer.fit_transform(train["input"]).T.tocsc()
        self.targets = train["target"]

    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return the targets of the nearest sources; for a source without a known word, the first target."""
        sources = self.vectorizer.transform(batch["input"])
        nearest = [
            np.asarray((sources[start : start + CHUNK] @ self.memory).argmax(1)).ravel()
            for start in range(0, sources.shape[0], CHUNK)
        ]
        translations: NDArray[Any] = self.targets[np.concatenate(nearest)]
        return translations


class IBMModel1(TextBaseline):
    """Each word by its most probable translation, in the order of the source (Brown et al., 1993).

    The probability of a target word given a source word is that of IBM Model 1, fitted by expectation maximisation.
    Words that are not in the training split are copied.

    Args:
        tokenize: see `TextBaseline`.
        rounds: iterations of expectation maximisation.
    """

    most = 200_000

    def __init__(self, tokenize: str = "13a", rounds: int = 10) -> None:
        super().__init__(tokenize)
        self.rounds = rounds

    def fit(self, train: Arrays) -> None:
        sources, targets = (self._words(train[side]) for side in ("input", "target"))
        ids: dict[str, int] = {}
        target_ids: dict[str, int] = {}
        one = [np.array([NULL, *(ids.setdefault(w, len(ids) + 1) for w in words)], np.int64) for words in sources]
        two = [np.array([target_ids.setdefault(w, len(target_ids)) for w in words], np.int64) for words in targets]
        links, pairs, probabilities = fit_ibm1(one, two, len(target_ids), self.rounds)
        order = np.lexsort((-pairs, probabilities, links))  # of equal probabilities the earlier target word
        best = order[np.flatnonzero(np.diff(links[order], append=-1))]
        names, words = list(target_ids), ["", *ids]
        self.translation = {words[links[n]]: names[pairs[n]] for n in best if links[n] != NULL}

    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return the translations; punctuation follows its word without a space."""
        texts = []
        for words in self._words(batch["input"]):
            translated = (self.translation.get(word, word) for word in words)
            texts.append("".join(word if word in ENDING else f" {word}" for word in translated).strip())
        return np.array(texts, object)

    def _words(self, texts: NDArray[Any]) -> list[list[str]]:
        lowercase = self.spec.source.lowercase
        return [split_words(text.lower() if lowercase else text)[:MOST_WORDS] for text in texts]


def fit_ibm1(
    sources: Sequence[NDArray[np.int64]], targets: Sequence[NDArray[np.int64]], vocab_size: int, rounds: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Fit IBM Model 1, with equal probabilities to begin with.

    Args:
        sources: word ids of each source, with `NULL` in each.
        targets: word ids of each target, below `vocab_size`.
        vocab_size: number of target words.
        rounds: iterations of expectation maximisation.

    Returns:
        For each source word and target word that occur in one pair of sentences: the source word, the target word,
        and the probability of the target word given the source word, [P] each.
    """
    sizes = np.array([len(target) for target in targets])
    links = np.concatenate([np.tile(one, len(two)) for one, two in zip(sources, targets, strict=True)])
    words = np.concatenate([np.repeat(two, len(one)) for one, two in zip(sources, targets, strict=True)])
    # Each word of a target is a position; all words of its source are linked to it.
    positions = np.repeat(np.arange(sizes.sum()), np.repeat([len(one) for one in sources], sizes))
    pairs, link = np.unique(links * vocab_size + words, return_inverse=True)
    source = pairs // vocab_size
    probability = np.ones(len(pairs))
    for _ in range(rounds):
        share = probability[link]
        share /= np.bincount(positions, share)[positions]
        counts = np.bincount(link, share)
        probability = counts / np.bincount(source, counts)[source]
    return source, pairs % vocab_size, probability


def split_words(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in any script."""
    return [word for word, _ in PRE_TOKENIZERS["words"].pre_tokenize_str(text)]
