"""Base of the tasks whose models compose music."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from sightseq.core.blocks import Block
from sightseq.core.task import Task
from sightseq.music.piece import Piece
from sightseq.tasks.music.comparison import compare_music
from sightseq.tasks.music.report import COMPOSED, SHOWN, music_blocks

if TYPE_CHECKING:
    from sightseq.core.baseline import Baseline


class MusicTask(Task):
    """A task with composed pieces in its report, and their comparison with the training music.

    The pieces are composed once for each set of weights.
    """

    augmentations: nn.ModuleList
    _pieces: Sequence[Piece] = ()

    @abstractmethod
    def compose_pieces(self, count: int) -> list[Piece]:
        """Compose `count` pieces from nothing, of `report.BARS` bars or less, at `report.TEMPERATURE`."""

    def composed(self) -> Sequence[Piece]:
        """Return the composed pieces of these weights."""
        if not self._pieces:
            self._pieces = self.compose_pieces(COMPOSED)
        return self._pieces

    def reset_examples(self) -> None:
        """Discard the composed pieces: the weights may change."""
        self._pieces = ()

    def blocks(self, stage: str) -> list[Block]:
        """Return composed pieces."""
        return music_blocks(self.composed()[:SHOWN])

    def compare(self, baselines: "Mapping[str, Baseline]", stage: str) -> tuple[dict[str, Any], list[Block]]:
        """Compare composed pieces with the training music."""
        return compare_music(self.composed(), baselines)

    def training_differences(self) -> list[str]:
        """Add augmentation."""
        return [*(["augmentation"] if len(self.augmentations) else []), *super().training_differences()]
