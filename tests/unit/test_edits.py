"""Error rates, compared with values by hand and with torchmetrics."""

import random

import pytest
import torch
from torchmetrics.functional.text import char_error_rate, word_error_rate

from sightseq.text.edits import Confusions, ErrorRate, edit_distance, edits, error_rate, text_statistics

TEXTS = ["", "a", "kitten", "sitting", "the cat sat", "the  cat sat on", " the dog", "intention", "execution"]


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("kitten", "sitting", 3), ("intention", "execution", 5), ("", "abc", 3), ("abc", "", 3), ("", "", 0)],
)
def test_distances_by_hand(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == edit_distance(other, one) == distance


def test_rates_of_a_corpus_equal_those_of_torchmetrics() -> None:
    generator = random.Random(0)
    references = [text.strip() for text in TEXTS if text] * 5
    texts = ["".join(c for c in text if generator.random() > 0.2) + generator.choice("xy ") for text in references]
    texts = [text.strip() for text in texts]
    statistics = text_statistics(texts, references)
    assert error_rate(statistics["characters"]) == pytest.approx(float(char_error_rate(texts, references)))
    assert error_rate(statistics["words"]) == pytest.approx(float(word_error_rate(texts, references)))
    metric = ErrorRate()
    for start in range(0, len(texts), 4):
        rows = statistics["characters"][start : start + 4]
        metric.update(torch.cat([rows, rows[:1]]), torch.tensor([*range(len(rows)), -1]))  # a padding row
    assert float(metric.compute()) == pytest.approx(float(char_error_rate(texts, references)))


def test_exact_match_ignores_spaces_at_the_ends() -> None:
    statistics = text_statistics(["a b ", "a", ""], ["a b", "b", ""])
    assert statistics["exact"].tolist() == [True, False, True]
    assert statistics["characters"].tolist() == [[0, 3], [1, 1], [0, 0]]
    assert statistics["words"].tolist() == [[0, 2], [1, 1], [0, 0]]


def test_rates_without_characters() -> None:
    assert error_rate(text_statistics(["", "ab"], ["", ""])["characters"]) == 2
    assert error_rate(text_statistics([], [])["characters"]) == 0


def test_edits_by_hand() -> None:
    assert edits([1, 2, 3], [1, 2, 3]) == [(1, 1), (2, 2), (3, 3)]
    assert edits([1, 9, 3], [1, 2, 3]) == [(1, 1), (9, 2), (3, 3)]
    assert edits([1, 3], [1, 2, 3]) == [(1, 1), (0, 2), (3, 3)]
    assert edits([1, 2, 2, 3], [1, 2, 3]).count((2, 0)) == 1
    assert edits([], [4]) == [(0, 4)]
    assert edits([], []) == []


def test_edits_are_as_many_as_the_distance() -> None:
    generator = random.Random(1)
    for _ in range(50):
        one, other = ([generator.randint(1, 4) for _ in range(generator.randint(0, 8))] for _ in range(2))
        pairs = edits(one, other)
        assert sum(a != b for a, b in pairs) == edit_distance(one, other)
        assert [a for a, _ in pairs if a] == one
        assert [b for _, b in pairs if b] == other


def test_confusions_are_counted() -> None:
    metric = Confusions(5)
    tokens, target = torch.tensor([[2, 3, 0], [4, 0, 0]]), torch.tensor([[2, 4], [4, 4]])
    metric.update(tokens, target, torch.tensor([0, 1]))
    metric.update(tokens, target, torch.tensor([-1, -1]))
    counts = metric.compute()
    assert counts.sum() == 4
    assert (counts[2, 2], counts[3, 4], counts[4, 4], counts[0, 4]) == (1, 1, 1, 1)
