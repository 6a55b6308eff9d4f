"""Augmentation of sounds: padding stays 0, ratios and lengths are right, and every sound gets its own numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from sightseq.audio.augment import (
    BackgroundNoise,
    Filter,
    Gain,
    Noise,
    SpecAugment,
    SpectrogramAugmentation,
    Speed,
    TimeShift,
    WaveAugmentation,
)
from sightseq.core.errors import ConfigError

WAVES: dict[str, Callable[[], WaveAugmentation]] = {
    "shift": lambda: TimeShift(8000, 0.05),
    "gain": Gain,
    "noise": lambda: Noise(p=1),
    "voices": lambda: BackgroundNoise(8000, p=1),
    "speed": lambda: Speed(1.2),
    "filter": lambda: Filter(8000, p=1),
}
LENGTHS = torch.tensor([1600, 1200, 1, 0, 900, 1600])


def batch() -> dict[str, Tensor]:
    waves = torch.rand(6, 1600, generator=torch.Generator().manual_seed(1)) - 0.5
    return {"input": waves * (torch.arange(1600) < LENGTHS[:, None]), "length": LENGTHS, "target": torch.arange(6)}


def decibel(signal: Tensor, noise: Tensor) -> float:
    return 10 * float((signal.square().sum() / noise.square().sum()).log10())


@pytest.mark.parametrize("name", WAVES)
def test_waveforms(name: str) -> None:
    augment, given = WAVES[name](), batch()
    assert augment.eval()(given) is given
    found = augment.train()(given)
    assert torch.equal(given["input"], batch()["input"])  # not in place
    assert found["input"].dtype == torch.float32
    assert found["input"].isfinite().all()
    assert torch.equal(found["target"], given["target"])
    beyond = torch.arange(found["input"].shape[1]) >= found["length"][:, None]
    assert not found["input"][beyond].any()
    if name != "speed":
        assert torch.equal(found["length"], LENGTHS)
        assert found["input"].shape == given["input"].shape
        assert not torch.equal(found["input"][0], given["input"][0])
    twice = []
    for _ in range(2):
        torch.manual_seed(7)
        twice.append(augment(given)["input"])
    assert torch.equal(*twice)


def test_time_shift_moves_within_the_length() -> None:
    given = {"input": torch.arange(1.0, 9).repeat(200, 1), "length": torch.tensor([8, 6] * 100)}
    given["input"][1::2, 6:] = 0
    found = TimeShift(10, 0.3)(given)["input"]
    moves = set()
    for row, length in zip(found.tolist(), given["length"].tolist(), strict=True):
        move = next(m for m in range(-3, 4) if row[max(0, m)] == max(1 - m, 1))
        expected = [n - move if 1 <= n - move <= length and n <= length else 0 for n in range(1, 9)]
        assert row == expected
        moves.add(move)
    assert moves == set(range(-3, 4))


def test_gain_is_in_decibel() -> None:
    given = batch()
    ratios = Gain(6)({**given, "input": given["input"].repeat(50, 1)})["input"][::6] / given["input"][0]
    gains = 20 * ratios.mean(1).log10()
    assert -6 <= gains.min() < -5
    assert 5 < gains.max() <= 6


def test_noise_has_the_ratio_and_a_falling_spectrum() -> None:
    waves = torch.sin(torch.arange(8000.0) / 3).repeat(64, 1)
    given = {"input": waves, "length": torch.full((64,), 8000)}
    added = Noise(20, 20, p=1)(given)["input"] - waves
    assert [decibel(wave, noise) for wave, noise in zip(waves, added, strict=True)] == pytest.approx([20] * 64, abs=0.1)
    power = torch.fft.rfft(added).abs().square()
    octaves = power[:, 100:200].sum(1) / power[:, 2000:4000].sum(1)  # pink: as much power in every octave
    assert ((octaves > 0.5) | (octaves < 0.1)).all()
    assert 15 < (octaves > 0.5).sum() < 50
    half = (Noise(20, 20, p=0.5)(given)["input"] != waves).any(1).float().mean()
    assert 0.3 < half < 0.7


def test_background_recordings_are_mixed_in(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hum.wav", np.full(16000, 0.25), 16000)
    augment = BackgroundNoise(8000, str(tmp_path), 10, 10, p=1)
    given = batch()
    added = augment(given)["input"] - given["input"]
    assert decibel(given["input"][0], added[0]) == pytest.approx(10, abs=0.1)
    assert added[0].std() < 0.02 * added[0].mean()  # a constant, but for the ends of the recording
    with pytest.raises(ConfigError, match="contains no recordings"):
        BackgroundNoise(8000, str(tmp_path / "other"))(given)


def test_speed_changes_pitch_and_length() -> None:
    waves = torch.sin(2 * torch.pi * 500 * torch.arange(8000) / 8000).repeat(100, 1)
    given = {"input": waves, "length": torch.full((100,), 8000)}
    torch.manual_seed(5)
    found = Speed(1.25)(given)
    torch.manual_seed(5)
    speeds = 1.25 ** (2 * torch.rand(100, 1) - 1)
    lengths = found["length"]
    assert 6400 <= lengths.min() < 6600
    assert 9700 < lengths.max() <= 10000
    assert found["input"].shape[1] == lengths.max()
    expected = torch.sin(2 * torch.pi * 500 * speeds * torch.arange(lengths.max()) / 8000)
    for wave, tone, length in zip(found["input"], expected, lengths.tolist(), strict=True):
        torch.testing.assert_close(wave[10 : length - 10], tone[10 : length - 10], atol=0.03, rtol=0)


def test_masks_lie_within_the_length() -> None:
    frames = torch.tensor([50, 20, 1, 3] * 50)
    features = torch.ones(200, 1, 40, 50) * (torch.arange(50) < frames[:, None])[:, None, None]
    given = {"features": features, "feature_length": frames}
    augment: SpectrogramAugmentation = SpecAugment(frequency=6, time=8, masks=1, longest=0.2)
    assert augment.eval()(given) is given
    found = augment.train()(given)["features"]
    hidden = (features == 1) & (found == 0)
    assert torch.equal(found, features * ~hidden)
    bands, times = hidden[:, 0, :, 0].sum(1), hidden[:, 0].all(1).sum(1)
    assert bands[frames == 50].max() == 6
    assert times[frames == 50].max() == 8
    assert times[frames == 20].max() == 4  # a fifth
    assert times[frames < 5].max() == 0
    assert (found.sum((1, 2, 3)) > 0).all()
    both = SpecAugment(frequency=6, time=8, masks=2, longest=0.2)(given)["features"]
    assert both.sum() < found.sum()


def test_filter_changes_each_frequency_within_its_limit() -> None:
    torch.manual_seed(0)
    waves = torch.randn(8, 4000)
    found = Filter(8000, decibel=6.0, points=3, p=1.0).train()({"input": waves, "length": torch.full((8,), 4000)})
    gains = 20 * (torch.fft.rfft(found["input"]).abs() / torch.fft.rfft(waves).abs()).log10()
    assert gains.abs().max() < 6.01
    assert gains[:, 50:].std(1).min() > 0.1  # not the same for all frequencies
    assert gains.diff(dim=1).abs().max() < 0.1  # smooth
    assert gains.std(0).min() > 0.5  # another curve for each sound
