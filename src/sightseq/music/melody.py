"""Melodies as token ids: one token for each step of time."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.music.piece import NOTE, TEMPO, VELOCITY, Piece, add, pitch_name

END, UNUSED, HOLD, REST = range(4)
FIRST = 4  # id of the lowest pitch


def upper_line(starts: NDArray[Any], ends: NDArray[Any], pitches: NDArray[Any]) -> list[int]:
    """Return the places of the notes of the upper line, in the order of their starts.

    At each time at which notes start, it is the highest of them, unless the last note of the line still sounds and is
    higher.

    Args:
        starts: times [N] at which notes start, in any order.
        ends: times [N] at which they end.
        pitches: their pitches [N].
    """
    order = np.lexsort([ends, pitches, starts])
    highest = order[np.flatnonzero(np.diff(starts[order], append=np.inf))]  # of each start
    line: list[int] = []
    pitch, end = 0, 0
    for row in highest.tolist():
        if starts[row] >= end or pitches[row] >= pitch:
            line.append(row)
            pitch, end = pitches[row], ends[row]
    return line


@dataclass(frozen=True)
class MelodyCodec:
    """One token for each step: a pitch that starts, "hold" (the note or silence continues), or "rest" (the note ends).

    The melody is the upper line of a piece: see `upper_line`. A note of the melody ends where it ends in the piece, or
    where the next one starts. Drums, velocities and instruments are not encoded.

    Token ids: 0 ends a piece, 1 is never used, 2 is "hold", 3 is "rest", 4 is the pitch `low`.

    Attributes:
        steps: steps per beat.
        low, high: lowest and highest pitch, at least an octave apart; others are moved into this range by octaves.
        kind: tells the codecs of a spec apart.
    """

    steps: int = 4
    low: int = 21
    high: int = 108
    kind: Literal["melody"] = "melody"

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.low <= self.high - 11 <= 116:
            raise ValueError(f"steps={self.steps}, low={self.low}, high={self.high}: at least one step and one octave")

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return FIRST + self.high - self.low + 1

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A word for each token id."""
        return ("<end>", "<unused>", "hold", "rest", *map(pitch_name, range(self.low, self.high + 1)))

    @cached_property
    def durations(self) -> NDArray[np.int64]:
        """Time that each token lasts, in steps [vocab_size]: 1, but 0 for the end."""
        return np.where(np.arange(self.vocab_size) == END, 0, 1)

    def step(self, tempo: float) -> float:
        """Return the length of a step in beats, at any tempo."""
        return 1 / self.steps

    def encode(self, piece: Piece) -> NDArray[np.int64]:
        """Return the token ids [T] of the melody, without the end; empty if the piece has only drums."""
        notes = piece.notes[~piece.notes["drum"]]
        starts = _rounded(notes["start"] * self.steps)
        ends = np.maximum(_rounded(notes["end"] * self.steps), starts + 1)
        tokens: list[int] = []
        end = 0  # of the last note of the melody
        for row in upper_line(starts, ends, notes["pitch"]):
            _fill(tokens, end, int(starts[row]))
            tokens.append(FIRST + self._inside(int(notes["pitch"][row])) - self.low)
            end = int(ends[row])
        _fill(tokens, end, end)
        return np.array(tokens, np.int64)

    def left_out(self, piece: Piece) -> dict[str, int]:
        """Return what `encode` leaves out of a piece, as in `Piece.dropped`."""
        drums = int(piece.notes["drum"].sum())
        melody = int((self.encode(piece) >= FIRST).sum())
        counts = {"drum notes": drums, "notes below the melody": len(piece.notes) - drums - melody}
        return add({}, counts)

    def decode(self, tokens: Iterable[int], tempo: float = TEMPO) -> Piece:
        """Return the piece of token ids: one line, up to the first 0.

        Args:
            tokens: any integers; those that are not in use count as "hold" and are counted in `dropped`.
            tempo: beats per minute.
        """
        rows: list[list[int]] = []
        sounds = False
        dropped: Counter[str] = Counter()
        for step, token in enumerate(map(int, tokens)):
            if token == END:
                break
            if FIRST <= token < self.vocab_size:
                rows.append([step, step + 1, token - FIRST + self.low])
                sounds = True
            elif token == REST:
                sounds = False
            else:
                dropped["tokens that are not in use"] += token != HOLD
                if sounds:
                    rows[-1][1] = step + 1
        notes = np.zeros(len(rows), NOTE)
        columns = np.array(rows, float).reshape(-1, 3)
        notes["start"], notes["end"], notes["pitch"] = (
            columns[:, 0] / self.steps,
            columns[:, 1] / self.steps,
            columns[:, 2],
        )
        notes["velocity"] = VELOCITY
        return Piece(notes, ((0.0, tempo),), add({}, dropped))

    def transposition(self, semitones: int) -> NDArray[np.int64]:
        """Return the token id [vocab_size] that each token id becomes if the melody is transposed.

        Pitches that leave the range are moved back by an octave.
        """
        table = np.arange(self.vocab_size)
        table[FIRST:] = [FIRST + self._inside(pitch + semitones) - self.low for pitch in range(self.low, self.high + 1)]
        return table

    def _inside(self, pitch: int) -> int:
        """Move a pitch into the range by octaves."""
        if pitch < self.low:
            return self.low + (pitch - self.low) % 12
        return pitch if pitch <= self.high else self.high - (self.high - pitch) % 12


def _rounded(steps: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(steps + 0.5).astype(np.int64)


def _fill(tokens: list[int], end: int, until: int) -> None:
    """Append the tokens up to the step `until`; the last note lasts to the step `end`, or until then."""
    held = min(end, until) - len(tokens)
    tokens += [HOLD] * max(held, 0)
    rest = until - len(tokens)
    tokens += [REST, *[HOLD] * (rest - 1)] if rest > 0 else []
