"""A piece of music as a list of notes, whose times are in beats."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightseq.core.errors import InputError

NOTE = np.dtype([("start", "f8"), ("end", "f8"), ("pitch", "u1"), ("velocity", "u1"), ("program", "u1"), ("drum", "?")])
"""A note: `start` and `end` in beats (quarter notes), `pitch` 0..127 (60 is middle C), `velocity` 1..127, `program`
0..127 (an instrument of General MIDI), and whether it is a `drum`, whose pitch then names the drum."""
PITCHES = 128
TEMPO = 120.0  # beats per minute, where a file names no tempo
VELOCITY = 80  # where a code has no loudness
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI pitch, such as "C4" for 60."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


@dataclass(frozen=True, eq=False)
class Piece:
    """Notes with their tempo. Two pieces are equal if their notes and tempi are equal.

    Attributes:
        notes: [N] of `NOTE`, sorted by start, pitch and program.
        tempi: tempo changes (beat, beats per minute) in order of their beats; the first is at beat 0.
        dropped: what a reader or codec left out or changed: a description, such as "notes of zero length", and how
            often it occurred.
    """

    notes: NDArray[np.void]
    tempi: tuple[tuple[float, float], ...] = ((0.0, TEMPO),)
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the notes.

        Raises:
            InputError: a time is negative or not finite, a note has no length, a pitch, velocity, program or tempo is
                out of range, or the first tempo is not at beat 0.
        """
        notes = np.asarray(self.notes, NOTE)
        object.__setattr__(
            self, "notes", notes[np.lexsort([notes[name] for name in ("drum", "program", "pitch", "start")])]
        )
        times = np.concatenate([notes["start"], notes["end"], np.ravel(self.tempi)])
        if not np.isfinite(times).all():
            raise InputError("a time or tempo of the piece is not a finite number; remove that note or tempo change")
        if len(notes) and notes["start"].min() < 0:
            beats = f"{notes['start'].min():g}"
            raise InputError(f"a note starts at beat {beats}; move all notes to later times, so that none is negative")
        if (notes["end"] <= notes["start"]).any():
            raise InputError("a note ends at or before its start; remove notes of zero length")
        if max(notes["pitch"].max(initial=0), notes["program"].max(initial=0), notes["velocity"].max(initial=1)) > 127:
            raise InputError("a pitch, velocity or program of the piece is above 127")
        if notes["velocity"].min(initial=1) == 0:
            raise InputError("a note has velocity 0; velocities are 1..127")
        changes = np.array(self.tempi, float).reshape(-1, 2)
        if not len(changes) or changes[0, 0] or (np.diff(changes[:, 0]) <= 0).any() or changes[:, 1].min() <= 0:
            raise InputError(
                "the tempi of the piece must be positive, in order of their beats, and the first at beat 0"
            )

    def __eq__(self, other: object) -> bool:
        """Return whether notes and tempi are equal."""
        if not isinstance(other, Piece):
            return NotImplemented
        return self.tempi == other.tempi and np.array_equal(self.notes, other.notes)

    __hash__ = None  # type: ignore[assignment]  # notes are an array

    @property
    def duration(self) -> float:
        """End of the last note, in beats; 0 for an empty piece."""
        return float(self.notes["end"].max(initial=0))

    def seconds(self, beats: ArrayLike) -> NDArray[np.float64]:
        """Convert times in beats to seconds."""
        starts, tempi, clock = self._clock()
        beats = np.asarray(beats, float)
        part = np.searchsorted(starts, beats, "right").clip(1) - 1
        seconds: NDArray[np.float64] = clock[part] + (beats - starts[part]) * 60 / tempi[part]
        return seconds

    def beats(self, seconds: ArrayLike) -> NDArray[np.float64]:
        """Convert times in seconds to beats."""
        starts, tempi, clock = self._clock()
        seconds = np.asarray(seconds, float)
        part = np.searchsorted(clock, seconds, "right").clip(1) - 1
        beats: NDArray[np.float64] = starts[part] + (seconds - clock[part]) * tempi[part] / 60
        return beats

    def _clock(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Beat, tempo and second of each tempo change."""
        starts, tempi = np.array(self.tempi, float).T
        return starts, tempi, np.concatenate([[0.0], np.cumsum(np.diff(starts) * 60 / tempi[:-1])])

    def transposed(self, semitones: int) -> "Piece":
        """Return the piece with all pitches raised by `semitones`, without notes that then leave 0..127.

        Drums are not transposed.
        """
        pitches = self.notes["pitch"].astype(int) + np.where(self.notes["drum"], 0, semitones)
        inside = (pitches >= 0) & (pitches < PITCHES)
        notes = self.notes[inside]
        notes["pitch"] = pitches[inside]
        return replace(self, notes=notes, dropped=add(self.dropped, {"notes transposed out of range": (~inside).sum()}))

    def excerpt(self, beats: float) -> "Piece":
        """Return the first beats of the piece; notes that sound beyond are shortened. `dropped` is empty."""
        notes = self.notes[self.notes["start"] < beats]
        notes["end"] = notes["end"].clip(max=beats)
        return Piece(notes, tuple(change for change in self.tempi if change[0] < beats))

    def stretched(self, factor: float) -> "Piece":
        """Return the piece with all times multiplied by `factor`; it then lasts `factor` times as long."""
        notes = self.notes.copy()
        notes["start"] *= factor
        notes["end"] *= factor
        return replace(self, notes=notes, tempi=tuple((beat * factor, tempo) for beat, tempo in self.tempi))


def add(dropped: Mapping[str, int], more: Mapping[str, Any]) -> dict[str, int]:
    """Add counts by name; counts of 0 are left out."""
    return {
        name: total for name in {**dropped, **more} if (total := int(dropped.get(name, 0)) + int(more.get(name, 0)))
    }


def separate(notes: NDArray[np.void]) -> tuple[NDArray[np.void], dict[str, int]]:
    """Return notes of which no two of the same pitch and instrument overlap, and what changed, for `Piece.dropped`.

    A key sounds as long as one of its notes is held, and each note ends where the next one of its key starts. Of notes
    with the same start, the loudest is kept.

    Args:
        notes: [N] of `NOTE`, in any order.
    """
    notes = notes[np.lexsort([notes[name] for name in ("velocity", "start", "pitch", "program", "drum")])]
    if not len(notes):
        return notes, {}
    same = np.ones(len(notes) - 1, bool)  # whether a note has the key of the one before it
    for name in ("drum", "program", "pitch"):
        same &= notes[name][1:] == notes[name][:-1]
    key = np.concatenate([[0], np.cumsum(~same)])
    # Latest end so far among the notes of the key. Ranks, because sums with float times would round them.
    ends, rank = np.unique(notes["end"], return_inverse=True)
    latest = ends[np.maximum.accumulate(rank + key * len(ends)) - key * len(ends)]
    following = np.append(np.where(same, notes["start"][1:], np.inf), np.inf)
    end = np.minimum(latest, following)
    kept = end > notes["start"]
    shortened = kept & (end < notes["end"])
    notes["end"] = end
    counts = {"doubled notes": (~kept).sum(), "notes shortened where their key is struck again": shortened.sum()}
    return notes[kept], add({}, counts)
