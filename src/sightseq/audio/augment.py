"""Augmentation of whole batches of sounds on the device, with different random numbers for each sound.

`WaveAugmentation`s change waveforms, `SpectrogramAugmentation`s the features computed from them. Each takes and returns
a batch, draws from torch's default generator, and is the identity in eval mode. Padding stays 0.
"""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sightseq.audio.files import audio_files, read_audio
from sightseq.core.augmentation import Augmentation
from sightseq.core.download import own_path
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch

LONGEST_POOL = 600  # seconds of background recordings in memory
QUIET = 1e-4  # a sound whose root mean square is lower counts as this loud (-80 dB): silence gets some noise


class WaveAugmentation(Augmentation):
    """Changes `input`, float waveforms [B, N] in about -1..1 padded with 0, and `length` [B] if it differs then."""


class SpectrogramAugmentation(Augmentation):
    """Changes `features` [B, C, F, T], 0 beyond their `feature_length` [B]."""


class TimeShift(WaveAugmentation):
    """Move each sound within its length; what leaves it is lost, and the rest is 0.

    Args:
        rate: samples per second, in Hz.
        seconds: largest move in either direction.
    """

    def __init__(self, rate: int, seconds: float = 0.1) -> None:
        super().__init__()
        self.samples = round(seconds * rate)

    def transform(self, batch: Batch) -> Batch:
        waves, length = batch["input"], batch["length"]
        moves = torch.randint(-self.samples, self.samples + 1, (len(waves), 1), device=waves.device)
        places = torch.arange(waves.shape[1], device=waves.device) - moves  # [B, N]
        real = (places >= 0) & (places < length[:, None]) & inside(waves, length)
        return {"input": waves.gather(1, places.clamp(0, max(waves.shape[1] - 1, 0))) * real}


class Gain(WaveAugmentation):
    """Make each sound louder or softer.

    Args:
        decibel: largest change in either direction.
    """

    def __init__(self, decibel: float = 6.0) -> None:
        super().__init__()
        self.decibel = decibel

    def transform(self, batch: Batch) -> Batch:
        waves = batch["input"]
        change = self.decibel * (2 * torch.rand(len(waves), 1, device=waves.device) - 1)
        return {"input": waves * 10 ** (change / 20)}


class Noise(WaveAugmentation):
    """Add white or pink noise to each sound, at a random signal-to-noise ratio.

    Args:
        low, high: lowest and highest ratio of the powers of sound and noise, in dB.
        p: probability that a sound gets noise; half of it is white, half pink.
    """

    def __init__(self, low: float = 10.0, high: float = 40.0, p: float = 0.8) -> None:
        super().__init__()
        self.low, self.high, self.p = low, high, p

    def transform(self, batch: Batch) -> Batch:
        waves = batch["input"]
        spectrum = torch.fft.rfft(torch.randn_like(waves.float()))
        # The power of pink noise falls with the frequency, that of white noise does not.
        falling = torch.arange(spectrum.shape[1], device=waves.device).clamp(min=1).rsqrt()
        pink = torch.rand(len(waves), 1, device=waves.device) < 0.5
        noise = torch.fft.irfft(spectrum * torch.where(pink, falling, 1.0), n=waves.shape[1]).to(waves.dtype)
        return {"input": mixed(waves, batch["length"], noise, (self.low, self.high), self.p)}


class BackgroundNoise(WaveAugmentation):
    """Mix each sound with a piece of a background recording, at a random signal-to-noise ratio.

    Args:
        rate: samples per second, in Hz.
        path: folder of recordings; None: the other sounds of the batch, such as other voices.
        low, high, p: see `Noise`.
    """

    def __init__(
        self, rate: int, path: str | None = None, low: float = 0.0, high: float = 30.0, p: float = 0.8
    ) -> None:
        super().__init__()
        self.rate, self.path = rate, own_path(path)
        self.low, self.high, self.p = low, high, p
        self._pool: Tensor | None = None  # read at the first batch: a trained model needs no recordings

    def transform(self, batch: Batch) -> Batch:
        waves = batch["input"]
        if self.path is None:
            noise = waves[torch.randperm(len(waves), device=waves.device)]
        else:
            if self._pool is None:
                self._pool = _recordings(self.path, self.rate)
            pool = self._pool.to(waves.device)
            starts = torch.randint(0, len(pool), (len(waves), 1), device=waves.device)
            noise = pool[(starts + torch.arange(waves.shape[1], device=waves.device)) % len(pool)].to(waves.dtype)
        return {"input": mixed(waves, batch["length"], noise, (self.low, self.high), self.p)}


class Filter(WaveAugmentation):
    """Change the frequency response of each sound, as another microphone or room does: Nam et al., 2022 (FilterAugment,
    arXiv 2110.03282).

    Args:
        rate: samples per second, in Hz.
        decibel: largest gain or loss of a frequency.
        points: frequencies whose gains are random, evenly spaced on the mel scale; gains between are interpolated.
        p: probability that a sound is filtered.
    """

    def __init__(self, rate: int, decibel: float = 6.0, points: int = 6, p: float = 0.8) -> None:
        super().__init__()
        if points < 2:
            raise ConfigError(f"model.augment: a filter has at least 2 points, not {points}")
        self.rate, self.decibel, self.points, self.p = rate, decibel, points, p

    def transform(self, batch: Batch) -> Batch:
        waves = batch["input"]
        spectrum = torch.fft.rfft(waves.float())
        hertz = torch.linspace(0, self.rate / 2, spectrum.shape[1], device=waves.device)
        places = (hertz / 700).log1p() / math.log1p(self.rate / 1400) * (self.points - 1)  # mel, in points
        left = places.floor().clamp(0, self.points - 2).long()
        chosen = torch.rand(len(waves), 1, device=waves.device) < self.p
        gains = self.decibel * (2 * torch.rand(len(waves), self.points, device=waves.device) - 1) * chosen
        curve = torch.lerp(gains[:, left], gains[:, left + 1], places - left)  # [B, frequencies], in dB
        changed = torch.fft.irfft(spectrum * 10 ** (curve / 20), n=waves.shape[1]).to(waves.dtype)
        return {"input": changed * inside(waves, batch["length"])}


class Speed(WaveAugmentation):
    """Play each sound faster or slower, which changes its pitch too: Ko et al., 2015 (speed perturbation).

    Args:
        factor: largest change in either direction: 1.1 is up to 10 % faster or slower.
    """

    def __init__(self, factor: float = 1.1) -> None:
        super().__init__()
        if factor < 1:
            raise ConfigError(f"model.augment: the speed factor={factor} must be at least 1")
        self.factor = factor

    def transform(self, batch: Batch) -> Batch:
        waves, length = batch["input"], batch["length"]
        speed = self.factor ** (2 * torch.rand(len(waves), 1, device=waves.device) - 1)
        new = torch.where(length > 0, (length / speed[:, 0]).round().long().clamp(min=1), 0)
        size = int(new.max())
        places = torch.arange(size, device=waves.device) * speed  # [B, size], in samples of the old waveforms
        whole = places.floor()
        changed = cubic(F.pad(waves, (1, 2)), whole.long(), (places - whole).to(waves.dtype))
        return {"input": changed * (torch.arange(size, device=waves.device) < new[:, None]), "length": new}


class SpecAugment(SpectrogramAugmentation):
    """Set some bands and some times of each spectrogram to 0, their mean: Park et al., 2019 (arXiv 1904.08779).

    Args:
        frequency: most bands of a mask.
        time: most frames of a mask.
        masks: number of masks along each axis.
        longest: most frames of a mask, as a fraction of the sound's length.
    """

    def __init__(self, frequency: int = 8, time: int = 20, masks: int = 2, longest: float = 0.2) -> None:
        super().__init__()
        self.frequency, self.time, self.masks, self.longest = frequency, time, masks, longest

    def transform(self, batch: Batch) -> Batch:
        features, frames = batch["features"], batch["feature_length"]
        bands = torch.full_like(frames, features.shape[2])
        # The widest mask of bands hides at most half of them.
        rows = self._masked(bands, features.shape[2], (bands // 2).clamp(max=self.frequency))
        columns = self._masked(frames, features.shape[3], (frames * self.longest).floor().clamp(max=self.time))
        return {"features": features.masked_fill(rows[:, None, :, None] | columns[:, None, None, :], 0.0)}

    def _masked(self, lengths: Tensor, size: int, widest: Tensor) -> Tensor:
        """Draw the masked places [B, size], within the lengths [B]; `widest` [B] is the largest width."""
        widths = (torch.rand(len(lengths), self.masks, device=lengths.device) * (widest[:, None] + 1)).floor()
        starts = (torch.rand_like(widths) * (lengths[:, None] - widths + 1)).floor()
        places = torch.arange(size, device=lengths.device)[:, None]
        return ((places >= starts[:, None]) & (places < (starts + widths)[:, None])).any(dim=2)


def _recordings(folder: Path, rate: int) -> Tensor:
    """Return the beginnings of all recordings in a folder, one after the other [N]."""
    files = audio_files(folder)
    if not files:
        raise ConfigError(f"model.augment: {folder} contains no recordings; name another folder with path=")
    most = LONGEST_POOL / len(files)
    return torch.cat([torch.from_numpy(read_audio(file, rate, seconds=most)) for file in files])


def inside(waves: Tensor, length: Tensor) -> Tensor:
    """Return which samples of waveforms [B, N] are within their lengths [B]: bool [B, N]."""
    return torch.arange(waves.shape[1], device=waves.device) < length[:, None]


def mixed(waves: Tensor, length: Tensor, noise: Tensor, ratios: tuple[float, float], p: float) -> Tensor:
    """Add noise [B, N] to waveforms [B, N], each at a random ratio of the powers within `ratios`, in dB.

    Args:
        waves: waveforms.
        length: of each [B]; no noise is added beyond it.
        noise: of any power.
        ratios: lowest and highest ratio.
        p: probability that a waveform gets noise.
    """
    low, high = ratios
    chosen, position = torch.rand(2, len(waves), 1, device=waves.device)
    real = inside(waves, length)
    count = length.clamp(min=1)[:, None]
    loudness, own = (
        ((sound * real).float().square().sum(1, keepdim=True) / count).sqrt().clamp(min=QUIET)
        for sound in (waves, noise)
    )
    decibel: Tensor = low + (high - low) * position
    scale: Tensor = loudness / own * 10 ** (-decibel / 20) * (chosen < p)
    return waves + noise * (real * scale).to(waves.dtype)


def cubic(waves: Tensor, places: Tensor, fractions: Tensor) -> Tensor:
    """Interpolate waveforms between their samples with a cubic through four of them (Catmull-Rom).

    Args:
        waves: [B, 1 + N + 2], padded with one 0 before and two after.
        places: sample before each position, int64 [B, M], 0 for the first; later ones than N are clamped.
        fractions: distance of each position from that sample, in 0..1, [B, M].
    """
    last = waves.shape[1] - 1
    a, b, c, d = (waves.gather(1, (places + offset).clamp(max=last)) for offset in range(4))
    slope = (c - a) / 2
    curve = a - 2.5 * b + 2 * c - 0.5 * d
    bend = 1.5 * (b - c) + (d - a) / 2
    return ((bend * fractions + curve) * fractions + slope) * fractions + b
