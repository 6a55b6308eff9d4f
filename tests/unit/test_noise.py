"""Noise: statistics, levels and random generators."""

import math

import pytest
import torch
from torch import Tensor

from sightseq.core.errors import ConfigError
from sightseq.vision.noise import JPEG, Gaussian, Mixture, Noise, Poisson, SaltAndPepper, make_noise

SHADES = torch.tensor([0.25, 1.0])[:, None, None, None].expand(2, 3, 128, 128).contiguous()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(noise: Noise, *level: float) -> Tensor:
    return noise(SHADES, torch.tensor(level), seeded())


def test_gaussian_has_the_sigma_of_each_image_and_is_not_clipped() -> None:
    found = noisy(Gaussian(), 10, 50)
    assert found.dtype == torch.float32
    deviations = (found.std((1, 2, 3)) * 255).tolist()
    assert deviations == pytest.approx([10, 50], rel=0.02)
    assert found.mean((1, 2, 3)).tolist() == pytest.approx([0.25, 1.0], abs=0.003)
    assert (found[1] > 1).float().mean().item() == pytest.approx(0.5, abs=0.01)
    difference = (found - SHADES)[0]
    assert torch.corrcoef(difference.flatten(1)).fill_diagonal_(0).abs().max() < 0.03  # channels are independent


def test_poisson_grows_with_brightness_and_has_its_sigma_at_white() -> None:
    found = noisy(Poisson(), 25, 25)
    deviations = (found.std((1, 2, 3)) * 255).tolist()
    assert deviations == pytest.approx([12.5, 25], rel=0.02)  # sigma * sqrt(brightness)
    assert found.mean((1, 2, 3)).tolist() == pytest.approx([0.25, 1.0], abs=0.003)
    photons = found * (255 / 25) ** 2  # white is 104 photons
    torch.testing.assert_close(photons, photons.round(), atol=1e-4, rtol=0)
    assert torch.equal(noisy(Poisson(), 0, 0), SHADES)
    assert Poisson()(torch.full((1, 1, 8, 8), -0.3), torch.tensor([25.0])).abs().max() == 0  # after other noise


def test_salt_and_pepper_replaces_its_percentage() -> None:
    found = noisy(SaltAndPepper(), 20, 0)
    assert (found[0] == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert (found[0] == 1).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert (found[0] == 0.25).float().mean().item() == pytest.approx(0.8, abs=0.01)
    assert torch.equal(found[1], SHADES[1])


def test_jpeg_is_worse_at_lower_quality() -> None:
    ramp = torch.linspace(0, 1, 64).expand(2, 3, 64, 64) * torch.tensor([1.0, 0.5, 0.2])[:, None, None]
    wave = (ramp + 0.3 * torch.sin(torch.arange(64.0) * 2)).clamp(0, 1)
    found = JPEG()(wave, torch.tensor([10.0, 95.0]))
    errors = (found - wave).abs().mean((1, 2, 3))
    assert errors[0] > 3 * errors[1] > 0
    torch.testing.assert_close(found * 255, (found * 255).round())
    assert JPEG()(wave[:, :1], torch.tensor([50.0, 50.0])).shape == (2, 1, 64, 64)
    assert JPEG()(wave * 3 - 1, torch.tensor([90.0, 90.0])).aminmax() == (0, 1)


@pytest.mark.parametrize(("noise", "level"), [(Gaussian(), 25.0), (Poisson(), 25.0), (SaltAndPepper(), 10.0)])
def test_random_numbers_come_from_the_generator_or_from_torch(noise: Noise, level: float) -> None:
    levels = torch.tensor([level, level])
    first, again, other = (noise(SHADES, levels, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.manual_seed(5)
    plain = noise(SHADES, levels)
    torch.manual_seed(5)
    assert torch.equal(plain, noise(SHADES, levels))


def test_a_level_is_fixed_or_uniform() -> None:
    assert Gaussian(25).draw_level(3).tolist() == [25, 25, 25]
    drawn = Gaussian((10, 50)).draw_level(4000, seeded())
    assert 10 <= drawn.min() < 10.2
    assert 49.8 < drawn.max() <= 50
    assert drawn.mean().item() == pytest.approx(30, abs=0.6)
    assert drawn.std().item() == pytest.approx(40 / math.sqrt(12), rel=0.03)
    assert torch.equal(drawn, Gaussian((10, 50)).draw_level(4000, seeded()))


@pytest.mark.parametrize(
    ("brick", "words"),
    [
        (
            {"sigma": -1},
            r"Gaussian: sigma=-1\.0 must be a number from 0 to 255, or a range \[low, high\] within these bounds",
        ),
        ({"sigma": [50, 10]}, r"Gaussian: sigma=\(50\.0, 10\.0\) must be a number"),
        ({"sigma": [0, 10, 20]}, r"data\.noise\.one\.sigma=\[0, 10, 20\] does not fit Gaussian"),
        ({"sigma": "strong"}, r"data\.noise\.one\.sigma='strong' does not fit Gaussian"),
        ({"percent": 3}, r"data\.noise\.one\.percent: Gaussian takes no such argument"),
        ({"_target_": "torch.nn.Dropout"}, "is not a class of kind Noise"),
        (
            {"_target_": "sightseq.vision.noise.JPEG", "quality": 0},
            r"JPEG: quality=0\.0 must be a number from 1 to 100",
        ),
        ({"_target_": "sightseq.vision.noise.SaltAndPepper", "percent": 101}, "from 0 to 100"),
    ],
)
def test_invalid_levels_are_refused(brick: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_noise({"one": {"_target_": "sightseq.vision.noise.Gaussian", **brick}})


def test_a_mixture_applies_its_noises_in_order() -> None:
    names = ("SaltAndPepper", "Gaussian")
    mixture = make_noise({name: {"_target_": f"sightseq.vision.noise.{name}"} for name in names})
    levels = mixture.draw_levels(2, seeded())
    assert levels.tolist() == [[10, 25], [10, 25]]
    assert isinstance(mixture.first, SaltAndPepper)
    generator = seeded(3)
    lost = SaltAndPepper()(SHADES, levels[:, 0], generator)
    assert torch.equal(mixture(SHADES, levels, seeded(3)), Gaussian()(lost, levels[:, 1], generator))


def test_an_empty_mixture_changes_nothing() -> None:
    mixture = Mixture({})
    assert mixture.first is None
    assert mixture.draw_levels(2).shape == (2, 0)
    assert torch.equal(mixture(SHADES, mixture.draw_levels(2)), SHADES)
