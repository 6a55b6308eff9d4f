"""Recognition of lines of writing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from sightseq.core.augmentation import make_augmentations
from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.decoding.ctc import Span
from sightseq.nets.pixels import Pixels, to_unit
from sightseq.tasks.recognition.figures import AlignedLine, alignment_figure
from sightseq.tasks.recognition.task import RecognitionTask
from sightseq.text.alphabet import Alphabet
from sightseq.text.batch import to_texts
from sightseq.vision.figures import batch_figure
from sightseq.vision.line_spec import LineSpec

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

PLOTTED = 15  # lines in `plot_batch`
ALIGNED = 4  # lines in the alignment figure


class LineRecognitionTask(RecognitionTask):
    """Recognition of images of lines: `input` uint8 [B, W, H, C], padded with 0 at the right, and `length` [B], their
    widths in pixels. Augmented images are floats in 0..1 [B, C, H, W].

    Args:
        augment: augmentations by name, each a `_target_` with arguments, applied in this order to training batches:
            images [B, C, H, W] as floats in 0..1, which they may only change up to `length`.
        recognition: see `RecognitionTask`.
    """

    spec: LineSpec

    def __init__(self, *, augment: dict[str, Any] | None = None, **recognition: Any) -> None:
        super().__init__(**recognition)
        self.pixels = Pixels(self.spec.mean, self.spec.std)
        self.augmentations = make_augmentations(augment, **self.spec.net_arguments())
        self.net.to(memory_format=torch.channels_last)

    @classmethod
    def example(cls) -> tuple[LineSpec, Batch]:
        """Six lines of random grey pixels, 16 pixels high and 40 to 64 wide, of one to four characters."""
        generator = torch.Generator().manual_seed(0)
        width = torch.tensor([64, 40, 56, 47, 64, 41])
        images = torch.randint(0, 256, (6, 64, 16, 1), dtype=torch.uint8, generator=generator)
        images *= (torch.arange(64) < width[:, None])[:, :, None, None]
        length = torch.tensor([4, 1, 3, 2, 4, 3])
        target = torch.randint(2, 7, (6, 4), generator=generator) * (torch.arange(4) < length[:, None])
        spec = LineSpec(1, 16, Alphabet("abcde"), (0.5,), (0.25,), 64)
        batch = {"input": images, "length": width, "target": target, "target_length": length}
        return spec, {**batch, "index": torch.arange(6)}

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `LinePredictor`: files, PIL images or arrays to texts."""
        from sightseq.tasks.recognition.predict_lines import LinePredictor

        return LinePredictor

    def plain(self) -> nn.Module:
        """Return `Recogniser` of images.

        Raises:
            ConfigError: the network has an attention decoder.
        """
        from sightseq.tasks.recognition.plain import Recogniser

        if self.attends:
            raise ConfigError(
                "eject: the loss of an attention decoder is not supported; use model/net=recognition/crnn"
            )
        shortcut = self.shortcut_weight if getattr(self.net, "shortcut", None) is not None else 0.0
        return Recogniser(self.net, Pixels(self.spec.mean, self.spec.std), True, shortcut)

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with augmented images: floats in 0..1 [B, C, H, W]."""
        batch = {**batch, "input": to_unit(batch["input"].permute(0, 3, 2, 1))}
        for augmentation in self.augmentations:
            batch = augmentation(batch)
        return batch

    def training_differences(self) -> list[str]:
        """Add augmentation."""
        return [*(["augmentation"] if self.augmentations else []), *super().training_differences()]

    def features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return normalised pixels [B, C, H, W], and the widths [B]."""
        images = batch["input"]
        if not images.is_floating_point():
            images = images.permute(0, 3, 2, 1)
        return self.pixels(images), batch["length"]

    def images(self, batch: Batch) -> list[NDArray[np.uint8]]:
        """Return the images without padding, dark ink on white: [H, W] or [H, W, 3]."""
        images = batch["input"]
        images = (images.clamp(0, 1) * 255).round().byte() if images.is_floating_point() else images.permute(0, 3, 2, 1)
        pairs = zip(images.cpu().numpy(), batch["length"].tolist(), strict=True)
        return [self.spec.to_example(image[:, :, :width]) for image, width in pairs]

    def aligned_lines(
        self, batch: Batch, spans: Sequence[Sequence[Span]], references: Sequence[str | None]
    ) -> list[AlignedLine]:
        """Return the images with the place of each character, in pixels.

        Args:
            batch: `input` and `length`.
            spans: for each row, in frames of the network's output.
            references: the true texts, or None.
        """
        pixels = self.net.reduction
        lines = []
        for image, row, reference in zip(self.images(batch), spans, references, strict=True):
            width = image.shape[1]
            places = [(one.token, pixels * one.start, min(pixels * one.end, width)) for one in row]
            text = self.alphabet.decode([token for token, _, _ in places])
            labels = [(self.alphabet.labels[token], start, end) for token, start, end in places]
            lines.append(AlignedLine(image, text, reference, labels))
        return lines

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the images with their transcripts."""
        some = {name: tensor[:PLOTTED] for name, tensor in batch.items()}
        return batch_figure(self.images(some), [self.alphabet.decode(row) for row in some["target"].tolist()])

    def alignment_block(self, rows: Batch) -> Block:
        """Return the first images with the place of each character."""
        some = {name: tensor[:ALIGNED] for name, tensor in rows.items()}
        lines = self.aligned_lines(some, self.spans(some), to_texts(some["reference"]))
        caption = "Where each character was read: the most probable alignment of the transcript (Viterbi)."
        return FigureBlock("Alignment", alignment_figure(lines), caption=caption)
