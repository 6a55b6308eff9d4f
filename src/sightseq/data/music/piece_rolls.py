"""Base of all datasets whose piano rolls are computed from pieces with notes."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from sightseq.core.spec import Spec
from sightseq.data.music.pieces import PieceData
from sightseq.data.music.rolls import RollData, RollWriter
from sightseq.music.piece import Piece
from sightseq.music.roll import outside_roll, to_roll
from sightseq.music.spec import RollSpec


class PieceRolls(RollData, PieceData):
    """Pieces of music as piano rolls with frames of any length; instruments, velocities and drums are left out.

    Args:
        step: length of a frame in beats (quarter notes). Shorter notes last a frame, and of a key that is repeated
            without a pause the repetition is lost.
        common: see `RollData`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"step"})

    def __init__(self, *, step: float = 0.25, **common: Any) -> None:
        super().__init__(step=step, **common)

    def adopt(self, spec: Spec) -> None:
        """Adopt the length of a frame of a piano-roll model's spec."""
        if isinstance(spec, RollSpec):
            self.step = spec.step

    def cache_key(self) -> dict[str, Any]:
        """Options that change the rolls."""
        return {**super().cache_key(), "step": self.step}

    def reason_against(self, piece: Piece) -> str:
        """Return why a piece is of no use; "" if it has notes that a piano can play."""
        reason = super().reason_against(piece)
        return reason or ("" if to_roll(piece, self.step).any() else "contains no notes of the 88 keys of a piano")

    def save(self, folder: Path, split: str, pieces: Iterable[tuple[Piece, int]]) -> dict[str, int]:
        """Save the pieces of a split as rolls; return what is left out of them."""
        dropped: Counter[str] = Counter()
        with RollWriter(folder, split) as writer:
            for piece, group in pieces:
                dropped.update(outside_roll(piece))
                writer.append(to_roll(piece, self.step), piece.tempi[0][1], group)
        return dict(dropped)
