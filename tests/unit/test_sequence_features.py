"""First layers and augmentation of sequences, by hand."""

import math

import pytest
import torch

from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.series.augment import Crop, Dropout, Jitter, Rotate, Scale, SequenceAugmentation, TimeWarp
from sightseq.series.features import Standardise
from sightseq.series.keypoints import KeyPoints

NAN = float("nan")
LENGTH = torch.tensor([3, 2])


def test_standardise_by_hand() -> None:
    layer = Standardise(mean=(1.0, 2.0), std=(2.0, 4.0), differences=10.0)
    values = torch.tensor([[[3.0, NAN], [5.0, 6.0], [7.0, 10.0]], [[1.0, 2.0], [NAN, NAN], [9.0, 9.0]]])
    found = layer(values, LENGTH)
    assert layer.width == found.shape[2] == 6
    assert found[0].tolist() == [[1, 0, 0, 1, 0, 0], [2, 1, 0, 0, 10, 0], [3, 2, 0, 0, 10, 10]]
    assert found[1].tolist() == [[0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]]  # the last is padding
    assert Standardise((1.0,), (2.0,), mask=False).width == 1


CHANNELS = tuple(f"{point}_{axis}" for point in ("pose_0", "pose_1", "pose_2", "hand_0", "hand_1") for axis in "xy")


def key_points(**options: object) -> KeyPoints:
    mean = tuple(float(number) for number in range(10))
    return KeyPoints(CHANNELS, mean, ("pose_0", "pose_1"), {"hand": ("hand_0", "hand_1")}, **options)


def test_key_points_by_hand() -> None:
    layer = key_points(leave_out=["pose_2"])
    # Shoulders at (0, 0) and (4, 0): origin (2, 0), unit 4. Wrist at (6, 0), knuckle at (6, 2).
    frame = [0.0, 0, 4, 0, 99, 99, 6, 0, 6, 2]
    values = torch.tensor([[frame, [*frame[:6], *[NAN] * 4]]])
    found = layer(values, torch.tensor([2]))
    assert layer.width == found.shape[2] == 8 + 2 + 4
    assert found[0, 0].tolist() == [-0.5, 0, 0.5, 0, 1, 0, 1, 0.5, 0, 0, 0, 0, 0, 1]
    assert found[0, 1].tolist() == [-0.5, 0, 0.5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]  # the hand is missing


def test_key_points_do_not_depend_on_place_and_size() -> None:
    torch.manual_seed(0)
    layer, values, length = key_points(differences=2.0), torch.randn(2, 5, 10), torch.tensor([5, 4])
    values[1, 2] = NAN
    moved = values * 3 + torch.tensor([7.0, -2.0]).repeat(5)
    torch.testing.assert_close(layer(moved, length), layer(values, length))
    nobody = layer(torch.full((1, 3, 10), NAN), torch.tensor([3]))
    assert nobody.isfinite().all()


def test_wrong_key_points_are_refused() -> None:
    with pytest.raises(ConfigError, match="no point 'pose_9'"):
        KeyPoints(CHANNELS, (0.0,) * 10, ("pose_9", "pose_1"))
    with pytest.raises(ConfigError, match="POINT_x and POINT_y"):
        KeyPoints(("acc_x", "acc_y", "acc_z"), (0.0,) * 3)


def batch(steps: int = 40, channels: int = 3) -> Batch:
    torch.manual_seed(0)
    length = torch.tensor([steps, steps - 7, 1])
    values = torch.linspace(0, 5, steps)[None, :, None] + torch.randn(3, 1, channels)
    return {"input": values * (torch.arange(steps) < length[:, None])[..., None], "length": length}


AUGMENTATIONS = [
    Jitter(std=(1.0, 2.0, 3.0)),
    Scale(),
    Rotate(("ax", "ay", "az")),
    TimeWarp(),
    Crop(0.5),
    Dropout(0.3, 0.5),
]


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda one: type(one).__name__)
def test_augmentations_change_training_batches_only(augmentation: SequenceAugmentation) -> None:
    given = batch()
    assert augmentation.eval()(given)["input"] is given["input"]
    found = augmentation.train()(given)
    padding = torch.arange(found["input"].shape[1]) >= found["length"][:, None]
    assert (found["input"][padding] == 0).all()
    assert found["length"].min() >= 1
    same_shape = found["input"].shape == given["input"].shape
    assert not same_shape or not torch.equal(found["input"], given["input"])


def test_missing_values_stay_missing() -> None:
    given = batch()
    given["input"][:, 0] = NAN
    for augmentation in AUGMENTATIONS[:4]:
        found = augmentation(given)["input"]
        assert found[0, 0].isnan().all()
        assert not found[0, 3:].isnan().any()


def test_rotation_keeps_lengths_of_vectors_and_turns_them() -> None:
    given = batch()
    found = Rotate(("ax", "ay", "az"), degrees=90)(given)["input"]
    torch.testing.assert_close(found.norm(dim=2), given["input"].norm(dim=2), atol=1e-4, rtol=1e-4)
    plane = Rotate(("p_x", "p_y", "other"), degrees=30)(given)["input"]
    assert torch.equal(plane[..., 2], given["input"][..., 2])
    turned = torch.atan2(plane[0, 5, 1], plane[0, 5, 0]) - torch.atan2(given["input"][0, 5, 1], given["input"][0, 5, 0])
    assert 0 < abs(float(turned)) <= math.radians(30) + 1e-5
    with pytest.raises(ConfigError, match="nothing to rotate"):
        Rotate(("heart_rate",))


def test_time_warp_interpolates_between_the_ends() -> None:
    given = batch()
    found = TimeWarp(factor=1.5)(given)
    for row in range(3):
        length = int(found["length"][row])
        values = found["input"][row, :length, 0]
        assert values[0] == given["input"][row, 0, 0]
        assert values.diff().min() >= 0 if length > 1 else True  # a line stays a monotone line
    assert int(found["length"][2]) >= 1
    assert found["length"][0] != 40
