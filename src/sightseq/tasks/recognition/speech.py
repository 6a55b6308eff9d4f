"""Recognition of speech."""

from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from sightseq.audio.features import INT16
from sightseq.audio.figures import alignment_figure, batch_figure
from sightseq.audio.front import FrontEnd, feature_count
from sightseq.audio.transcript_spec import TranscriptSpec
from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.loading import Batch
from sightseq.core.media import AudioBlock, GroupBlock
from sightseq.tasks.recognition.task import RecognitionTask
from sightseq.text.alphabet import Alphabet
from sightseq.text.batch import to_texts

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

PLOTTED = 12  # recordings in `plot_batch`
ALIGNED = 4  # recordings with their alignment in the report


class SpeechRecognitionTask(RecognitionTask):
    """Recognition of speech: `input`, int16 waveforms [B, N] padded with 0, and `length` [B] in samples.

    Args:
        features, augment: see `audio.front.FrontEnd`.
        recognition: see `RecognitionTask`. F is the number of mel bands.
    """

    spec: TranscriptSpec

    def __init__(
        self, *, features: dict[str, Any] | None = None, augment: dict[str, Any] | None = None, **recognition: Any
    ) -> None:
        super().__init__(**recognition)
        spec = self.spec
        self.front = FrontEnd(features, augment, rate=spec.rate, mean=spec.mean, std=spec.std)
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
        return {**super().net_arguments(), "image_size": (feature_count(self.hparams["features"]), None)}

    @property
    def hop(self) -> float:
        """Seconds between frames of the network's output."""
        return float(self.front.mel.axes.hop * self.net.reduction)

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with augmented waveforms, floats in about -1..1, and augmented `features` of them."""
        return self.front.augment(batch)

    def training_differences(self) -> list[str]:
        """Add augmentation."""
        return [*(["augmentation"] if self.front.augmentations else []), *super().training_differences()]

    def features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the features [B, 1, n_mels, T] and their lengths [B]; those of the batch if it has them."""
        return self.front.of(batch)

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the features with their transcripts."""
        some = {name: tensor[:PLOTTED] for name, tensor in batch.items()}
        names = [self.alphabet.decode(row) for row in some["target"].tolist()]
        return batch_figure(self.front.spectrograms(some), self.front.mel.axes, names)

    def alignment_block(self, rows: Batch) -> Block:
        """Return the first recordings with players, below their spectrograms with the place of each character."""
        some = {name: tensor[:ALIGNED] for name, tensor in rows.items()}
        blocks = []
        shown = zip(self.front.spectrograms(some), self.spans(some), to_texts(some["reference"]), strict=True)
        for row, (features, spans, reference) in enumerate(shown):
            texts = [(self.alphabet.labels[one.token], one.start * self.hop, one.end * self.hop) for one in spans]
            wave = some["input"][row, : some["length"][row]].numpy() / INT16
            figure = alignment_figure(features, self.front.mel.axes, texts)
            blocks.append(
                [
                    FigureBlock(f"Spectrogram {row + 1}", figure, caption=f"Reference: {reference}"),
                    AudioBlock(f"Recording {row + 1}", wave, self.spec.rate),
                ]
            )
        caption = "Where each character was read: the most probable alignment of the transcript (Viterbi)."
        return GroupBlock("Alignment", blocks, caption=caption)
