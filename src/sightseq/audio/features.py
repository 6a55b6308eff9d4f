"""Log-mel spectrograms and MFCC as layers of a model, without complex numbers, so that they can be exported to ONNX.

Frame t is centred on sample `t * hop`; a waveform of N samples has 1 + N // hop frames. Its ends are padded with zeros,
so the features of a waveform do not depend on the padding of its batch.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.errors import ConfigError
from sightseq.core.extras import require

OFFSET = 1e-6  # added to the power before the logarithm, as in torchaudio
INT16 = 32768.0  # int16 samples are divided by it


class MelAxes(NamedTuple):
    """Units of the axes of a mel spectrogram, for plots."""

    hop: float
    """Distance of neighbouring frames in seconds."""
    low: float
    """Lower edge of the lowest band, in Hz."""
    high: float
    """Upper edge of the highest band, in Hz."""


class LogMel(nn.Module):
    """Logarithm of a mel spectrogram (power, HTK mel scale, Hann window), normalised.

    Args:
        rate: samples per second of the waveforms, in Hz.
        n_mels: number of mel bands.
        window: length of a frame in seconds.
        hop: distance of neighbouring frames in seconds.
        low: lower edge of the lowest band, in Hz.
        high: upper edge of the highest band, in Hz; None: half of the rate.
        mean, std: of the log-mel features over the training data; the result is (features - mean) / std.
        remove_mean: subtract from each band its mean over the sound, and with it the response of the microphone (Atal,
            1974: cepstral mean normalisation). The features then depend on the whole sound.
    """

    def __init__(
        self,
        rate: int,
        n_mels: int = 64,
        window: float = 0.025,
        hop: float = 0.010,
        low: float = 20.0,
        high: float | None = None,
        mean: float = 0.0,
        std: float = 1.0,
        remove_mean: bool = False,
    ) -> None:
        super().__init__()
        top = rate / 2 if high is None else high
        if not (0 <= low < top <= rate / 2 and n_mels >= 1):
            raise ConfigError(
                f"mel bands: low={low} Hz must be below high={top} Hz, at most half of the rate {rate} Hz"
            )
        self.size, self.hop = round(window * rate), round(hop * rate)  # samples
        if min(self.size, self.hop) < 1 or std <= 0:
            raise ConfigError(f"features: window={window} s and hop={hop} s need a sample each, and std={std} above 0")
        self.n_mels, self.mean, self.std, self.remove_mean = n_mels, mean, std, remove_mean
        self.axes = MelAxes(self.hop / rate, low, top)
        # Twice the power of two that holds a frame: neighbouring bands would be empty in a coarser spectrum.
        self.n_fft = 2 ** (self.size - 1).bit_length() * 2
        bins = self.n_fft // 2 + 1
        filters = require("torchaudio.functional", "audio").melscale_fbanks(bins, low, top, n_mels, rate)
        turns = torch.arange(bins, dtype=torch.float64)[:, None] * torch.arange(self.size) / self.n_fft
        hann = torch.hann_window(self.size, dtype=torch.float64)
        waves = torch.cat([torch.cos(2 * torch.pi * turns), torch.sin(2 * torch.pi * turns)]) * hann
        self.register_buffer("waves", waves.float()[:, None], persistent=False)  # [2 * bins, 1, size]
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)  # [n_mels, bins]

    waves: Tensor
    filters: Tensor

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the features of each waveform.

        Args:
            waveforms: [B, N], int16 or floats in -1..1; samples beyond the length are ignored.
            lengths: samples of each waveform [B].

        Returns:
            The normalised features [B, 1, n_mels, T], 0 beyond the length, and the number of frames of each [B].
        """
        frames = self.frames(lengths)
        with torch.autocast(waveforms.device.type, enabled=False):  # bfloat16 has a noise floor of -50 dB
            features = (self.log_mel(waveforms, lengths) - self.mean) / self.std
            beyond = torch.arange(features.shape[2], device=features.device) >= frames[:, None]  # [B, T]
            features = features.masked_fill(beyond[:, None], 0.0)
            if self.remove_mean:
                means = features.sum(2, keepdim=True) / frames[:, None, None]
                features = (features - means).masked_fill(beyond[:, None], 0.0)
            return features[:, None], frames

    def frames(self, lengths: Tensor) -> Tensor:
        """Return the number of frames of waveforms of these lengths, at least 1."""
        return torch.div(lengths, self.hop, rounding_mode="floor") + 1

    def log_mel(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return the log-mel features [B, n_mels, T] before normalisation."""
        samples = waveforms.float() if waveforms.is_floating_point() else waveforms.float() / INT16
        inside = torch.arange(samples.shape[1], device=samples.device) < lengths[:, None]
        left = (self.size + 1) // 2  # as in torch.stft
        samples = F.pad(samples.masked_fill(~inside, 0.0), (left, self.size - left))
        spectrum = F.conv1d(samples[:, None], self.waves, stride=self.hop)  # [B, 2 * bins, T]
        cosine, sine = spectrum.chunk(2, dim=1)
        return torch.log(self.filters @ (cosine**2 + sine**2) + OFFSET)


class MFCC(nn.Module):
    """Mel-frequency cepstral coefficients: the first coefficients of the cosine transform (DCT-II) of `LogMel`.

    Args:
        n_mfcc: number of coefficients.
        mel: arguments of `LogMel`, without `mean` and `std`.
    """

    def __init__(self, rate: int, n_mfcc: int = 40, **mel: Any) -> None:
        super().__init__()
        self.mel = LogMel(rate, **mel)
        if not 1 <= n_mfcc <= self.mel.n_mels:
            raise ConfigError(f"features: n_mfcc={n_mfcc} must be at least 1 and at most n_mels={self.mel.n_mels}")
        transform = require("torchaudio.functional", "audio").create_dct(n_mfcc, self.mel.n_mels, norm="ortho")
        self.register_buffer("transform", transform.T.contiguous(), persistent=False)  # [n_mfcc, n_mels]

    transform: Tensor

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the coefficients of each waveform.

        Args:
            waveforms: see `LogMel.forward`.
            lengths: samples of each waveform [B].

        Returns:
            The coefficients [B, 1, n_mfcc, T], 0 beyond the length, and the number of frames of each [B].
        """
        features, frames = self.mel(waveforms, lengths)
        with torch.autocast(features.device.type, enabled=False):
            return self.transform @ features, frames
