"""Interpolated n-grams: values by hand."""

import math

import numpy as np
import pytest

from sightseq.tasks.language_modeling.baseline import NGram


def test_unigrams_by_hand() -> None:
    model = NGram(1)
    model.fit({"input": np.array([0, 1, 1, 2, 1, 1, 0, 1, 1, 2] * 10, np.uint16)})
    uniform, unigram = model.weights[:, 0]
    expected = [uniform / 4 + unigram * share for share in (0.2, 0.6, 0.2)]
    assert model.predict({"input": np.array([0, 1, 2])}).tolist() == pytest.approx(expected)
    assert uniform + unigram == pytest.approx(1)


def test_probabilities_of_all_tokens_sum_to_one() -> None:
    generator = np.random.default_rng(0)
    model = NGram(3)
    model.fit({"input": generator.integers(0, 6, 2000)})
    for before in ([0, 1], [5, 5], [6, 6], [0, 9]):
        total = sum(model.predict({"input": np.array([*before, last])})[-1] for last in range(7))
        assert total == pytest.approx(1, abs=1e-6)


def test_trigrams_learn_what_unigrams_cannot() -> None:
    tokens = np.array([0, 1, 2, 0, 2, 1] * 200)  # the next token depends on the last two
    scores = []
    for n in (1, 2, 3):
        model = NGram(n)
        model.fit({"input": tokens})
        scores.append(model.score({"input": tokens[:600]}))
    assert scores[0]["loss"] == pytest.approx(math.log(3), abs=0.01)
    assert scores[0]["loss"] > scores[1]["loss"] > 0.6 > 0.05 > scores[2]["loss"]
    assert scores[2]["perplexity"] == pytest.approx(math.exp(scores[2]["loss"]))


def test_unknown_tokens_have_a_probability() -> None:
    model = NGram(3)
    model.fit({"input": np.array([0, 1] * 50)})
    assert model.predict({"input": np.array([0, 7, 1])}).min() > 0


def test_invalid_orders_are_refused() -> None:
    with pytest.raises(ValueError, match="n=4"):
        NGram(4)
