"""scikit-learn's digits: all samples, in the official order."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sightseq.data.image.digits import Digits
from sightseq.vision.spec import ImageSpec


@pytest.fixture
def digits() -> Digits:
    data = Digits(name="digits", cache="cache")
    data.prepare_data()
    return data


def test_halves_equal_those_of_scikit_learn(digits: Digits) -> None:
    images, labels = load_digits(return_X_y=True)
    train, val, test = (digits.dataset(split) for split in ("train", "val", "test"))
    assert len(train) + len(val) == 898
    assert len(test) == 899
    assert np.array_equal(test.numpy()["target"], labels[898:])
    # The cache contains the first half as one array; train and validation are rows of it.
    assert np.array_equal(train.arrays["target"], labels[:898])
    assert sorted([*train.rows, *val.rows]) == list(range(898))
    for dataset, official in ((train, images[:898]), (val, images[:898]), (test, images[898:])):
        pixels = dataset.numpy()["input"].astype(float)
        assert np.abs(pixels * 16 / 255 - official[dataset.rows].reshape(-1, 1, 8, 8)).max() <= 16 / 255 / 2


def test_grey_levels_are_scaled_to_a_byte(digits: Digits) -> None:
    pixels = digits.dataset("train").numpy()["input"]
    assert pixels.dtype == np.uint8
    assert np.unique(pixels).tolist() == [round(level * 255 / 16) for level in range(17)]
    assert pixels.max() == 255


def test_validation_is_a_tenth_of_each_class(digits: Digits) -> None:
    _, labels = load_digits(return_X_y=True)
    counts = np.bincount(labels[:898])
    assert np.bincount(digits.dataset("val").numpy()["target"]).tolist() == [round(c * 0.1) for c in counts]


def test_spec(digits: Digits) -> None:
    spec = digits.spec
    assert isinstance(spec, ImageSpec)
    assert spec.classes == tuple("0123456789")
    assert (spec.channels, spec.height, spec.width) == (1, 8, 8)
    pixels = digits.dataset("train").numpy()["input"] / 255
    assert spec.mean == pytest.approx((pixels.mean(),), abs=1e-6)
    assert spec.std == pytest.approx((pixels.std(),), abs=1e-6)


def test_split_does_not_depend_on_the_seed_of_the_run() -> None:
    rows = []
    for seed in (1, 2):
        data = Digits(name="digits", cache="cache", seed=seed)
        data.prepare_data()
        rows.append(data.dataset("val").rows.tolist())
    assert rows[0] == rows[1]
