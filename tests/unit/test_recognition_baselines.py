"""Baselines of recognition."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sightseq.core.arrays import ArrayDataset, Ragged
from sightseq.data.text.tokenised import Texts
from sightseq.tasks.recognition.baseline import FrequentTranscript, GlyphSVM, equal_parts, pieces_of, space_width

SHAPES = {"a": (0, 8), "b": (8, 16), "c": (4, 12)}  # rows of the ink of each letter


def draw(text: str, gap: int = 3, space: int = 9, seed: int = 0) -> NDArray[np.uint8]:
    """A line of letters of 6 columns, [W, 16, 1]."""
    generator = np.random.default_rng(seed)
    columns: list[NDArray[np.uint8]] = [np.zeros((4, 16), np.uint8)]
    for letter in text:
        if letter == " ":
            columns.append(np.zeros((space, 16), np.uint8))
            continue
        glyph = np.zeros((6, 16), np.uint8)
        first, last = SHAPES[letter]
        glyph[:, first:last] = generator.integers(100, 256, (6, last - first))
        columns += [glyph, np.zeros((gap, 16), np.uint8)]
    return np.concatenate([*columns, np.zeros((4, 16), np.uint8)])[:, :, None]


def dataset(texts: list[str], gap: int = 3) -> ArrayDataset:
    images = Ragged.of([draw(text, gap, seed=number) for number, text in enumerate(texts)])
    column = Texts.of([np.frombuffer(text.encode(), np.uint8) for text in texts])
    return ArrayDataset({"input": images, "target": column}, np.arange(len(texts)))


def test_cutting() -> None:
    assert pieces_of(draw("ab")[:, :, 0].T) == [(4, 10), (13, 19)]
    assert pieces_of(np.zeros((16, 9), np.uint8)) == pieces_of(np.zeros((16, 0), np.uint8)) == []
    assert equal_parts(2, 12, 3) == [(2, 5), (5, 9), (9, 12)]
    assert equal_parts(0, 2, 4) == [(0, 1), (0, 1), (1, 2), (1, 2)]
    assert space_width([([(0, 2), (4, 6), (14, 15)], "ab c")]) == (2 + 8) / 2
    assert space_width([([(0, 2), (4, 6)], "ab")]) == float("inf")


TRAIN = ["abc ab", "cab", "b ca", "acb", "ba c", "cc ab", "bb a"]


def test_separate_letters_are_read_with_their_spaces() -> None:
    svm = GlyphSVM()
    svm.fit(svm.read(dataset(TRAIN)))
    test = svm.read(dataset(["cba abc", "a", "b b"]))
    assert svm.predict(test).tolist() == ["cba abc", "a", "b b"]
    assert svm.score(test) == {"cer": 0.0, "wer": 0.0, "exact": 1.0}
    empty = np.empty(1, object)
    empty[0] = np.zeros((16, 30), np.uint8)
    assert svm.predict({"input": empty}).tolist() == [""]


def test_joined_letters_are_cut_into_equal_parts() -> None:
    svm = GlyphSVM()
    svm.fit(svm.read(dataset(TRAIN)))
    assert svm.predict(svm.read(dataset(["abc"], gap=0))).tolist() == ["abc"]
    joined = GlyphSVM()  # no training line has as many pieces as letters
    train = ["abc", "cab", "bac", "ccb", "bab"]
    joined.fit(joined.read(dataset(train, gap=0)))
    assert joined.score(joined.read(dataset(train, gap=0)))["cer"] < 1


def test_a_single_character_needs_no_machine() -> None:
    svm = GlyphSVM()
    svm.fit(svm.read(dataset(["a", "a", "aa"])))
    assert svm.predict(svm.read(dataset(["aaa"]))).tolist() == ["aaa"]


def test_the_most_frequent_transcript_or_the_one_nearest_to_the_others() -> None:
    frequent = FrequentTranscript()
    frequent.fit(frequent.read(dataset(["ab", "b", "ab", "c"])))
    assert frequent.predict({"input": np.zeros((2, 0))}).tolist() == ["ab", "ab"]
    frequent.fit(frequent.read(dataset(["aaaa", "abab", "bbbb"])))
    assert frequent.text == "abab"
    test = frequent.read(dataset(["abab", "ab"]))
    assert frequent.score(test) == {"cer": pytest.approx(2 / 6), "wer": pytest.approx(1 / 2), "exact": 0.5}
