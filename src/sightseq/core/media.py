"""The blocks of a report that hold pictures and sounds: see `core.blocks`."""

import io
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.blocks import Block, FigureBlock, Page, data_uri
from sightseq.core.plots import spectrogram_figure

if TYPE_CHECKING:
    from lightning.pytorch.loggers import WandbLogger
    from torch.utils.tensorboard import SummaryWriter

LARGEST_WAV = 1_000_000  # bytes of sound in the page; the file in figures/ is whole


@dataclass(eq=False)
class ImageBlock(Block):
    """Pictures beside each other, such as photographs before and after.

    Attributes:
        images: of any sizes, each uint8 [H, W] or [H, W, 3], or the file of a picture.
        captions: one for each image, or none at all.
    """

    images: Sequence[NDArray[np.uint8] | Path]
    captions: Sequence[str] = ()

    def html(self, page: Page) -> Markup:
        """The pictures, small ones enlarged; they are saved as PNG."""
        figures = []
        captions = self.captions or [""] * len(self.images)
        for picture, caption in zip(self.pictures(), captions, strict=True):
            picture.save(path := page.path(self.title, ".png"))
            # Of a picture of 28 x 28 pixels one wants to see each.
            enlarged = Markup(' class="pixels" width="{}"').format(4 * picture.width) if picture.width < 100 else ""
            figures.append(
                Markup('<figure><img src="{}" alt="{}"{}><figcaption class="lines">{}</figcaption></figure>').format(
                    page.source(path), caption or self.title, enlarged, caption
                )
            )
        return Markup('<div class="images">{}</div>').format(Markup("\n").join(figures))

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """As images with captions."""
        captions = {"caption": list(self.captions)} if self.captions else {}
        logger.log_image(self.title, self.pictures(), step, **captions)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """As images, numbered from 1 where there are several."""
        for number, picture in enumerate(self.pictures(), start=1):
            tag = f"{self.title}/{number}" if len(self.images) > 1 else self.title
            writer.add_image(tag, np.asarray(picture), step, dataformats="HWC")

    def pictures(self) -> list[Image.Image]:
        """The images in colour."""
        found = []
        for image in self.images:
            if isinstance(image, Path):
                with Image.open(image) as picture:
                    found.append(picture.convert("RGB"))
            else:
                found.append(Image.fromarray(image).convert("RGB"))
        return found


@dataclass(eq=False)
class AudioBlock(Block):
    """A sound that one can play.

    Attributes:
        waveform: of one channel, values in -1..1, what lies beyond is cut off; [samples].
        sample_rate: in Hz.
        spectrogram: whether the page shows which frequencies sound when.
    """

    waveform: NDArray[np.floating[Any]]
    sample_rate: int
    spectrogram: bool = field(default=False, kw_only=True)

    def html(self, page: Page) -> Markup:
        """A player; of a long sound it has the beginning, and the file in figures/ all of it."""
        path = page.path(self.title, ".wav")
        path.write_bytes(data := self.wav())
        note = Markup()
        if len(data) > LARGEST_WAV:
            most = LARGEST_WAV // 2  # samples of two bytes
            data = self.wav(most)
            whole, part = (count / self.sample_rate for count in (len(self.waveform), most))
            note = Markup('<p class="soft">The first {:.0f} s of {:.0f} s; all of it: figures/{}</p>').format(
                part, whole, path.name
            )
        player = Markup('<audio controls preload="metadata" src="{}"></audio>').format(data_uri(data, "audio/wav"))
        if self.spectrogram:
            figure = spectrogram_figure(np.asarray(self.waveform), self.sample_rate)
            player += FigureBlock(f"{self.title} spectrogram", figure).html(page)
        return player + note

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """As a sound."""
        import wandb

        with tempfile.TemporaryDirectory() as folder:
            # One file, which W&B copies: for arrays, and for lists, it needs the package soundfile.
            path = Path(folder, "sound.wav")
            path.write_bytes(self.wav())
            sound: Any = wandb.Audio(str(path), caption=self.caption)
            logger.log_metrics({self.title: sound}, step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """As a sound."""
        writer.add_audio(self.title, self._samples()[None], step, sample_rate=self.sample_rate)

    def wav(self, most: int | None = None) -> bytes:
        """The sound as the content of a WAV file of 16 bits; its first `most` samples."""
        file = io.BytesIO()
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(self.sample_rate)
            sound.writeframes((self._samples()[:most] * 32767).round().astype("<i2").tobytes())
        return file.getvalue()

    def _samples(self) -> NDArray[np.float32]:
        if self.waveform.ndim != 1:
            raise ValueError(f"{self.title}: a waveform has one dimension, not the shape {self.waveform.shape}")
        return np.nan_to_num(self.waveform.astype(np.float32)).clip(-1, 1)
