"""Recognition of speech."""

from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from sightseq.audio.augment import SpectrogramAugmentation, WaveAugmentation
from sightseq.audio.features import INT16
from sightseq.audio.figures import alignment_figure, batch_figure
from sightseq.audio.transcript_spec import TranscriptSpec
from sightseq.core.augmentation import make_augmentations
from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.core.media import AudioBlock, GroupBlock
from sightseq.tasks.recognition.task import RecognitionTask
from sightseq.text.alphabet import Alphabet
from sightseq.text.batch import to_texts

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

LOG_MEL = {"_target_": "sightseq.audio.features.LogMel"}
PLOTTED = 12  # recordings in `plot_batch`
ALIGNED = 4  # recordings with their alignment in the report


class SpeechRecognitionTask(RecognitionTask):
    """Recognition of speech: `input`, int16 waveforms [B, N] padded with 0, and `length` [B] in samples.

    Args:
        features: `_target_` and arguments of the first layer, which maps waveforms and lengths to features
            [B, C, F, T] and their lengths in frames; `audio.features.LogMel` by default. Rate, mean and standard
            deviation are those of the spec.
        augment: augmentations by name, each a `_target_` with arguments: see `audio.augment`. Those of waveforms are
            applied before the features are computed, those of spectrograms after.
        recognition: see `RecognitionTask`. F is the number of mel bands.
    """

    spec: TranscriptSpec

    def __init__(
        self, *, features: dict[str, Any] | None = None, augment: dict[str, Any] | None = None, **recognition: Any
    ) -> None:
        super().__init__(**recognition)
        constants: dict[str, Any] = {"rate": self.spec.rate, "mean": self.spec.mean, "std": self.spec.std}
        self.front: Any = build(features or LOG_MEL, nn.Module, "model.features", **constants)
        self.mel: Any = getattr(self.front, "mel", self.front)  # of MFCC: for figures and times
        self.augmentations = make_augmentations(augment, rate=self.spec.rate)
        for augmentation in self.augmentations:
            if not isinstance(augmentation, WaveAugmentation | SpectrogramAugmentation):
                raise ConfigError(f"model.augment: {type(augmentation).__name__} is not an augmentation of sounds")
        self.net.to(memory_format=torch.channels_last)

    @classmethod
    def example(cls) -> tuple[TranscriptSpec, Batch]:
        """Six recordings of noise and a few tones, of 0.2 to 0.4 seconds, with one to three characters."""
        spec = TranscriptSpec(8000, Alphabet("abcd"), mean=-6.0, std=4.0, longest=0.4)
        generator = torch.Generator().manual_seed(0)
        samples = torch.tensor([3200, 1600, 2417, 2000, 3200, 2801])
        length = torch.tensor([3, 1, 2, 2, 3, 3])
        target = torch.randint(2, 6, (6, 3), generator=generator) * (torch.arange(3) < length[:, None])
        # Each character is a tone in its part of the recording.
        time = torch.arange(3200)
        part = (time * length[:, None] // samples[:, None]).clamp(max=2)
        tones = torch.sin(2 * torch.pi * 400.0 * target.gather(1, part) * time / spec.rate)
        waves = 8000 * tones + 500 * torch.randn(tones.shape, generator=generator)
        waves = waves * (time < samples[:, None])
        batch = {"input": waves.to(torch.int16), "length": samples, "target": target, "target_length": length}
        return spec, {**batch, "index": torch.arange(6)}

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `SpeechPredictor`: files, recordings of any length, or arrays to transcripts."""
        from sightseq.tasks.recognition.predict_speech import SpeechPredictor

        return SpeechPredictor

    def net_arguments(self) -> dict[str, Any]:
        """Add `image_size`, the number of frequencies or coefficients of the features."""
        features = self.hparams["features"] or LOG_MEL
        return {**super().net_arguments(), "image_size": (features.get("n_mfcc") or features.get("n_mels", 64), None)}

    @property
    def hop(self) -> float:
        """Seconds between frames of the network's output."""
        return float(self.mel.axes.hop * self.net.reduction)

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with augmented waveforms, floats in about -1..1, and augmented `features` of them."""
        batch = {**batch, "input": batch["input"].float() / INT16}
        for augmentation in self.augmentations:
            if isinstance(augmentation, WaveAugmentation):
                batch = augmentation(batch)
        features, length = self.front(batch["input"], batch["length"])
        batch |= {"features": features, "feature_length": length}
        for augmentation in self.augmentations:
            if isinstance(augmentation, SpectrogramAugmentation):
                batch = augmentation(batch)
        return batch

    def training_differences(self) -> list[str]:
        """Add augmentation."""
        return [*(["augmentation"] if self.augmentations else []), *super().training_differences()]

    def features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the features [B, 1, n_mels, T] and their lengths [B]; those of the batch if it has them."""
        if "features" in batch:
            return batch["features"], batch["feature_length"]
        features, length = self.front(batch["input"], batch["length"])
        return features, length

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the features with their transcripts."""
        some = {name: tensor[:PLOTTED] for name, tensor in batch.items()}
        names = [self.alphabet.decode(row) for row in some["target"].tolist()]
        return batch_figure(self.spectrograms(some), self.mel.axes, names)

    @torch.no_grad()
    def spectrograms(self, batch: Batch) -> list[Any]:
        """Return the mel features of each row without padding, arrays [F, T]."""
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        features, length = self.features(batch) if self.mel is self.front else self.mel(batch["input"], batch["length"])
        pairs = zip(features[:, 0].float().cpu().numpy(), length.tolist(), strict=True)
        return [row[:, :count] for row, count in pairs]

    def alignment_block(self, rows: Batch) -> Block:
        """Return the first recordings with players, below their spectrograms with the place of each character."""
        some = {name: tensor[:ALIGNED] for name, tensor in rows.items()}
        blocks = []
        shown = zip(self.spectrograms(some), self.spans(some), to_texts(some["reference"]), strict=True)
        for row, (features, spans, reference) in enumerate(shown):
            texts = [(self.alphabet.labels[one.token], one.start * self.hop, one.end * self.hop) for one in spans]
            wave = some["input"][row, : some["length"][row]].numpy() / INT16
            figure = alignment_figure(features, self.mel.axes, texts)
            blocks.append(
                [
                    FigureBlock(f"Spectrogram {row + 1}", figure, caption=f"Reference: {reference}"),
                    AudioBlock(f"Recording {row + 1}", wave, self.spec.rate),
                ]
            )
        caption = "Where each character was read: the most probable alignment of the transcript (Viterbi)."
        return GroupBlock("Alignment", blocks, caption=caption)
