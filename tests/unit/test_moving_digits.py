"""Videos of moving digits: their motion, classes and splits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sightseq.core.errors import ConfigError
from sightseq.data.video.moving_digits import MOTIONS, MovingDigits, moving


@pytest.fixture(scope="module")
def real(tmp_path_factory: Any) -> MovingDigits:
    data = MovingDigits(name="moving_digits", cache=str(tmp_path_factory.mktemp("cache")), frames=4, batch_size=50)
    data.prepare_data()
    return data


def test_a_digit_leaves_at_one_side_and_enters_at_the_opposite_one() -> None:
    image = np.zeros((8, 8), np.uint8)
    image[0, 0] = 200  # 2 x 2 pixels of a frame
    start, step = np.array([3, 30]), np.array(MOTIONS["up-right, slow"])
    video = moving(image, start, step, frames=4, size=32)
    assert video.shape == (4, 1, 32, 32)
    assert video.dtype == np.uint8
    found = [sorted(zip(*np.nonzero(frame[0]), strict=True)) for frame in video]
    assert found[0] == [(3, 30), (3, 31), (4, 30), (4, 31)]
    assert found[1] == [(2, 0), (2, 31), (3, 0), (3, 31)]
    assert found[3] == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_motions_are_the_labels_of_what_is_seen(real: MovingDigits) -> None:
    batch = real.dataset("test")[:20]
    steps = list(MOTIONS.values())
    for clip, label in zip(batch["input"].numpy(), batch["target"].tolist(), strict=True):
        for before, after in zip(clip[:-1, 0], clip[1:, 0], strict=True):
            np.testing.assert_array_equal(np.roll(before, steps[label], (0, 1)), after)
    assert batch["length"].tolist() == [4] * 20


def test_all_digits_are_used_and_none_is_in_two_splits(real: MovingDigits) -> None:
    splits = {name: real.dataset(name).numpy() for name in ("train", "val", "test")}
    images = {name: set(split["group"].tolist()) for name, split in splits.items()}
    assert set.union(*images.values()) == set(range(1797))
    assert sum(map(len, images.values())) == 1797
    labels = load_digits().target
    for split in splits.values():
        np.testing.assert_array_equal(split["digit"], labels[split["group"]])
        pairs = set(zip(split["group"].tolist(), split["target"].tolist(), strict=True))
        assert len(pairs) == len(split["group"])  # the motions of an image differ


def test_digits_as_classes(tmp_path: Path) -> None:
    data = MovingDigits(name="moving_digits", cache=str(tmp_path), frames=2, motions=1, target="digit")
    data.prepare_data()
    batch = data.dataset("val")[:30]
    assert data.spec.classes == tuple("0123456789")
    assert batch["target"].tolist() == batch["digit"].tolist()
    assert sum(data.spec.counts) == len(data.dataset("train"))


def test_statistics_are_those_of_the_training_frames(real: MovingDigits) -> None:
    train = real.dataset("train")
    pixels = train.numpy()["input"] / 255
    assert real.spec.mean[0] == pytest.approx(pixels.mean(), abs=1e-3)
    assert real.spec.std[0] == pytest.approx(pixels.std(), abs=1e-3)


@pytest.mark.parametrize("wrong", [{"image_size": 10}, {"motions": 0}, {"motions": 17}, {"frames": 0}])
def test_wrong_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"data.{next(iter(wrong))}="):
        MovingDigits(name="moving_digits", **wrong)
