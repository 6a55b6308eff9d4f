"""Augmentation: shapes and ranges are kept, and every image gets its own random numbers."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sightseq.core.errors import ConfigError
from sightseq.vision.augment import Affine, Colour, Erase, Flip, Mix, ResizedCrop, Shift
from sightseq.vision.augmentation import take_centre

ALL: dict[str, Callable[[], nn.Module]] = {
    "flip": Flip,
    "shift": lambda: Shift(3),
    "reflect": lambda: Shift(2, "reflect"),
    "affine": lambda: Affine(20, 0.2, 10, 0.1),
    "erase": lambda: Erase(1.0),
    "colour": Colour,
}
every = pytest.mark.parametrize("name", ALL)


def images(count: int = 64, channels: int = 3, height: int = 9, width: int = 11) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(3))


def apply(augmentation: nn.Module) -> Callable[[Tensor], Tensor]:
    """A function that applies an augmentation to images only."""
    return lambda batch: augmentation({"input": batch})["input"]


def mixed(mix: Mix, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mixed images, each image's partner [B] and own fraction [B]; the target of an image is its index."""
    found = mix({"input": batch, "target": torch.arange(len(batch))})
    share = found["soft_target"].diagonal()
    partner = found["soft_target"].clone().fill_diagonal_(0).argmax(1)
    return found["input"], torch.where(share == 1, torch.arange(len(batch)), partner), share


@pytest.fixture
def highest(monkeypatch: pytest.MonkeyPatch) -> None:
    """All random numbers have their highest value."""
    real = torch.rand

    def rand(*shape: int, generator: torch.Generator | None = None, device: object = None) -> Tensor:
        return real(*shape, generator=generator) if generator else torch.ones(*shape)

    monkeypatch.setattr(torch, "rand", rand)


@every
def test_identity_in_eval_mode(name: str) -> None:
    batch = images()
    assert torch.equal(apply(ALL[name]().eval())(batch), batch)


@every
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (5, 3, 9, 14), (2, 4, 12, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_range_are_kept(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    batch = images(*shape).to(dtype)
    before = batch.clone()
    found = apply(ALL[name]())(batch)
    assert found.shape == batch.shape
    assert found.dtype == dtype
    assert 0 <= found.min() <= found.max() <= 1 + 1e-6
    assert torch.equal(batch, before)  # not in place


@every
def test_follows_torchs_seed(name: str) -> None:
    augment = ALL[name]()
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(apply(augment)(images()))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@every
def test_images_of_a_batch_get_different_random_numbers(name: str) -> None:
    same = images(1).expand(64, -1, -1, -1)
    torch.manual_seed(0)
    different = {tuple(image.flatten().tolist()) for image in apply(ALL[name]())(same)}
    assert len(different) >= (2 if name == "flip" else 20)


def test_flip_mirrors_about_half_exactly() -> None:
    batch = images(1000, 1, 4, 5)
    torch.manual_seed(0)
    found = apply(Flip())(batch)
    mirrored = (found == batch.flip(-1)).flatten(1).all(1)
    kept = (found == batch).flatten(1).all(1)
    assert torch.equal(mirrored, ~kept)
    assert 440 < int(mirrored.sum()) < 560  # 500 ± 3.8 standard deviations


@pytest.mark.parametrize(("p", "share"), [(0.0, 0), (1.0, 1), (0.1, 0.1)])
def test_flip_probability(p: float, share: float) -> None:
    batch = images(1000, 1, 4, 5)
    torch.manual_seed(0)
    mirrored = (apply(Flip(p))(batch) == batch.flip(-1)).flatten(1).all(1)
    assert mirrored.float().mean().item() == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_shift_moves_by_whole_pixels_within_its_range(mode: str) -> None:
    pixels, h, w = 2, 6, 7
    batch = images(400, 2, h, w)
    torch.manual_seed(0)
    found = apply(Shift(pixels, mode))(batch).numpy()
    padded = np.pad(batch.numpy(), ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode=mode)
    seen: dict[tuple[int, int], int] = {}
    for image, whole in zip(found, padded, strict=True):
        moves = [
            (y, x)
            for y in range(2 * pixels + 1)
            for x in range(2 * pixels + 1)
            if np.array_equal(image, whole[:, y : y + h, x : x + w])
        ]
        assert len(moves) == 1
        seen[moves[0]] = seen.get(moves[0], 0) + 1
    assert len(seen) == 25  # every shift, each about equally often: 16 ± 4
    assert max(seen.values()) < 36


def test_shift_by_nothing_is_the_identity() -> None:
    assert torch.equal(apply(Shift(0))(images()), images())


def test_affine_without_ranges_is_the_identity() -> None:
    assert torch.allclose(apply(Affine(0, 0, 0, 0))(images()), images(), atol=1e-5)


@pytest.mark.usefixtures("highest")
def test_affine_rotates_counterclockwise() -> None:
    square = images(2, 3, 8, 8)
    assert torch.allclose(apply(Affine(90, 0, 0, 0))(square), torch.rot90(square, 1, (2, 3)), atol=1e-5)
    assert torch.allclose(apply(Affine(180, 0, 0, 0))(images()), images().flip(2, 3), atol=1e-5)


@pytest.mark.usefixtures("highest")
@pytest.mark.parametrize(("height", "width"), [(5, 9), (9, 5)])
def test_affine_rotates_pixels_also_where_the_image_is_not_square(height: int, width: int) -> None:
    batch = images(2, 1, height, width)
    cut = (
        slice(None),
        slice(None),
        slice((height - 5) // 2, (height + 5) // 2),
        slice((width - 5) // 2, (width + 5) // 2),
    )
    found = apply(Affine(90, 0, 0, 0))(batch)
    assert torch.allclose(found[cut], torch.rot90(batch[cut], 1, (2, 3)), atol=1e-5)
    found[cut] = 0
    assert found.abs().max() == 0  # black beyond the image


@pytest.mark.usefixtures("highest")
def test_affine_moves_by_a_fraction_of_the_image() -> None:
    batch = images(2, 1, 8, 12)
    found = apply(Affine(0, 0, 0, 0.25))(batch)
    expected = torch.zeros_like(batch)
    expected[:, :, :6, :9] = batch[:, :, 2:, 3:]
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.usefixtures("highest")
def test_affine_scales_about_the_centre() -> None:
    batch = images(1, 1, 8, 8)
    found = apply(Affine(0, 1.0, 0, 0))(batch)  # sampled at twice the distance: half the size
    inner = batch.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))  # the mean of four pixels
    assert torch.allclose(found[:, :, 2:6, 2:6], inner, atol=1e-5)


@pytest.mark.usefixtures("highest")
def test_affine_shears_rows() -> None:
    batch = images(1, 1, 7, 7)
    found = apply(Affine(0, 0, 45, 0))(batch)
    expected = torch.zeros_like(batch)
    for y in range(7):  # each row shifts by its distance from the centre, since tan(45 degrees) = 1
        for x in range(7):
            if 0 <= x + y - 3 < 7:
                expected[:, :, y, x] = batch[:, :, y, x + y - 3]
    assert torch.allclose(found, expected, atol=1e-5)


def test_affine_rotates_within_its_range() -> None:
    bar = torch.zeros(200, 1, 33, 33)
    bar[:, :, 16, :] = 1
    torch.manual_seed(0)
    found = apply(Affine(30, 0, 0, 0))(bar)
    y, x = torch.meshgrid(torch.arange(33) - 16.0, torch.arange(33) - 16.0, indexing="ij")
    xx, yy, xy = ((found[:, 0] * t).sum((1, 2)) for t in (x * x, y * y, x * y))
    degrees = 0.5 * torch.atan2(2 * xy, xx - yy) * 180 / math.pi
    assert degrees.abs().max() < 30.5
    assert degrees.max() > 25
    assert degrees.min() < -25


def test_erase_fills_a_rectangle_within_bounds() -> None:
    h, w = 20, 30
    torch.manual_seed(0)
    found = apply(Erase(1.0, smallest=0.2, largest=0.6))(torch.ones(300, 3, h, w))
    grey = found == 0.5
    assert torch.equal(grey[:, 0], grey[:, 1])
    assert torch.equal(found[~grey], torch.ones_like(found[~grey]))
    heights, widths = grey[:, 0].any(2).sum(1), grey[:, 0].any(1).sum(1)
    assert torch.equal(grey[:, 0].sum((1, 2)), heights * widths)  # a full rectangle
    assert 0.2 * h - 1 <= int(heights.min()) < 6
    assert 10 < int(heights.max()) <= 0.6 * h + 1
    assert 0.2 * w - 1 <= int(widths.min()) < 9
    assert 16 < int(widths.max()) <= 0.6 * w + 1
    assert bool(grey[:, 0, 0].any())  # the border can be erased too
    assert bool(grey[:, 0, -1].any())


@pytest.mark.parametrize(("p", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_erase_probability(p: float, share: float) -> None:
    torch.manual_seed(0)
    found = apply(Erase(p))(torch.ones(1000, 1, 16, 16))
    assert (found == 0.5).flatten(1).any(1).float().mean().item() == pytest.approx(share, abs=0.05)


def test_elastic_bends_smoothly_and_within_its_range() -> None:
    ramp = torch.linspace(0, 1, 32).expand(64, 1, 32, 32)  # the value of a pixel is its position
    torch.manual_seed(0)
    moved = apply(Affine(0, 0, 0, 0, elastic=0.1))(ramp) - ramp
    inner = moved[:, :, 8:-8, 8:-8]
    assert 0.03 < inner.abs().max() <= 0.1 * 1.3  # bicubic interpolation overshoots slightly
    assert (inner.diff(dim=3).abs() < 0.05).all()
    assert not torch.equal(moved[0], moved[1])


def test_resized_crop_has_the_requested_size() -> None:
    batch = images(5, 3, 20, 24)
    assert apply(ResizedCrop((9, 7)))(batch).shape == (5, 3, 9, 7)
    assert torch.equal(apply(ResizedCrop((9, 7)).eval())(batch), batch)  # the centre crop follows later


def test_resized_crop_of_the_whole_image_is_the_identity() -> None:
    batch = images(8)
    found = apply(ResizedCrop((9, 11), smallest=1, stretch=1))(batch)
    torch.testing.assert_close(found, batch, rtol=0, atol=1e-5)


def test_resized_crop_stays_inside_and_has_areas_within_its_range() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    batch = torch.stack([y, x]).expand(500, 2, 64, 64)  # the value of a pixel is its position
    torch.manual_seed(0)
    found = apply(ResizedCrop((64, 64), smallest=0.25, stretch=4 / 3))(batch)
    height = found[:, 0, -1, 0] - found[:, 0, 0, 0]
    width = found[:, 1, 0, -1] - found[:, 1, 0, 0]
    area = height * width
    assert 0.2 < area.min() < 0.3
    assert 0.9 < area.max() <= 1.0001
    assert 0.55 < area.mean() < 0.67  # uniform between 1/4 and 1
    assert 0.7 < (height / width).min() < 0.85
    assert 1.2 < (height / width).max() < 1.4
    assert found[:, 0, :, 0].diff(dim=1).std() > 0  # the positions differ


@pytest.mark.parametrize("arguments", [{"smallest": 0}, {"smallest": 1.1}, {"stretch": 0.5}])
def test_resized_crop_refuses(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="smallest="):
        ResizedCrop((8, 8), **arguments)


def test_colour_by_hand(highest: None) -> None:
    batch = torch.tensor([0.2, 0.4, 0.3]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    brighter = apply(Colour(0.5, 0, 0))(batch)
    torch.testing.assert_close(brighter[0, :, 0, 0], torch.tensor([0.3, 0.6, 0.45]))
    contrast = apply(Colour(0, 1, 0))(batch)  # twice as far from the mean of 0.3
    torch.testing.assert_close(contrast[0, :, 0, 0], torch.tensor([0.1, 0.5, 0.3]))
    grey = torch.full((1, 1, 2, 2), 0.25)
    torch.testing.assert_close(apply(Colour(0, 0, 1))(grey), grey)  # grey has no saturation


def test_mix_returns_partners_and_fractions() -> None:
    """Each image has one constant value, so the mean of a mixed image follows from the fractions."""
    values = torch.arange(200.0) / 200
    batch = values.view(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    for mix in (Mix(200, 1.0, 0.0, 1.0), Mix(200, 0.0, 1.0, 1.0), Mix(200, 0.4, 0.4, 0.5)):
        torch.manual_seed(1)
        found, partner, share = mixed(mix, batch)
        assert 0 <= share.min() < 0.3
        assert 0.9 < share.max() <= 1
        torch.testing.assert_close(found.mean((1, 2, 3)), share * values + (1 - share) * values[partner])


def test_mixup_blends_and_cutmix_pastes() -> None:
    batch = torch.cat([torch.zeros(50, 1, 8, 8), torch.ones(50, 1, 8, 8)])
    torch.manual_seed(0)
    blended, _, _ = mixed(Mix(100, 1.0, 0.0, 1.0), batch)
    assert torch.equal(blended.amin((1, 2, 3)), blended.amax((1, 2, 3)))  # all pixels are equal
    assert ((blended > 0.01) & (blended < 0.99)).any()
    pasted, _, share = mixed(Mix(100, 0.0, 1.0, 1.0), batch)
    assert set(pasted.unique().tolist()) == {0.0, 1.0}
    assert share.unique().numel() > 20


def test_mix_leaves_the_given_fraction_unchanged() -> None:
    torch.manual_seed(0)
    _, _, share = mixed(Mix(2000, 0.1, 0.2, 1.0), torch.rand(2000, 1, 8, 8))
    assert 0.67 < (share == 1).float().mean() < 0.76  # 0.7, and rectangles that contain no pixel
    batch = {"input": images(), "target": torch.zeros(64)}
    assert Mix(1, 1.0).eval()(batch) is batch


def test_mix_can_be_applied_twice() -> None:
    batch = {"input": images(4), "target": torch.arange(4)}
    torch.manual_seed(0)
    twice = Mix(4, 1.0)(Mix(4, 1.0)(batch))
    torch.testing.assert_close(twice["soft_target"].sum(1), torch.ones(4))
    torch.testing.assert_close(twice["input"], torch.einsum("bo,ochw->bchw", twice["soft_target"], batch["input"]))
    assert twice["target"] is batch["target"]


def test_mix_refuses_targets_that_are_not_labels() -> None:
    with pytest.raises(ConfigError, match="Mix needs one label per image"):
        Mix(3)({"input": images(), "target": torch.zeros(64, 9, 11, dtype=torch.int64)})


@pytest.mark.parametrize("arguments", [(0.6, 0.6, 1.0), (-0.1, 0.5, 1.0), (0.5, 0.5, 0.0)])
def test_mix_refuses(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be fractions that sum to at most 1"):
        Mix(3, *arguments)


# Masks and target images move with the pixels

MOVING: dict[str, Callable[[], nn.Module]] = {
    "flip": Flip,
    "shift": lambda: Shift(3),
    "reflect": lambda: Shift(2, "reflect"),
    "affine": lambda: Affine(30, 0.2, 10, 0.1, 0.05),
    "crop": lambda: ResizedCrop((7, 8)),
}


def moving_batch(count: int = 16) -> dict[str, Tensor]:
    """Smooth images and masks of their bright pixels; interpolation hardly changes the edges."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 36), torch.linspace(0, 1, 44), indexing="ij")
    phase = torch.rand(count, 1, 1, generator=torch.Generator().manual_seed(1))
    input = ((torch.sin(5 * x + 4 * y + 6 * phase) + 1.5) / 2.5)[:, None]  # at least 0.2
    batch = {"input": input, "mask": (input[:, 0] > 0.6).long(), "target": input.clone(), "index": torch.arange(count)}
    return {**batch, "weight": torch.rand(count, 3, 5)}  # a column of another size


@pytest.mark.parametrize("name", MOVING)
def test_masks_and_targets_move_with_the_pixels(name: str) -> None:
    batch = moving_batch()
    torch.manual_seed(0)
    found = MOVING[name]()(batch)
    images, mask = found["input"][:, 0], found["mask"]
    assert not torch.equal(images, batch["input"][:, 0])
    torch.testing.assert_close(found["target"], found["input"])  # the same random numbers
    assert (mask.shape, mask.dtype) == (images.shape, torch.int64)
    assert set(mask.unique().tolist()) <= {-1, 0, 1}  # no interpolated class, and -1 beyond the image
    sure = (images - 0.6).abs() > 0.1
    assert ((mask == 1) == (images > 0.6))[sure].float().mean() > 0.98  # an image is darker at its edges
    outside = mask == -1
    assert outside.any() == (name in ("shift", "affine"))
    assert not images[outside].gt(0.6).any()
    assert found["weight"] is batch["weight"]
    assert found["index"] is batch["index"]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool])
def test_unsigned_masks_are_0_beyond_the_image(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    found = Shift(3)({"input": images(), "mask": torch.ones(64, 9, 11, dtype=dtype)})["mask"]
    assert found.dtype == dtype
    assert set(found.int().unique().tolist()) == {0, 1}


def test_the_random_numbers_do_not_depend_on_other_columns() -> None:
    batch = moving_batch()
    found = []
    for names in (["input"], ["input", "mask", "target"]):
        torch.manual_seed(0)
        found.append(Affine()({name: batch[name] for name in names})["input"])
    assert torch.equal(found[0], found[1])


def test_colour_changes_leave_masks_unchanged() -> None:
    batch = moving_batch()
    for augment in (Colour(), Erase(1.0)):
        found = augment(batch)
        assert not torch.equal(found["input"], batch["input"])
        assert found["mask"] is batch["mask"]


def test_augmentations_that_move_pixels_refuse_boxes() -> None:
    batch = {"input": images(), "boxes": torch.zeros(64, 2, 4)}
    with pytest.raises(ConfigError, match="Flip cannot move boxes, only images and masks; leave it out"):
        Flip()(batch)
    assert Colour()(batch)["boxes"] is batch["boxes"]


def test_masks_are_centre_cropped_too() -> None:
    batch = {"input": images(), "mask": torch.arange(64 * 9 * 11).view(64, 9, 11), "target": torch.arange(64)}
    found = take_centre(batch, 5, 7)
    assert torch.equal(found["input"], batch["input"][..., 2:7, 2:9])
    assert torch.equal(found["mask"], batch["mask"][:, 2:7, 2:9])
    assert found["target"] is batch["target"]
