"""Report blocks of images and audio: see `core.blocks`."""

import io
import mimetypes
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
    from lightning.pytorch.loggers import Logger, WandbLogger
    from torch.utils.tensorboard import SummaryWriter

LARGEST_WAV = 1_000_000  # bytes of audio in the page; the file in figures/ is complete


@dataclass(eq=False)
class ImageBlock(Block):
    """Images side by side, such as photographs before and after.

    Attributes:
        images: images of any size, each uint8 [H, W] or [H, W, 3], or the path of an image file.
        captions: one per image, or empty.
    """

    images: Sequence[NDArray[np.uint8] | Path]
    captions: Sequence[str] = ()

    def html(self, page: Page) -> Markup:
        """Return the images as HTML, small ones enlarged; save them as PNG."""
        figures = []
        captions = self.captions or [""] * len(self.images)
        for image, caption in zip(self.pictures(), captions, strict=True):
            image.save(path := page.path(self.title, ".png"))
            # Each pixel of an image of 28 x 28 pixels should be visible.
            enlarged = Markup(' class="pixels" width="{}"').format(4 * image.width) if image.width < 100 else ""
            figures.append(
                Markup('<figure><img src="{}" alt="{}"{}><figcaption class="lines">{}</figcaption></figure>').format(
                    page.source(path), caption or self.title, enlarged, caption
                )
            )
        return Markup('<div class="images">{}</div>').format(Markup("\n").join(figures))

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """Log the images with their captions."""
        captions = {"caption": list(self.captions)} if self.captions else {}
        logger.log_image(self.title, self.pictures(), step, **captions)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """Log the images, numbered from 1 if there are several."""
        for number, image in enumerate(self.pictures(), start=1):
            tag = f"{self.title}/{number}" if len(self.images) > 1 else self.title
            writer.add_image(tag, np.asarray(image), step, dataformats="HWC")

    def pictures(self) -> list[Image.Image]:
        """Return the images in RGB."""
        converted = []
        for image in self.images:
            if isinstance(image, Path):
                with Image.open(image) as opened:
                    converted.append(opened.convert("RGB"))
            else:
                converted.append(Image.fromarray(image).convert("RGB"))
        return converted


@dataclass(eq=False)
class FileBlock(Block):
    """A file that a model wrote: an image, a player, or a link that saves it.

    Attributes:
        path: the file.
    """

    path: Path

    def html(self, page: Page) -> Markup:
        """Return the file as a part of the page."""
        kind = mimetypes.guess_type(self.path.name)[0] or "application/octet-stream"
        source = data_uri(self.path.read_bytes(), kind)
        link = Markup('<p><a href="{}" download="{}">{}</a></p>').format(source, self.path.name, self.path.name)
        if kind in ("image/png", "image/jpeg", "image/webp"):
            return Markup('<figure><img src="{}" alt="{}"></figure>').format(source, self.title) + link
        if kind.endswith("wav"):
            return Markup('<audio controls src="{}"></audio>').format(source) + link
        return link


@dataclass(eq=False)
class GroupBlock(Block):
    """Several blocks under one title, side by side where there is room, such as a recording and its spectrogram.

    Attributes:
        blocks: rows of blocks; the blocks of a row are below each other, each with its caption.
    """

    blocks: Sequence[Sequence[Block]]

    def html(self, page: Page) -> Markup:
        """Return the blocks without their titles."""
        cell, caption = Markup("<div>{}</div>"), Markup('<p class="lines">{}</p>')
        cells = [
            Markup().join((caption.format(one.caption) if one.caption else Markup()) + one.html(page) for one in row)
            for row in self.blocks
        ]
        return Markup('<div class="images">{}</div>').format(Markup("\n").join(map(cell.format, cells)))

    def log(self, logger: "Logger", step: int) -> None:
        """Log each block under its own title."""
        for row in self.blocks:
            for block in row:
                block.log(logger, step)


@dataclass(eq=False)
class AudioBlock(Block):
    """Audio with a player.

    Attributes:
        waveform: mono audio [samples], values in -1..1; values outside are clipped.
        sample_rate: in Hz.
        spectrogram: whether the page shows a spectrogram too.
    """

    waveform: NDArray[np.floating[Any]]
    sample_rate: int
    spectrogram: bool = field(default=False, kw_only=True)

    def html(self, page: Page) -> Markup:
        """Return a player as HTML. Long audio is truncated in the page and complete in figures/."""
        path = page.path(self.title, ".wav")
        path.write_bytes(data := self.wav())
        note = Markup()
        if len(data) > LARGEST_WAV:
            most = LARGEST_WAV // 2  # samples of two bytes
            data = self.wav(most)
            whole, part = (count / self.sample_rate for count in (len(self.waveform), most))
            note = Markup('<p class="soft">The first {:.0f} s of {:.0f} s; complete file: figures/{}</p>').format(
                part, whole, path.name
            )
        player = Markup('<audio controls preload="metadata" src="{}"></audio>').format(data_uri(data, "audio/wav"))
        if self.spectrogram:
            figure = spectrogram_figure(np.asarray(self.waveform), self.sample_rate)
            player += FigureBlock(f"{self.title} spectrogram", figure).html(page)
        return player + note

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """Log the audio."""
        import wandb

        with tempfile.TemporaryDirectory() as folder:
            # A single file, which W&B copies: arrays and lists need the package soundfile.
            path = Path(folder, "sound.wav")
            path.write_bytes(self.wav())
            audio: Any = wandb.Audio(str(path), caption=self.caption)
            logger.log_metrics({self.title: audio}, step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """Log the audio."""
        writer.add_audio(self.title, self._samples()[None], step, sample_rate=self.sample_rate)

    def wav(self, most: int | None = None) -> bytes:
        """Return the content of a 16-bit WAV file with the first `most` samples, or with all of them."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(self.sample_rate)
            writer.writeframes((self._samples()[:most] * 32767).round().astype("<i2").tobytes())
        return file.getvalue()

    def _samples(self) -> NDArray[np.float32]:
        if self.waveform.ndim != 1:
            raise ValueError(f"{self.title}: a waveform must have one dimension, not the shape {self.waveform.shape}")
        return np.nan_to_num(self.waveform.astype(np.float32)).clip(-1, 1)
