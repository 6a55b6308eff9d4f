"""The parts of a report: each writes itself into the page and sends itself to the experiment trackers.

A block of one's own is a subclass with `html`, and with `log_wandb` and `log_tensorboard` where it is to be tracked.
Pictures and sounds are in `core.media`.
"""

import base64
import io
import mimetypes
import re
from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from sightseq.core.naming import ScoreInfo
from sightseq.core.plots import style

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger, WandbLogger
    from torch.utils.tensorboard import SummaryWriter

DPI = 200  # of the figures on disk: two pixels of the file for each that the page shows
LARGEST_PNG = 250_000  # bytes; a larger picture stands in the page as WebP, so that the page stays below 2 MB
LARGEST_SIDE = 1600  # pixels of such a picture in the page
OPEN_ROWS = 30  # a longer table is folded
WHITE_SPACE = re.compile(r"\s+")


class Page:
    """The files of a page.

    Args:
        folder: where they are written; it is made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._names: set[str] = set()

    def path(self, title: str, suffix: str) -> Path:
        """A path for a new file, which no other block of the page has: `title` "Sample texts", `suffix` ".png"."""
        slug = re.sub(r"\W+", "-", title.lower()).strip("-")[:100] or "figure"
        name, number = f"{slug}{suffix}", 1
        while name in self._names:
            number += 1
            name = f"{slug}-{number}{suffix}"
        self._names.add(name)
        return self.folder / name

    def source(self, path: Path) -> str:
        """A file as a data URI; a PNG of more than `LARGEST_PNG` bytes as a smaller WebP."""
        data, kind = path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if kind == "image/png" and len(data) > LARGEST_PNG:
            with Image.open(path) as file:
                picture = file.convert("RGB")
            picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
            picture.save(smaller := io.BytesIO(), "webp", quality=80)
            data, kind = smaller.getvalue(), "image/webp"
        return data_uri(data, kind)


def data_uri(data: bytes, kind: str) -> str:
    """Bytes of a media type, such as "audio/wav", as the source of an HTML element."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@dataclass(eq=False)
class Block(ABC):
    """A part of the report.

    Attributes:
        title: its heading on the page and its name in the trackers; its files are named after it.
        caption: what the reader sees, in a sentence or two. Line breaks are kept.
    """

    title: str
    caption: str = field(default="", kw_only=True)

    @abstractmethod
    def html(self, page: Page) -> Markup:
        """The content below title and caption, which the page writes.

        Texts are escaped by `Markup("<p>{}</p>").format(text)`; a plain str is shown as it is, tags and all.
        """

    def log(self, logger: "Logger", step: int) -> None:
        """Sends the block to a tracker; one that is neither W&B nor TensorBoard gets nothing."""
        from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

        if isinstance(logger, WandbLogger):
            self.log_wandb(logger, step)
        elif isinstance(logger, TensorBoardLogger):
            self.log_tensorboard(logger.experiment, step)

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """Sends the block to Weights & Biases."""
        return

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """Sends the block to TensorBoard."""
        return


@dataclass(eq=False)
class FigureBlock(Block):
    """A figure, at most 8 inches wide; see `core.plots`."""

    figure: Figure

    def html(self, page: Page) -> Markup:
        """The figure as a picture."""
        path = page.path(self.title, ".png")
        with style():
            self.figure.savefig(path, dpi=DPI)
        width = round(self.figure.get_figwidth() * 100)
        return Markup(
            '<figure><div class="scroll"><img src="{}" width="{}" alt="{}" style="min-width: {}px"></div></figure>'
        ).format(page.source(path), width, self.title, min(width, 520))

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """As an image."""
        logger.log_image(self.title, [self.figure], step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """As an image."""
        writer.add_figure(self.title, self.figure, step)


@dataclass(eq=False)
class TextBlock(Block):
    """A text. Line breaks are kept."""

    text: str

    def html(self, page: Page) -> Markup:
        """The text as one paragraph."""
        return Markup('<p class="lines" dir="auto">{}</p>').format(self.text)

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """As a table of one cell: W&B has nothing else for texts."""
        logger.log_text(self.title, columns=["text"], data=[[self.text]], step=step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """As a text."""
        writer.add_text(self.title, self.text.replace("\n", "  \n"), step)  # two spaces: a line break in Markdown


@dataclass(frozen=True)
class Passage:
    """A text with what a model says of it.

    Attributes:
        caption: the prediction, in a few words.
        words: the text in pieces, spaces included, each with its weight in -1..1: how much it spoke for the
            prediction, or, below 0, against it.
        wrong: whether the prediction is a mistake, which is marked.
    """

    caption: str
    words: Sequence[tuple[str, float]]
    wrong: bool = False

    @property
    def text(self) -> str:
        """The words together."""
        return "".join(word for word, _ in self.words)


@dataclass(eq=False)
class PassagesBlock(Block):
    """Texts with marked words, each below its caption: blue behind what spoke for the prediction, red: against it."""

    passages: Sequence[Passage]

    def html(self, page: Page) -> Markup:
        """A paragraph for each."""
        return Markup("\n").join(
            Markup('<p class="passage{}"><strong>{}</strong>\n<span dir="auto">{}</span></p>').format(
                " wrong" if passage.wrong else "", passage.caption, Markup().join(map(_marked, passage.words))
            )
            for passage in self.passages
        )

    def log_wandb(self, logger: "WandbLogger", step: int) -> None:
        """As a table of captions and texts."""
        rows = [[passage.caption, passage.text] for passage in self.passages]
        logger.log_table(self.title, ["prediction", "text"], rows, step=step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """As one text."""
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
    """A table; one of more than 30 rows is folded.

    Attributes:
        columns: their names; the first column names the rows.
        rows: for each column a text, a number, or None where there is nothing.
        percent: names of columns whose numbers lie in 0..1 and are read as percentages.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    percent: Container[str] = field(default=(), kw_only=True)

    def html(self, page: Page) -> Markup:
        """The table, texts to the left and numbers to the right."""
        header = Markup().join(
            Markup('<th scope="col"{}>{}</th>').format(self._side(place), name)
            for place, name in enumerate(self.columns)
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
        """As a table, whose numbers are numbers where a whole column is."""
        texts = [place for place in range(len(self.columns)) if self._is_text(place)]
        rows = [
            [str(value) if place in texts and value is not None else value for place, value in enumerate(row)]
            for row in self.rows
        ]
        logger.log_table(self.title, list(self.columns), rows, step=step)

    def log_tensorboard(self, writer: "SummaryWriter", step: int) -> None:
        """As a table in Markdown."""
        rows = [list(self.columns), ["---"] * len(self.columns), *self._texts()]
        cells = ([WHITE_SPACE.sub(" ", text).replace("|", "\\|") for text in row] for row in rows)
        writer.add_text(self.title, "\n".join(f"| {' | '.join(row)} |" for row in cells), step)

    def _texts(self) -> list[list[str]]:
        infos = [ScoreInfo(name, higher_is_better=True, percent=name in self.percent) for name in self.columns]
        return [
            [value if isinstance(value, str) else info.text(value) for info, value in zip(infos, row, strict=True)]
            for row in self.rows
        ]

    def _is_text(self, place: int) -> bool:
        return any(isinstance(row[place], str) for row in self.rows)

    def _side(self, place: int) -> Markup:
        return Markup(' class="text"') if self._is_text(place) else Markup()

    def _cell(self, place: int, text: str) -> Markup:
        if place == 0:
            return Markup('<th scope="row">{}</th>').format(text)
        return Markup("<td{}>{}</td>").format(self._side(place), text)
