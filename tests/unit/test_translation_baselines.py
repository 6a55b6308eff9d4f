"""Baselines of translation, by hand."""

from typing import Any

import numpy as np
import pytest

from sightseq.tasks.translation.baseline import (
    CopySource,
    IBMModel1,
    TextBaseline,
    TranslationMemory,
    fit_ibm1,
    split_words,
)
from sightseq.text.tokenizer import fit
from sightseq.text.tokens_spec import Tokens
from sightseq.text.translation_spec import TranslationSpec

BOOKS = [("das Haus", "the house"), ("das Buch", "the book"), ("ein Buch", "a book")]


def arrays(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {name: np.array([pair[side] for pair in pairs], object) for side, name in enumerate(("input", "target"))}


def fitted(baseline: TextBaseline, *pairs: tuple[str, str], lowercase: bool = False) -> TextBaseline:
    tokens = fit(["a"], "words", 100, lowercase=lowercase).json
    baseline.spec = TranslationSpec(Tokens(tokens, 3, "de"), Tokens(tokens, 3, "en"))
    baseline.fit(arrays(*pairs))
    return baseline


def test_one_round_of_ibm_model_1_by_hand() -> None:
    # Source words: 1 das, 2 Haus, 3 Buch, 4 ein; target words: 0 the, 1 house, 2 book, 3 a. No NULL.
    sources = [np.array(row) for row in ([1, 2], [1, 3], [4, 3])]
    targets = [np.array(row) for row in ([0, 1], [0, 2], [3, 2])]
    source, target, probability = fit_ibm1(sources, targets, 4, rounds=1)
    found = {(s, t): p for s, t, p in zip(source.tolist(), target.tolist(), probability.tolist(), strict=True)}
    # Each target word is shared equally by both source words of its sentence.
    assert found == {
        (1, 0): 0.5, (1, 1): 0.25, (1, 2): 0.25,
        (2, 0): 0.5, (2, 1): 0.5,
        (3, 0): 0.25, (3, 2): 0.5, (3, 3): 0.25,
        (4, 2): 0.5, (4, 3): 0.5,
    }  # fmt: skip
    source, target, probability = fit_ibm1(sources, targets, 4, rounds=2)
    found = {(s, t): p for s, t, p in zip(source.tolist(), target.tolist(), probability.tolist(), strict=True)}
    # "the" with "das Haus": das .5, Haus .5; with "das Buch": das .5, Buch .25. "house": das .25, Haus .5. "book" with
    # "das Buch": das .25, Buch .5. So das has the: 1/2 + 2/3, house: 1/3, book: 1/3.
    assert found[1, 0] == pytest.approx((1 / 2 + 2 / 3) / (1 / 2 + 2 / 3 + 1 / 3 + 1 / 3))
    assert found[1, 2] == pytest.approx((1 / 3) / (1 / 2 + 2 / 3 + 1 / 3 + 1 / 3))


def test_ibm_model_1_finds_the_dictionary() -> None:
    baseline = fitted(IBMModel1(rounds=50), *BOOKS)
    assert baseline.predict(arrays(("ein Haus", ""), ("Haus das Ding", ""))).tolist() == ["a house", "house the Ding"]


def test_ibm_model_1_joins_punctuation_in_any_script() -> None:
    pairs = [("yes .", "हाँ ।"), ("yes", "हाँ"), ("no", "नहीं"), ("no .", "नहीं ।")]
    baseline = fitted(IBMModel1(), *pairs)
    assert baseline.predict(
        arrays(
            ("yes no.", ""),
        )
    ).tolist() == ["हाँ नहीं।"]
    assert split_words("मैं हूँ।") == ["मैं", "हूँ", "।"]


def test_ibm_model_1_ignores_case_where_the_model_does() -> None:
    assert fitted(IBMModel1(), *BOOKS, lowercase=True).predict(
        arrays(
            ("DAS", ""),
        )
    ).tolist() == ["the"]
    assert fitted(IBMModel1(), *BOOKS).predict(
        arrays(
            ("DAS", ""),
        )
    ).tolist() == ["DAS"]


def test_ibm_model_1_reads_a_sentence_of_10_000_words() -> None:
    long = " ".join(["das"] * 10_000), " ".join(["the"] * 10_000)
    assert fitted(IBMModel1(), *BOOKS, long).predict(
        arrays(
            ("ein", ""),
        )
    ).tolist() == ["a"]


def test_the_memory_returns_the_nearest_translation() -> None:
    memory = fitted(TranslationMemory(), ("a red dog runs", "one"), ("the blue cat sleeps", "two"))
    found = memory.predict(arrays(("the cat", ""), ("dogs and a dog", ""), ("unknown", "")))
    assert found.tolist() == ["two", "one", "one"]


def test_the_memory_tells_vowel_signs_of_hindi_apart() -> None:
    memory = fitted(TranslationMemory(), ("का", "one"), ("की", "two"), ("के", "three"))
    assert memory.predict(arrays(("की", ""), ("के", ""))).tolist() == ["two", "three"]


def test_scores_of_copies() -> None:
    batch = arrays(("Paris is big today .", "Paris is big today ."), ("a b c d", "e f g h"))
    scores = fitted(CopySource(), *BOOKS).score(batch)
    assert scores["exact"] == 0.5
    assert 0 < scores["bleu"] < 100
    assert (
        fitted(CopySource(), *BOOKS).score(
            arrays(
                ("Das ist es .", "das ist es ."),
            )
        )["exact"]
        == 0
    )
    lower = fitted(CopySource(), *BOOKS, lowercase=True).score(
        arrays(
            ("Das ist es .", "das ist es ."),
        )
    )
    assert lower["exact"] == 1
    assert lower["bleu"] == pytest.approx(100)
    assert lower["chrf"] == pytest.approx(100)
