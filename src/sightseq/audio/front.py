"""First layer of all networks for sounds: features of waveforms, and augmentation of both."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightseq.audio.augment import SpectrogramAugmentation, WaveAugmentation
from sightseq.audio.features import INT16, MFCC, LogMel
from sightseq.core.augmentation import make_augmentations
from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch

LOG_MEL: dict[str, Any] = {"_target_": "sightseq.audio.features.LogMel"}


class FrontEnd(nn.Module):
    """Maps waveforms to the features that a network reads.

    Args:
        features: `_target_` and arguments of a module that maps waveforms [B, N] and lengths [B] to features
            [B, C, F, T] and their lengths in frames [B]; None: `LogMel`.
        augment: augmentations by name, each a `_target_` with arguments: see `audio.augment`. Those of waveforms are
            applied before the features are computed, those of spectrograms after.
        rate: samples per second, in Hz.
        mean, std: of the log-mel features over the training data.

    Attributes:
        layer: the module of `features`.
        mel: mel spectrogram for figures and times: `layer`, that of an `MFCC`, or one with default settings.

    Raises:
        ConfigError: an augmentation is not one of sounds.
    """

    def __init__(
        self,
        features: Mapping[str, Any] | None,
        augment: Mapping[str, Any] | None,
        *,
        rate: int,
        mean: float,
        std: float,
    ) -> None:
        super().__init__()
        constants: dict[str, Any] = {"rate": rate, "mean": mean, "std": std}
        self.layer = build(features or LOG_MEL, nn.Module, "model.features", **constants)
        mel = self.layer.mel if isinstance(self.layer, MFCC) else self.layer
        self.mel = mel if isinstance(mel, LogMel) else LogMel(**constants)
        self.augmentations = make_augmentations(augment, rate=rate)
        for augmentation in self.augmentations:
            if not isinstance(augmentation, WaveAugmentation | SpectrogramAugmentation):
                raise ConfigError(f"model.augment: {type(augmentation).__name__} is not an augmentation of sounds")

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map waveforms [B, N], int16 or floats in -1..1, to features [B, C, F, T] and their lengths [B]."""
        features, frames = self.layer(waveforms, lengths)
        return features, frames

    def of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the features of a batch and their lengths: those that `augment` has added, else those of `input`."""
        if "features" in batch:
            return batch["features"], batch["feature_length"]
        features, frames = self(batch["input"], batch["length"])
        return features, frames

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with augmented waveforms, floats in about -1..1, and augmented `features` of them."""
        waves = batch["input"]
        batch = {**batch, "input": waves if waves.is_floating_point() else waves.float() / INT16}
        batch = self._augmented(batch, WaveAugmentation)
        features, frames = self(batch["input"], batch["length"])
        return self._augmented({**batch, "features": features, "feature_length": frames}, SpectrogramAugmentation)

    def _augmented(self, batch: Batch, kind: type[nn.Module]) -> Batch:
        for augmentation in self.augmentations:
            if isinstance(augmentation, kind):
                batch = augmentation(batch)
        return batch

    @torch.no_grad()
    def spectrograms(self, batch: Batch) -> list[NDArray[np.float32]]:
        """Return the mel spectrogram of each row without padding, [n_mels, T]; augmented if the batch is."""
        batch = {name: tensor.to(self.mel.filters.device) for name, tensor in batch.items()}
        features, frames = self.of(batch) if self.mel is self.layer else self.mel(batch["input"], batch["length"])
        return unpadded(features[:, 0], frames)


def feature_count(features: Mapping[str, Any] | None) -> int:
    """Return F, the number of mel bands or coefficients, of the argument `features` of a `FrontEnd`."""
    chosen: Mapping[str, Any] = features or LOG_MEL
    return int(chosen.get("n_mfcc") or chosen.get("n_mels", 64))


def unpadded(spectrograms: Tensor, frames: Tensor) -> list[NDArray[np.float32]]:
    """Return spectrograms or heat maps [B, F, T] without padding, given their lengths [B], as arrays [F, T]."""
    pairs = zip(spectrograms.float().cpu().numpy(), frames.tolist(), strict=True)
    return [spectrogram[:, :count] for spectrogram, count in pairs]
