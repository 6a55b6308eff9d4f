"""The parts of a report: each block writes its content to the page and to the experiment trackers.

For your own block, subclass `Block` and define `html`; to track it, define `log_wandb` and `log_tensorboard` too.
Blocks of images and audio are in `core.media`.
"""

import base64
import io
import mimetypes
import re
from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.naming import ScoreInfo
from sightseq.core.plots import style

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger, WandbLogger
    from torch.utils.tensorboard import SummaryWriter

DPI = 200  # of the figures on disk: 2 pixels in the file for each CSS pixel of the page
LARGEST_PNG = 250_000  # bytes; a larger image is embedded as WebP, so that the page stays below 2 MB
LARGEST_SIDE = 1600  # pixels, of such an image
OPEN_ROWS = 30  # a longer table is collapsed
WHITE_SPACE = re.compile(r"\s+")


class Page:
    """The folder of a page's files, with a unique name for each file.

    Args:
        folder: where the files are written; it is created.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._names: set[str] = set()

    def path(self, title: str, suffix: str) -> Path:
        """Return an unused path for a new file: "Sample texts" with the suffix ".png" gives sample-texts.png."""
        slug = re.sub(r"\W+", "-", title.lower()).strip("-")[:100] or "figure"
        name, number = f"{slug}{suffix}", 1
        while name in self._names:
            number += 1
            name = f"{slug}-{number}{suffix}"
        self._names.add(name)
        return self.folder / name

    def source(self, path: Path) -> str:
        """Return a file as a data URI; a PNG of more than `LARGEST_PNG` bytes is converted to a smaller WebP."""
        data, kind = path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if kind == "image/png" and len(data) > LARGEST_PNG:
            with Image.open(path) as file:
                image = file.convert("RGB")
            image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
            image.save(smaller := io.BytesIO(), "webp", quality=80)
            data, kind = smaller.getvalue(), "image/webp"
        return data_uri(data, kind)


def data_uri(data: bytes, kind: str) -> str:
    """Return bytes of a media type, such as "audio/wav", as the source of an HTML element."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@dataclass(eq=False)
class Block(ABC):
    """A part of the report.

    Attributes:
        title: heading on the page, name in the trackers, and base of the file names.
        caption: what the block shows, in one or two sentences. Line breaks are kept.
    """

    title: str
    caption: str = field(default="", kw_only=True)

    @abstractmethod
    def html(self, page: Page) -> Markup:
        """Return the content below the title and the caption, which the page writes.

        Escape texts with `Markup("<p>{}</p>").format(text)`; a plain str is inserted without escaping, tags included.
        """

    def log(self, logger: "Logger", step: int) -> None:
        """Send the block to a tracker, W&B or TensorBoard; do nothing for any other."""
        from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

        if isinstance(logger, WandbLogger):
            self.log_wandb(logger, step)
        elif isinstance(logger, TensorBoardLogger):
            self.log_tensorboard(logger.experiment, step)

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """Send the block to Weights & Biases."""
        return

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """Send the block to TensorBoard."""
        return


@dataclass(eq=False)
class FigureBlock(Block):
    """A Matplotlib figure, at most 8 inches wide; see `core.plots`.

    Attributes:
        columns: names of the columns of `rows`.
        rows: the data of the figure, which W&B shows as a table beside it, to sort and filter: numbers, texts, and
            images, each uint8 [H, W] or [H, W, 3].
    """

    figure: Figure
    columns: Sequence[str] = field(default=(), kw_only=True)
    rows: Sequence[Sequence[str | float | NDArray[np.uint8]]] = field(default=(), kw_only=True)

    def html(self, page: Page) -> Markup:
        """Return the figure as an image."""
        path = page.path(self.title, ".png")
        path.write_bytes(self._png)
        width = round(self.figure.get_figwidth() * 100)
        return Markup(
            '<figure><div class="scroll"><img src="{}" width="{}" alt="{}" style="min-width: {}px"></div></figure>'
        ).format(page.source(path), width, self.title, min(width, 520))

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """Log the figure as an image, and its data as a table whose name ends with "table"."""
        logger.log_image(self.title, [self._picture()], step, caption=[self.caption])
        if self.rows:
            import wandb

            cells: list[list[Any]] = [
                [wandb.Image(cell) if isinstance(cell, np.ndarray) else cell for cell in row] for row in self.rows
            ]
            logger.log_table(f"{self.title} table", list(self.columns), cells, step=step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """Log the figure as an image."""
        writer.add_image(self.title, np.asarray(self._picture()), step, dataformats="HWC")

    @cached_property
    def _png(self) -> bytes:  # drawn once for the page and all trackers
        with style():
            self.figure.savefig(file := io.BytesIO(), dpi=DPI, format="png")
        return file.getvalue()

    def _picture(self) -> Image.Image:
        return Image.open(io.BytesIO(self._png)).convert("RGB")


@dataclass(eq=False)
class TextBlock(Block):
    """A text. Line breaks are kept."""

    text: str

    def html(self, page: Page) -> Markup:
        """Return the text as one paragraph."""
        return Markup('<p class="lines" dir="auto">{}</p>').format(self.text)

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """Log the text as a table of one cell: W&B has no other type for texts."""
        logger.log_text(self.title, columns=["text"], data=[[self.text]], step=step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """Log the text."""
        writer.add_text(self.title, self.text.replace("\n", "  \n"), step)  # two spaces: a line break in Markdown


@dataclass(frozen=True)
class Passage:
    """A text with a model's prediction and the weight of each word in it.

    Attributes:
        caption: the prediction, in a few words.
        words: the text in pieces, spaces included, each with a weight in -1..1: above 0 it supports the prediction,
            below 0 it speaks against it.
        wrong: whether the prediction is wrong; wrong ones are marked.
    """

    caption: str
    words: Sequence[tuple[str, float]]
    wrong: bool = False

    @property
    def text(self) -> str:
        """The whole text: all pieces joined."""
        return "".join(word for word, _ in self.words)


@dataclass(eq=False)
class PassagesBlock(Block):
    """Texts with marked words, each below its caption: blue supports the prediction, red speaks against it."""

    passages: Sequence[Passage]

    def html(self, page: Page) -> Markup:
        """Return one paragraph for each passage."""
        return Markup("\n").join(
            Markup('<p class="passage{}"><strong>{}</strong>\n<span dir="auto">{}</span></p>').format(
                " wrong" if passage.wrong else "", passage.caption, Markup().join(map(_marked, passage.words))
            )
            for passage in self.passages
        )

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """Log the passages as a table of captions and texts, with wrong ones marked."""
        rows = [[passage.caption, passage.wrong, passage.text] for passage in self.passages]
        logger.log_table(self.title, ["prediction", "wrong", "text"], rows, step=step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """Log the passages as one text."""
        texts = [f"**{passage.caption}**  \n{passage.text}" for passage in self.passages]
        writer.add_text(self.title, "\n\n".join(texts), step)


def _marked(piece: tuple[str, float]) -> Markup:
    word, weight = piece
    if abs(weight) <= 0.05:
        return Markup("{}").format(word)
    colour = "0 114 178" if weight > 0 else "213 94 0"  # as in the figures
    return Markup('<span style="background: rgb({} / {:.2f})">{}</span>').format(colour, 0.6 * abs(weight), word)


@dataclass(eq=False)
class TableBlock(Block):
    """A table; if it has more than 30 rows, it is collapsed.

    Attributes:
        columns: names of the columns; the first column names the rows.
        rows: for each column a text, a number, or None for a missing value (shown as a dash).
        percent: names of the columns whose numbers lie in 0..1 and are shown as percentages.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    percent: Container[str] = field(default=(), kw_only=True)

    def html(self, page: Page) -> Markup:
        """Return the table, with texts aligned left and numbers aligned right."""
        header = Markup().join(
            Markup('<th scope="col"{}>{}</th>').format(self._side(column), name)
            for column, name in enumerate(self.columns)
        )
        body = Markup("\n").join(
            Markup("<tr>{}</tr>").format(Markup().join(self._cell(*cell) for cell in enumerate(row)))
            for row in self._texts()
        )
        table = Markup(
            '<div class="scroll"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody>\n</table></div>'
        ).format(header, body)
        if len(self.rows) <= OPEN_ROWS:
            return table
        return Markup('<details><summary class="soft">{} rows</summary>\n{}\n</details>').format(len(self.rows), table)

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """Log the table; W&B needs one type per column, so a column with any text is logged as text."""
        texts = [column for column in range(len(self.columns)) if self._is_text(column)]
        rows = [
            [str(value) if column in texts and value is not None else value for column, value in enumerate(row)]
            for row in self.rows
        ]
        logger.log_table(self.title, list(self.columns), rows, step=step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """Log the table as Markdown."""
        rows = [list(self.columns), ["---"] * len(self.columns), *self._texts()]
        cells = ([WHITE_SPACE.sub(" ", text).replace("|", "\\|") for text in row] for row in rows)
        writer.add_text(self.title, "\n".join(f"| {' | '.join(row)} |" for row in cells), step)

    def _texts(self) -> list[list[str]]:
        infos = [ScoreInfo(name, higher_is_better=True, percent=name in self.percent) for name in self.columns]
        return [
            [value if isinstance(value, str) else info.text(value) for info, value in zip(infos, row, strict=True)]
            for row in self.rows
        ]

    def _is_text(self, column: int) -> bool:
        return any(isinstance(row[column], str) for row in self.rows)

    def _side(self, column: int) -> Markup:
        return Markup(' class="text"') if self._is_text(column) else Markup()

    def _cell(self, column: int, text: str) -> Markup:
        if column == 0:
            return Markup('<th scope="row">{}</th>').format(text)
        return Markup("<td{}>{}</td>").format(self._side(column), text)
