"""Piano rolls: which of the 88 keys of a piano sound in each frame."""

import numpy as np
from numpy.typing import NDArray

from sightseq.music.piece import NOTE, TEMPO, VELOCITY, Piece, add

KEYS = 88
LOWEST = 21  # MIDI pitch of key 0, A0
NEAR = 1e-6  # frames: a note this close to the start of a frame starts or ends exactly there


def to_roll(piece: Piece, step: float, frames: int | None = None) -> NDArray[np.uint8]:
    """Return the piano roll of a piece.

    Frame t covers the beats from t * step to (t + 1) * step. A key is 1 in the frames at whose start it sounds; a note
    shorter than a frame that sounds at the start of none is 1 in the frame in which it starts. Velocities, instruments
    and repetitions of a key without a pause are lost; notes counted by `outside_roll` are left out.

    Args:
        piece: any piece.
        step: beats per frame.
        frames: number of frames T; later notes are cut. By default the roll ends with the last note.

    Returns:
        [T, 88], 0 or 1; key 0 is A0.
    """
    notes = piece.notes[_playable(piece)]
    starts, ends = notes["start"] / step, notes["end"] / step
    first, last = np.ceil(starts - NEAR).astype(int), np.ceil(ends - NEAR).astype(int)
    first = np.where(last > first, first, np.floor(starts + NEAR).astype(int))
    last = np.maximum(last, first + 1)
    roll = np.zeros((int(last.max(initial=0)) if frames is None else frames, KEYS), np.uint8)
    for key, start, end in zip(notes["pitch"].astype(int) - LOWEST, first.tolist(), last.tolist(), strict=True):
        roll[start:end, key] = 1
    return roll


def outside_roll(piece: Piece) -> dict[str, int]:
    """Return what `to_roll` leaves out of a piece, as in `Piece.dropped`."""
    drums = piece.notes["drum"]
    outside = ~_playable(piece) & ~drums
    return add({}, {"drum notes": drums.sum(), "notes outside the 88 keys": outside.sum()})


def from_roll(roll: NDArray[np.uint8], step: float, tempo: float = TEMPO, velocity: int = VELOCITY) -> Piece:
    """Return the piece of a piano roll: a key that sounds in consecutive frames is one note.

    `to_roll(from_roll(roll, step), step, len(roll))` is `roll`. `from_roll(to_roll(piece, step), step)` has the notes
    of `piece` if they start and end at multiples of `step` and no key is repeated without a pause.

    Args:
        roll: [T, K], 0 where a key is silent; key 0 is A0.
        step: beats per frame.
        tempo: beats per minute.
        velocity: of all notes, 1..127.
    """
    padded = np.zeros((len(roll) + 2, roll.shape[1]), np.int8)
    padded[1:-1] = roll != 0
    changes = np.diff(padded, axis=0).T  # [K, T + 1]
    keys, starts = np.nonzero(changes == 1)
    _, ends = np.nonzero(changes == -1)  # of each key in order, so they match
    notes = np.zeros(len(keys), NOTE)
    notes["start"], notes["end"] = starts * step, ends * step
    notes["pitch"], notes["velocity"] = keys + LOWEST, velocity
    return Piece(notes, ((0.0, tempo),))


def _playable(piece: Piece) -> NDArray[np.bool_]:
    pitches = piece.notes["pitch"].astype(int) - LOWEST
    playable: NDArray[np.bool_] = (pitches >= 0) & (pitches < KEYS) & ~piece.notes["drum"]
    return playable
