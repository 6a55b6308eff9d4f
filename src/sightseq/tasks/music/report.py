"""Composed pieces in the report."""

from collections.abc import Sequence
from importlib.util import find_spec

from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.media import AudioBlock
from sightseq.music.figures import roll_figure
from sightseq.music.piece import Piece
from sightseq.music.synthesis import waveform

COMPOSED, SHOWN = 8, 2  # pieces that are composed for the report, and those that it shows
BARS, TEMPERATURE = 16, 1.0  # of these pieces
RATE = 11025  # samples per second: the page has all audio


def music_blocks(pieces: Sequence[Piece]) -> list[Block]:
    """Return a figure of each piece, and a player if the extra `music` is installed."""
    blocks: list[Block] = []
    for number, piece in enumerate(pieces, start=1):
        caption = f"Composed from nothing: the first {BARS} bars, temperature {TEMPERATURE:g}."
        blocks.append(FigureBlock(f"Composed piece {number}", roll_figure(piece), caption=caption))
        if find_spec("pretty_midi"):
            blocks.append(AudioBlock(f"Sound of piece {number}", waveform(piece, RATE), RATE))
    return blocks
