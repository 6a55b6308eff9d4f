"""Splits and specs of labelled images, against numpy and by hand."""

from typing import Any

import numpy as np
import pytest

from sightseq.core.arrays import ArrayDataset
from sightseq.core.errors import ConfigError
from sightseq.core.splits import stratified
from sightseq.data.image.digits import Digits
from sightseq.data.image.images import ImageData, synthetic_images
from sightseq.vision.spec import ImageSpec


def module(**arguments: Any) -> ImageData:
    return Digits(name="toy", cache="cache", **arguments)


def test_stratified_sizes_by_hand() -> None:
    labels = np.repeat([0, 1, 2, 3, 4], [20, 14, 2, 1, 25])
    chosen = stratified(labels, 0.1, seed=0)
    # a tenth of each class, rounded half to even; at least one of a class of two, none of a class of one
    assert np.bincount(labels[chosen], minlength=5).tolist() == [2, 1, 1, 0, 2]
    assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_stratified_depends_only_on_the_seed() -> None:
    labels = np.arange(1000) % 10
    assert stratified(labels, 0.2, 1).tolist() == stratified(labels, 0.2, 1).tolist()
    assert stratified(labels, 0.2, 1).tolist() != stratified(labels, 0.2, 2).tolist()
    assert stratified(labels, 0.2, 1).max() > 900  # from the whole split, not only from its start


def test_training_keeps_a_sample_of_each_class() -> None:
    assert len(stratified(np.array([0, 0, 1, 1]), 0.5, 0)) == 2


def test_large_fraction_leaves_a_training_sample() -> None:
    assert len(stratified(np.array([0, 0]), 0.8, 0)) == 1


def test_missing_splits_are_parts_of_train() -> None:
    labels = np.arange(200) % 2
    rows = module(val_fraction=0.1, test_fraction=0.2).split_rows({"train": {"target": labels}})
    assert [(source, len(r)) for source, r in rows.values()] == [("train", 144), ("train", 40), ("train", 16)]
    assert list(rows) == ["train", "test", "val"]
    everything = np.concatenate([r for _, r in rows.values()])
    assert sorted(everything) == list(range(200))  # disjoint and complete
    for _, chosen in rows.values():
        assert np.bincount(labels[chosen]).tolist() == [len(chosen) // 2] * 2
        assert chosen.tolist() == sorted(chosen)


def test_official_splits_are_unchanged() -> None:
    targets = {"train": np.arange(60) % 3, "val": np.arange(9) % 3, "test": np.arange(6) % 3}
    rows = module().split_rows({name: {"target": labels} for name, labels in targets.items()})
    assert {name: (source, chosen.tolist()) for name, (source, chosen) in rows.items()} == {
        name: (name, list(range(len(target)))) for name, target in targets.items()
    }


def test_rows_without_a_label_are_left_out() -> None:
    labels = np.array([0, 1, -1] * 20)
    splits = {"train": {"target": labels}, "test": {"target": np.array([1, -1, 0])}}
    rows = module().split_rows(splits)
    assert rows["test"][1].tolist() == [0, 2]
    both = np.concatenate([rows["train"][1], rows["val"][1]])
    assert sorted(both) == np.flatnonzero(labels >= 0).tolist()


@pytest.mark.parametrize("name", ["val_fraction", "test_fraction"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.5])
def test_fractions_lie_between_0_and_1(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"data.{name}={value}"):
        module(**{name: value})


@pytest.mark.parametrize("count", [7, 4096, 9001])
def test_spec_against_numpy(count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count + 5, 3, 2, 4)).astype(np.uint8)
    images[:, 1] //= 3
    rows = np.sort(np.random.default_rng(1).permutation(count + 5)[:count])
    train = ArrayDataset({"input": images, "target": np.zeros(count + 5, np.int64)}, rows)
    spec = module().make_spec(train, {"classes": ["a", "b"]})
    assert isinstance(spec, ImageSpec)
    assert (spec.channels, spec.height, spec.width, spec.classes) == (3, 2, 4, ("a", "b"))
    pixels = images[rows] / 255
    assert spec.mean == pytest.approx(pixels.mean((0, 2, 3)), abs=1e-6)
    assert spec.std == pytest.approx(pixels.std((0, 2, 3)), abs=1e-6)


def test_standard_deviation_is_never_zero() -> None:
    train = ArrayDataset({"input": np.full((4, 1, 2, 2), 255, np.uint8), "target": np.zeros(4, np.int64)}, np.arange(4))
    spec = module().make_spec(train, {"classes": ["a"]})
    assert spec.mean == (1.0,)
    assert 0 < spec.std[0] < 1e-3


def test_synthetic_images_are_learnable_and_reproducible() -> None:
    images, labels = synthetic_images(60, 3, 16, 3, seed=0)
    assert images.shape == (60, 3, 16, 16)
    assert images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [20, 20, 20]
    assert np.array_equal(images, synthetic_images(60, 3, 16, 3, seed=0)[0])
    assert not np.array_equal(images, synthetic_images(60, 3, 16, 3, seed=1)[0])
    # Stripes of class 0 are vertical: all rows are similar. Mean gradients are enough to separate the classes.
    across = np.abs(np.diff(images.astype(float), axis=3)).mean((1, 2, 3))
    along = np.abs(np.diff(images.astype(float), axis=2)).mean((1, 2, 3))
    assert (across[labels == 0] > along[labels == 0]).all()
