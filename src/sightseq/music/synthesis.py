"""Pieces to audio."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.extras import require
from sightseq.music.piece import Piece

PEAK = 0.9  # of the waveform
HARMONICS = (1.0, 0.4, 0.2, 0.1)  # amplitudes; low notes without any are inaudible on small loudspeakers


def waveform(piece: Piece, rate: int = 22050) -> NDArray[np.float32]:
    """Return the sound of a piece, mono [samples], with a peak of 0.9; a piece without notes is one second of silence.

    FluidSynth plays it with the sound font that pretty_midi brings, if the package pyfluidsynth and the library are
    installed. Otherwise each note is a decaying tone of four harmonics, and drums are silent.

    Args:
        piece: any piece.
        rate: samples per second.

    Raises:
        ConfigError: the extra `music` is not installed.
    """
    pretty_midi = require("pretty_midi", "music")
    midi = pretty_midi.PrettyMIDI()
    starts, ends = piece.seconds(piece.notes["start"]), piece.seconds(piece.notes["end"])
    instruments: dict[tuple[int, bool], Any] = {}
    for start, end, (_, _, pitch, velocity, program, drum) in zip(
        starts.tolist(), ends.tolist(), piece.notes.tolist(), strict=True
    ):
        if (program, drum) not in instruments:
            instruments[program, drum] = pretty_midi.Instrument(program, drum)
        instruments[program, drum].notes.append(pretty_midi.Note(velocity, pitch, start, end))
    midi.instruments = list(instruments.values())
    try:
        parts = [one.fluidsynth(fs=float(rate)) for one in midi.instruments]
    except (ImportError, OSError, ValueError, AttributeError):  # the package, the library or the sound font is missing
        parts = [one.synthesize(fs=rate, wave=_tone) for one in midi.instruments]
    sound = np.zeros(max([rate, *map(len, parts)]))
    for part in parts:
        sound[: len(part)] += part
    peak = np.abs(sound).max()
    return (sound * (PEAK / peak if peak else 1)).astype(np.float32)


def _tone(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """One tone at angles in radians."""
    tone = np.zeros_like(phase)
    for number, amplitude in enumerate(HARMONICS, start=1):
        tone += amplitude * np.sin(number * phase)
    return tone
