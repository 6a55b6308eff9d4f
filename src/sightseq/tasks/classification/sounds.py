"""Single-label classification of sounds."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from sightseq.audio.features import INT16
from sightseq.audio.figures import batch_figure, examples_figure, saliency_figure
from sightseq.audio.front import FrontEnd, feature_count, unpadded
from sightseq.audio.spec import AudioSpec
from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.graph import Axes
from sightseq.core.loading import Batch
from sightseq.core.media import AudioBlock, GroupBlock
from sightseq.tasks.classification.sound_saliency import spectrogram_heat
from sightseq.tasks.classification.task import ClassificationTask, expand_single_logit

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

PLOTTED = 24  # sounds in `plot_batch`: six rows of four


class SoundClassificationTask(ClassificationTask):
    """Classification of sounds: `input`, waveforms [B, N], and `length` [B] in samples.

    Args:
        features, augment: see `audio.front.FrontEnd`.
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
        spec = self.spec
        self.front = FrontEnd(features, augment, rate=spec.rate, mean=spec.mean, std=spec.std)

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

    def plain(self) -> nn.Module:
        """Return `Classifier` after the features."""
        from sightseq.tasks.classification.plain import classifier

        return classifier(self, self.front.layer)

    def net_arguments(self) -> dict[str, Any]:
        """Add `n_mels`, the number of frequencies or coefficients of the features."""
        return {**super().net_arguments(), "n_mels": feature_count(self.hparams["features"])}

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with augmented waveforms, floats in about -1..1, and augmented `features` of them."""
        return self.front.augment(batch)

    def training_differences(self) -> list[str]:
        """Add augmentation."""
        return [*(["augmentation"] if self.front.augmentations else []), *super().training_differences()]

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Map waveforms [B, N], int16 or floats in -1..1, and their lengths [B] to logits [B, num_classes]."""
        return expand_single_logit(self.net(*self.front(waveforms, lengths)))

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits [B, num_classes], from `features` if they are in the batch."""
        return expand_single_logit(self.net(*self.front.of(batch)))

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the spectrograms with their class names."""
        rows = {name: tensor[:PLOTTED] for name, tensor in batch.items()}
        names = [self.spec.classes[label] for label in rows["target"].tolist()]
        return batch_figure(self.front.spectrograms(rows), self.front.mel.axes, names)

    def examples(self, title: str, rows: Batch, caption: str) -> Block:
        """Return a figure of the spectrograms."""
        labels = self.labels(rows)
        return FigureBlock(
            title,
            examples_figure(self.front.spectrograms(rows), self.front.mel.axes, labels),
            caption=caption,
            columns=("prediction", "probability", "true class"),
            rows=labels,
        )

    def explanation(self, rows: Batch) -> Block | None:
        """Return the sounds with players, below their spectrograms and heat maps; no heat maps if not of `LogMel`."""
        spectrograms = self.front.spectrograms(rows)
        heats = [np.zeros_like(one) for one in spectrograms]
        if self.front.mel is self.front.layer:
            features, frames = self.front(rows["input"].to(self.device), rows["length"].to(self.device))
            heat = spectrogram_heat(self.net, features, frames, rows["probabilities"].argmax(dim=1))
            heats = unpadded(heat, frames)
        parts = []
        shown = zip(spectrograms, heats, self.labels(rows), strict=True)
        for row, (spectrogram, overlay, label) in enumerate(shown):
            figure = saliency_figure([spectrogram], self.front.mel.axes, [overlay], [label])
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
