"""Statistics of pieces, by which composed and training music are compared."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.music.melody import upper_line
from sightseq.music.piece import Piece

BAR = 4.0  # beats
WIDEST = 12  # semitones: wider intervals are counted as an octave
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
"""How well each pitch class fits a key on C: Krumhansl and Kessler, 1982."""


def pitch_classes(piece: Piece) -> NDArray[np.float64]:
    """Return the share of each pitch class, C first, in the duration of all notes but drums [12]; 0 without notes."""
    notes = _melodic(piece)
    return _shares(np.bincount(notes["pitch"] % 12, notes["end"] - notes["start"], minlength=12))


def top_line(piece: Piece) -> NDArray[np.int64]:
    """Return the pitches of the upper line [N]: see `melody.upper_line`."""
    notes = _melodic(piece)
    rows = upper_line(notes["start"], notes["end"], notes["pitch"])
    return notes["pitch"][rows].astype(np.int64)


def intervals(piece: Piece) -> NDArray[np.float64]:
    """Return the share of each melodic interval of the upper line, from an octave down to an octave up [25]."""
    steps = np.diff(top_line(piece)).clip(-WIDEST, WIDEST)
    return _shares(np.bincount(steps + WIDEST, minlength=2 * WIDEST + 1))


def key(piece: Piece) -> tuple[int, str]:
    """Return the pitch class of the tonic and the mode ("major" or "minor") of the best-fitting key.

    Its profile (Krumhansl and Kessler, 1982) has the highest correlation with the durations of the pitch classes.
    """
    durations = pitch_classes(piece)
    fits = {
        (tonic, mode): np.corrcoef(np.roll(profile, tonic), durations)[0, 1] if durations.std() else 0.0
        for mode, profile in PROFILES.items()
        for tonic in range(12)
    }
    return max(fits, key=lambda one: fits[one])


def out_of_key(piece: Piece) -> float:
    """Return the share of the duration of notes outside the scale of `key` (natural minor), 0..1."""
    tonic, mode = key(piece)
    return float(np.delete(np.roll(pitch_classes(piece), -tonic), SCALES[mode]).sum())


def polyphony(piece: Piece) -> float:
    """Return the mean number of notes that sound together, at the times when any note sounds."""
    notes = _melodic(piece)
    if not len(notes):
        return 0.0
    times = np.concatenate([notes["start"], notes["end"]])
    changes = np.repeat([1, -1], len(notes))
    order = np.argsort(times, kind="stable")
    sounds = np.cumsum(changes[order])[:-1] > 0
    return float((notes["end"] - notes["start"]).sum() / np.diff(times[order])[sounds].sum())


def density(piece: Piece) -> float:
    """Return the number of notes per beat."""
    return len(_melodic(piece)) / piece.duration if piece.duration else 0.0


def repetition(piece: Piece) -> float:
    """Return the share of bars whose onsets and pitches occur before in the piece, of the bars in which notes start."""
    notes = _melodic(piece)
    bars: dict[int, set[tuple[int, int]]] = {}
    numbers = np.floor(notes["start"] / BAR + 1e-6).astype(int)
    places = np.rint((notes["start"] - numbers * BAR) * 48).astype(int)  # 1/48 beat
    for number, place, pitch in zip(numbers.tolist(), places.tolist(), notes["pitch"].tolist(), strict=True):
        bars.setdefault(number, set()).add((place, pitch))
    return 1 - len({frozenset(one) for one in bars.values()}) / len(bars) if bars else 0.0


def overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return how far two histograms agree, 0..1: 1 minus half the sum of the absolute differences of their shares."""
    return 1 - float(np.abs(one - other).sum()) / 2


def describe(pieces: Iterable[Piece]) -> dict[str, Any]:
    """Return the mean over the pieces of each statistic, histograms included.

    Args:
        pieces: at least one piece; pieces without notes count only if all are.

    Returns:
        `pitch_classes` [12] and `intervals` [25] as arrays; `notes_per_beat`, `polyphony`, `out_of_key` and
        `repetition` as numbers.
    """
    rows: list[dict[str, Any]] = [
        {
            "pitch_classes": pitch_classes(piece),
            "intervals": intervals(piece),
            "notes_per_beat": density(piece),
            "polyphony": polyphony(piece),
            "out_of_key": out_of_key(piece),
            "repetition": repetition(piece),
        }
        for piece in pieces
    ]
    rows = [row for row in rows if row["polyphony"]] or rows
    found = {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}
    return {name: value if value.ndim else float(value) for name, value in found.items()}


def _melodic(piece: Piece) -> NDArray[np.void]:
    """Notes but drums."""
    notes: NDArray[np.void] = piece.notes[~piece.notes["drum"]]
    return notes


def _shares(counts: NDArray[Any]) -> NDArray[np.float64]:
    total = counts.sum()
    return counts / total if total else counts.astype(float)
