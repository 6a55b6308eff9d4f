"""Base of all datasets that are read from files as pieces with notes, not as finished piano rolls."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sightseq.core.splits import SplitData
from sightseq.music.piece import Piece


class PieceData(SplitData):
    """Pieces of music in one representation: piano rolls or token ids. Splits are by piece.

    A subclass for a representation defines `save`; a subclass for a file format defines `locate` and `process`, which
    calls `save`.
    """

    @abstractmethod
    def save(self, folder: Path, split: str, pieces: Iterable[tuple[Piece, int]]) -> dict[str, int]:
        """Save the pieces of one of the publisher's splits, one at a time.

        Args:
            folder: the folder that `process` receives.
            split: name of the split.
            pieces: pieces for which `reason_against` returns nothing, each with its group: pieces of the same group
                belong to one split.

        Returns:
            What is left out of the pieces: counts by description, as in `Piece.dropped`.
        """

    def reason_against(self, piece: Piece) -> str:
        """Return why a piece is of no use, such as "contains only drums"; "" if it is of use."""
        if not len(piece.notes):
            return "contains no notes"
        return "contains only drums" if piece.notes["drum"].all() else ""

    def groups(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the group of each piece, [N]."""
        groups: NDArray[Any] = arrays["group"]
        return groups


def remarks_on(dropped: Mapping[str, int], place: str) -> list[str]:
    """Return what was left out or changed, in words; an empty list if nothing was.

    Args:
        dropped: counts by description, as in `Piece.dropped`.
        place: where, such as "in the files".
    """
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(dropped.items()) if count)
    return [f"left out or changed {place}: {counts}"] if counts else []
