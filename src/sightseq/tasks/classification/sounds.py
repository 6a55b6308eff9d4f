"""Single-label classification of sounds."""

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from sightseq.audio.augment import SpectrogramAugmentation, WaveAugmentation
from sightseq.audio.features import INT16, LogMel
from sightseq.audio.figures import batch_figure, examples_figure, saliency_figure
from sightseq.audio.spec import AudioSpec
from sightseq.core.augmentation import make_augmentations
from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.core.graph import Axes
from sightseq.core.loading import Batch
from sightseq.core.media import AudioBlock, GroupBlock
from sightseq.tasks.classification.sound_saliency import spectrogram_heat
from sightseq.tasks.classification.task import SHOWN, ClassificationTask, expand_single_logit

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

LOG_MEL = {"_target_": "sightseq.audio.features.LogMel"}


class SoundClassificationTask(ClassificationTask):
    """Classification of sounds: `input`, waveforms [B, N], and `length` [B] in samples.

    Args:
        features: `_target_` and arguments of the first layer, which maps waveforms and lengths to features
            [B, C, F, T] and their lengths in frames; `audio.features.LogMel` by default. Rate, mean and standard
            deviation are those of the spec.
        augment: augmentations by name, each a `_target_` with arguments: see `audio.augment`. Those of waveforms are
            applied before the features are computed, those of spectrograms after.
        classification: see `ClassificationTask`. The network maps features and their lengths to logits
            [B, num_classes]; it receives those of `in_channels`, `num_classes` and `n_mels` (F) that its `__init__`
            names.
    """

    net_kind: ClassVar[str] = "sound"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "ignores_padding"})
    graph_inputs: ClassVar[Axes] = {"input": {0: "batch", 1: "samples"}, "length": {0: "batch"}}
    exact: ClassVar[tuple[str, ...]] = ("front",)
    spec: AudioSpec

    def __init__(
        self,
        *,
        features: dict[str, Any] | None = None,
        augment: dict[str, Any] | None = None,
        **classification: Any,
    ) -> None:
        super().__init__(**classification)
        constants: dict[str, Any] = {"rate": self.spec.rate, "mean": self.spec.mean, "std": self.spec.std}
        self.front = build(features or LOG_MEL, nn.Module, "model.features", **constants)
        self.mel = self.front if isinstance(self.front, LogMel) else LogMel(**constants)  # for figures
        augmentations = make_augmentations(augment, rate=self.spec.rate)
        kinds = (WaveAugmentation, SpectrogramAugmentation)
        for augmentation in augmentations:
            if not isinstance(augmentation, kinds):
                raise ConfigError(f"model.augment: {type(augmentation).__name__} is not an augmentation of sounds")
        self.wave_augmentations, self.spectrogram_augmentations = (
            nn.ModuleList(augmentation for augmentation in augmentations if isinstance(augmentation, kind))
            for kind in kinds
        )

    @classmethod
    def example(cls) -> tuple[AudioSpec, Batch]:
        """Six sounds of 0.05 to 0.3 seconds: a tone in noise, of one of three pitches."""
        spec = AudioSpec(8000, ("low", "middle", "high"), mean=-5.0, std=4.0, counts=(2, 2, 2), seconds=1.0)
        generator = torch.Generator().manual_seed(0)
        target, length = torch.arange(6) % 3, torch.tensor([400, 2400, 1900, 801, 1200, 2000])
        time = torch.arange(int(length.max())) / spec.rate
        tones = torch.sin(2 * torch.pi * (500.0 * (target[:, None] + 1)) * time)
        waves = 8000 * tones + 1000 * torch.randn(tones.shape, generator=generator)
        waves = waves * (torch.arange(len(time)) < length[:, None])
        return spec, {"input": waves.to(torch.int16), "length": length, "target": target, "index": torch.arange(6)}

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `SoundPredictor`: files, recordings of any length, or arrays to labels."""
        from sightseq.tasks.classification.predict_sounds import SoundPredictor

        return SoundPredictor

    def net_arguments(self) -> dict[str, Any]:
        """Add `n_mels`, the number of frequencies or coefficients of the features."""
        features = self.hparams["features"] or LOG_MEL
        return {**super().net_arguments(), "n_mels": features.get("n_mfcc") or features.get("n_mels", 64)}

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with augmented waveforms, floats in about -1..1, and augmented `features` of them."""
        waves = batch["input"]
        batch = {**batch, "input": waves if waves.is_floating_point() else waves.float() / INT16}
        for augmentation in self.wave_augmentations:
            batch = augmentation(batch)
        features, length = self.front(batch["input"], batch["length"])
        batch |= {"features": features, "feature_length": length}
        for augmentation in self.spectrogram_augmentations:
            batch = augmentation(batch)
        return batch

    def training_differences(self) -> list[str]:
        """Add augmentation."""
        augmented = bool(len(self.wave_augmentations) + len(self.spectrogram_augmentations))
        return [*(["augmentation"] if augmented else []), *super().training_differences()]

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Map waveforms [B, N], int16 or floats in -1..1, and their lengths [B] to logits [B, num_classes]."""
        return expand_single_logit(self.net(*self.front(waveforms, lengths)))

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits [B, num_classes], from `features` if they are in the batch."""
        if "features" in batch:
            return expand_single_logit(self.net(batch["features"], batch["feature_length"]))
        logits: Tensor = self(batch["input"], batch["length"])
        return logits

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the spectrograms with their class names."""
        rows = {name: tensor[:SHOWN] for name, tensor in batch.items()}
        features, frames = rows["features"], rows["feature_length"]
        if self.mel is not self.front:
            features, frames = self.mel(rows["input"], rows["length"])
        names = [self.spec.classes[label] for label in rows["target"].tolist()]
        return batch_figure(_cut(features, frames), self.mel.axes, names)

    def examples(self, title: str, rows: Batch, caption: str) -> Block:
        """Return a figure of the spectrograms."""
        labels = self.labels(rows)
        return FigureBlock(
            title,
            examples_figure(_cut(*self._spectrograms(rows)), self.mel.axes, labels),
            caption=caption,
            columns=("prediction", "probability", "true class"),
            rows=labels,
        )

    def explanation(self, rows: Batch) -> Block | None:
        """Return the sounds with players, below their spectrograms and heat maps; no heat maps if not of `LogMel`."""
        features, frames = self._spectrograms(rows)
        heat = torch.zeros_like(features[:, 0])
        if self.mel is self.front:
            heat = spectrogram_heat(self.net, features, frames, rows["probabilities"].argmax(dim=1))
        parts = []
        shown = zip(_cut(features, frames), _cut(heat[:, None], frames), self.labels(rows), strict=True)
        for row, (spectrogram, overlay, label) in enumerate(shown):
            figure = saliency_figure([spectrogram], self.mel.axes, [overlay], [label])
            figure.set_size_inches(3.9, 3.2)  # two beside each other on the page
            wave = rows["input"][row, : rows["length"][row]].numpy() / INT16
            parts.append(
                [
                    FigureBlock(f"Spectrogram {row + 1}", figure),
                    AudioBlock(f"Sound {row + 1}, {label[0]}", wave, self.spec.rate),
                ]
            )
        caption = (
            "Bright: the times and frequencies that support the prediction most. "
            "Samples chosen at random, then the most confident mistakes."
        )
        return GroupBlock("What it heard", parts, caption=caption)

    @torch.no_grad()
    def _spectrograms(self, rows: Batch) -> tuple[Tensor, Tensor]:
        """Return log-mel features [B, 1, n_mels, T] and their lengths in frames, on the model's device."""
        features, frames = self.mel(rows["input"].to(self.device), rows["length"].to(self.device))
        return features, frames


def _cut(features: Tensor, frames: Tensor) -> list[Any]:
    """Return the first channel of each row of features [B, C, F, T] without padding, as arrays [F, T]."""
    return [row[0, :, :count].float().cpu().numpy() for row, count in zip(features, frames.tolist(), strict=True)]
