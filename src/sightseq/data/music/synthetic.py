"""Small synthetic pieces, quick to learn."""

import numpy as np

PROGRESSIONS = ((0, 5, 7, 0), (0, 9, 5, 7), (0, 7, 9, 5))  # roots of the chords, in semitones above the tonic
MINOR = frozenset({9})
CHORD = 2  # frames
BEATS = 4  # per measure
STEPS = [(name[0], len(name) - 1) for name in ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")]


def synthetic_pieces(count: int, seed: int) -> list[list[list[int]]]:
    """Return the MIDI pitches of the frames of random pieces.

    A piece repeats one chord progression in a random key. A chord is held for two frames; the bass has its root, and
    the three upper voices its triad.
    """
    generator = np.random.default_rng(seed)
    pieces = []
    for _ in range(count):
        tonic = int(generator.integers(40, 52))
        progression = PROGRESSIONS[generator.integers(len(PROGRESSIONS))]
        frames: list[list[int]] = []
        for _ in range(int(generator.integers(2, 5))):
            for root in progression:
                third = 3 if root in MINOR else 4
                triad = sorted(60 + (tonic + root + interval) % 12 for interval in (0, third, 7))
                frames += [[tonic + root % 12, *triad]] * CHORD
        pieces.append(frames)
    return pieces


def synthetic_score(seed: int) -> str:
    """Return a random piece for four voices as MusicXML, with a quarter note for each frame."""
    (frames,) = synthetic_pieces(1, seed)
    names = ("Soprano", "Alto", "Tenor", "Bass")
    parts, heads = "", ""
    for number, name in enumerate(names):
        heads += f'<score-part id="P{number}"><part-name>{name}</part-name></score-part>'
        pitches = [sorted(frame, reverse=True)[number] for frame in frames]
        parts += f'<part id="P{number}">'
        for measure, start in enumerate(range(0, len(frames), BEATS), 1):
            parts += f'<measure number="{measure}"><attributes><divisions>1</divisions></attributes>'
            parts += "".join(map(_note, pitches[start : start + BEATS])) + "</measure>"
        parts += "</part>"
    return f'<?xml version="1.0"?><score-partwise><part-list>{heads}</part-list>{parts}</score-partwise>'


def _note(pitch: int) -> str:
    step, sharp = STEPS[pitch % 12]
    name = f"<step>{step}</step><alter>{sharp}</alter><octave>{pitch // 12 - 1}</octave>"
    return f"<note><pitch>{name}</pitch><duration>1</duration></note>"
