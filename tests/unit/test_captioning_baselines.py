"""Baselines of captioning, by hand."""

from typing import Any

import numpy as np
import pytest

from sightseq.core.arrays import ArrayDataset
from sightseq.core.errors import ConfigError
from sightseq.tasks.captioning.baseline import CaptionBaseline, FrequentCaption, NearestImage, some
from sightseq.tasks.captioning.comparison import compare_diversity
from sightseq.tasks.translation.baseline import CopySource

RED, GREEN, BLUE = np.eye(3) * 255
CAPTIONS = [
    "A red wall.\nThe wall is red .\nA wall",
    "A green wall.\nGrass\nA wall",
    "A red door.\nThe red door\nA door",
]
PIXELS = [RED, GREEN, 0.8 * RED]


def dataset(pixels: list[Any], captions: list[str], **columns: Any) -> ArrayDataset:
    """Images of 20 x 30 pixels of one colour."""
    images = np.zeros((len(pixels), 3, 20, 30), np.uint8) + np.array(pixels, np.uint8)[:, :, None, None]
    arrays = {"input": images, "captions": np.array(captions, object), **columns}
    return ArrayDataset(arrays, np.arange(len(pixels)))


def fitted(baseline: CaptionBaseline, **columns: Any) -> CaptionBaseline:
    baseline.fit(baseline.read(dataset(PIXELS, CAPTIONS, **columns)))
    return baseline


def test_the_most_frequent_caption() -> None:
    baseline = fitted(FrequentCaption())
    test = baseline.read(dataset([BLUE, RED], ["A wall!\nx", "y"]))
    assert test["input"].shape == (2, 0)
    assert baseline.predict(test).tolist() == ["a wall", "a wall"]
    assert baseline.score(test)["exact"] == 0.5
    assert baseline.texts == ["a wall", "a wall"]


def test_of_equally_frequent_captions_that_with_the_highest_consensus() -> None:
    baseline = FrequentCaption()
    captions = ["a red dog runs\nfour", "a red dog sleeps\ntwo birds", "a red dog barks\nno", "many words\nfive"]
    baseline.fit(baseline.read(dataset([RED] * 4, captions)))
    assert baseline.caption.startswith("a red dog")


def test_the_nearest_image_by_its_pixels() -> None:
    baseline = fitted(NearestImage(neighbours=1, consensus=False))
    test = baseline.read(dataset([0.9 * GREEN, 0.7 * RED, 0.95 * RED], ["a green wall", "x", "A red wall ."]))
    assert test["input"].shape == (3, 3 * 16 * 16)
    assert baseline.predict(test).tolist() == ["a green wall", "a red door", "a red wall"]
    scores = baseline.score(test)
    assert scores["exact"] == pytest.approx(2 / 3)
    assert set(scores) == {"cider", "bleu", "bleu1", "bleu2", "bleu3", "rouge", "chrf", "exact"}


def test_the_nearest_image_by_its_features() -> None:
    features = np.zeros((3, 2, 4, 2), np.float16)  # 2 views of 4 positions
    features[:, 0, :, 0] = [[1] * 4, [0] * 4, [3, 0, 0, 0]]
    features[:, 0, :, 1] = [[0] * 4, [5] * 4, [0, 1, 2, 0]]
    features[:, 1] = 100  # the mirror image is not read
    baseline = fitted(NearestImage(neighbours=1, consensus=False), features=features)
    read = baseline.read(dataset(PIXELS, CAPTIONS, features=features))["input"]
    assert read == pytest.approx(np.array([[1, 0], [0, 1], [0.5**0.5, 0.5**0.5]]), abs=1e-6)
    query = np.broadcast_to(np.array([7, 6], np.float16), (1, 2, 4, 2))  # a direction near the third image's
    assert baseline.predict(baseline.read(dataset([RED], ["x"], features=query))).tolist() == ["a red door"]
    zero = np.zeros((1, 2, 4, 2), np.float16)
    assert baseline.read(dataset([RED], ["x"], features=zero))["input"].tolist() == [[0, 0]]


def test_consensus_of_the_neighbours() -> None:
    captions = [
        "an odd one here\na dog runs on the grass",
        "a dog runs on grass\nsomething else entirely",
        "a dog is on the grass\na dog runs on the grass today",
        "a boat is on the water\na boat on water",
        "two boats sail far away\na boat on the calm water",
    ]
    baseline = NearestImage(neighbours=3)
    baseline.fit(baseline.read(dataset([RED, 0.98 * RED, 0.96 * RED, BLUE, 0.98 * BLUE], captions)))
    test = baseline.read(dataset([RED], ["x"]))
    assert baseline.predict(test).tolist() == ["a dog runs on the grass"]


def test_more_neighbours_than_images_and_images_with_one_caption() -> None:
    baseline = NearestImage(neighbours=50)
    baseline.fit(baseline.read(dataset([RED, GREEN], ["a red wall", "a green wall\na wall\nthe wall"])))
    assert baseline.predict(baseline.read(dataset([RED], ["x"])))[0] in {"a red wall", "a green wall", "a wall"}
    with pytest.raises(ConfigError, match="neighbours=0"):
        NearestImage(neighbours=0)


def test_captions_of_the_validation_split_are_not_training_captions() -> None:
    baseline = fitted(FrequentCaption())
    both = baseline.read(dataset([*PIXELS, BLUE], [*CAPTIONS, "a new one"]))
    baseline.fit(both)
    assert baseline.training is not None
    assert "a wall" in baseline.training
    assert "a new one" not in baseline.training


def test_diversity_beside_that_of_the_baselines() -> None:
    baseline = fitted(FrequentCaption())
    baseline.score(baseline.read(dataset([BLUE, RED], ["a wall", "y"])))
    details, (table,) = compare_diversity(["grass", "a blue sea"], {"frequent": baseline, "copy": CopySource()})
    assert details == {
        "diversity": {
            "this model": {"unique": 1, "vocabulary": 4, "novel": 0.5},
            "frequent": {"unique": 0.5, "vocabulary": 2, "novel": 0},
        },
        "summary": "100.0% of the captions are unique, 50.0% are not among the training captions; they have 4 words.",
    }
    assert table.columns == ["captions", "unique", "vocabulary", "novel"]
    assert compare_diversity(["grass"], {})[0] == {
        "diversity": {"this model": {"unique": 1, "vocabulary": 1}},
        "summary": "100.0% of the captions are unique; they have 1 words.",
    }


def test_evenly_spaced_texts() -> None:
    assert some(["a", "b"]) == ["a", "b"]
    chosen = some([str(number) for number in range(5000)])
    assert (len(chosen), chosen[0], chosen[-1]) == (1000, "0", "4999")
