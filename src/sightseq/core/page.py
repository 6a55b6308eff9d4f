"""What a page asks of a model: how a person gives an input, and what is shown of an answer."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.blocks import Block, TableBlock
from sightseq.core.loading import Batch


@dataclass(frozen=True)
class Widget:
    """How a person gives an input.

    Attributes:
        kind: "text"; "image", also from a camera; "sound", also from a microphone; or "file".
        label: what to give.
        suffixes: of a "file".
    """

    kind: Literal["text", "image", "sound", "file"]
    label: str
    suffixes: Collection[str] = ()


@dataclass(frozen=True)
class Canvas:
    """Where a person draws an input.

    Attributes:
        image: returns an image like the examples, from the ink of a drawing, 0..255 [H, W].
        stroke: width of a stroke, as a fraction of the longer side of a drawing.
    """

    image: Callable[[NDArray[np.uint8]], Any]
    stroke: float


class OnPage:
    """The part of a predictor that `sightseq demo` asks; all of it is optional."""

    widget: ClassVar[Widget | None] = None
    """None: the model has no page."""
    cells: Callable[[Any], dict[str, str]]

    def shown(self, item: Any, rows: Sequence[dict[str, Any]]) -> Sequence[Block]:
        """Return what to show of the rows of one item; by default the table of the command line."""
        cells = [self.cells({"file": "", "input": "", **row}) for row in rows]
        columns = [name for name in cells[0] if name not in ("file", "input", "output")]
        return [TableBlock("Answer", columns, [[one[name] for name in columns] for one in cells])]

    def examples(self, batch: Batch) -> list[Any]:
        """Return the rows of a batch of the data as inputs: texts, images uint8 [H, W] or [H, W, 3], or (rate, int16).

        An empty list: there are no examples.
        """
        return []

    def suggest(self, text: str) -> list[tuple[str, str]]:
        """Return the buttons below a text that is being typed: each with its label, and the text after its click."""
        return []

    def canvas(self, examples: Sequence[Any]) -> Canvas | None:
        """Return how one draws an image like the examples; None if they are not drawings."""
        return None
