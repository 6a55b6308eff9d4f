"""Pieces as token ids: notes that start and end, and the time between (Oore et al., 2018, arXiv 1808.03715)."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightseq.music.piece import NOTE, PITCHES, TEMPO, VELOCITY, Piece, add, pitch_name, separate

END, UNUSED = 0, 1
ON = 2  # id of the first event: pitch 0 starts
OFF = ON + PITCHES
LONGEST_SHIFT = 10_000  # steps
DRUMS = 128  # in `programs`
# Tempo events: twelve to an octave, so that a tempo changes by at most 3 %.
TEMPI = 16 * 2 ** (np.arange(61) / 12)  # 16 to 512 beats per minute


@dataclass(frozen=True)
class EventCodec:
    """A piece as a sequence of events, each one token.

    Token ids: 0 ends a piece, 1 is never used, and then, in this order: note-on of each pitch, note-off of each pitch,
    drum hit of each pitch (with `DRUMS`), time shifts of 1 to `max_shift` steps, velocities, programs (with more than
    one), tempi. A velocity holds for the notes that start after it, a program for the notes that start and end after
    it. At one time the tempo comes first, then the drums, then for each program the ends and the starts of its notes.

    Notes start and end at the nearest step and last at least one; a drum hit lasts exactly one. A note ends where its
    key is struck again. `quantised` returns what remains of a piece: `decode(encode(p)) == quantised(p)`.

    Attributes:
        grid: unit of time, "seconds" for a performance, "beats" for a score.
        steps: steps per second or beat.
        max_shift: longest time shift, in steps; a longer time is several shifts.
        velocities: number of velocities that are told apart; with 0, none are encoded.
        programs: programs of General MIDI that are told apart, 0..127, and `DRUMS` (128) for all drums. If it is empty,
            all notes but the drums are played by one piano. Notes of other programs are left out.
        tempo: whether tempo changes are encoded; only on the grid of beats.
        kind: tells the codecs of a spec apart.
    """

    grid: Literal["seconds", "beats"] = "seconds"
    steps: int = 100
    max_shift: int = 100
    velocities: int = 32
    programs: tuple[int, ...] = ()
    tempo: bool = False
    kind: Literal["events"] = "events"

    def __post_init__(self) -> None:
        if self.steps < 1 or not 1 <= self.max_shift <= LONGEST_SHIFT or not 0 <= self.velocities <= 127:
            raise ValueError(
                f"steps={self.steps}, max_shift={self.max_shift}, velocities={self.velocities}: at least one step, "
                f"shifts of 1..{LONGEST_SHIFT} steps, and 0..127 velocities"
            )
        if len(set(self.programs)) < len(self.programs) or not all(0 <= one <= DRUMS for one in self.programs):
            raise ValueError(f"programs={self.programs}: different numbers, 0..127, and {DRUMS} for drums")
        if self.tempo and self.grid == "seconds":
            raise ValueError("tempo events need grid=beats: on a grid of seconds the tempo is in the times")

    @cached_property
    def _melodic(self) -> tuple[int, ...]:
        """Programs but drums."""
        return tuple(program for program in self.programs if program != DRUMS)

    @cached_property
    def _sections(self) -> dict[str, tuple[int, int]]:
        """First token id and number of ids of each kind of event."""
        sizes = {
            "on": PITCHES,
            "off": PITCHES,
            "drum": PITCHES if DRUMS in self.programs else 0,
            "shift": self.max_shift,
            "velocity": self.velocities,
            "program": len(self._melodic) if len(self._melodic) > 1 else 0,
            "tempo": len(TEMPI) if self.tempo else 0,
        }
        starts = np.cumsum([ON, *sizes.values()]).tolist()
        return {name: (start, size) for (name, size), start in zip(sizes.items(), starts, strict=False)}

    @cached_property
    def _meanings(self) -> list[tuple[str, int]]:
        """Kind of event and value of each token id, such as ("on", 60)."""
        events = [(kind, value) for kind, (_, size) in self._sections.items() for value in range(size)]
        return [("", 0)] * ON + events

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return len(self._meanings)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A word for each token id, such as "on C4" or "shift 12"."""
        words: dict[str, Callable[[int], Any]] = {
            "on": pitch_name,
            "off": pitch_name,
            "shift": lambda value: value + 1,
            "velocity": self._velocity,
            "program": lambda value: self._melodic[value],
            "tempo": lambda value: f"{TEMPI[value]:.0f}",
        }
        return ("<end>", "<unused>", *(f"{kind} {words.get(kind, int)(value)}" for kind, value in self._meanings[ON:]))

    @cached_property
    def durations(self) -> NDArray[np.int64]:
        """Time that each token lasts, in steps [vocab_size]: those of time shifts, else 0."""
        return np.array([value + 1 if kind == "shift" else 0 for kind, value in self._meanings])

    def step(self, tempo: float) -> float:
        """Return the length of a step in beats, at a tempo in beats per minute."""
        return 1 / self.steps if self.grid == "beats" else tempo / 60 / self.steps

    def encode(self, piece: Piece) -> NDArray[np.int64]:
        """Return the token ids [T] of a piece, without the end."""
        piece = self.quantised(piece)
        starts, ends = self._steps(piece, piece.notes["start"]), self._steps(piece, piece.notes["end"])
        first = {kind: start for kind, (start, _) in self._sections.items()}
        places = {program: place for place, program in enumerate(self._melodic)}
        # Events as (step, place of the program, whether a note starts, pitch, velocity); -1 is before all programs.
        events: list[tuple[int, int, int, int, int]] = []
        rows = zip(starts.tolist(), ends.tolist(), piece.notes.tolist(), strict=True)
        for start, end, (_, _, pitch, velocity, program, drum) in rows:
            place = -1 if drum else places.get(program, 0)
            events.append((start, place, 1, pitch, velocity))
            if not drum:
                events.append((end, place, 0, pitch, 0))
        if self.tempo:
            beats = self._steps(piece, [beat for beat, _ in piece.tempi]).tolist()
            events += [
                (beat, -2, 0, _nearest_tempo(tempo), 0) for beat, (_, tempo) in zip(beats, piece.tempi, strict=True)
            ]
        tokens: list[int] = []
        now, loudness, playing = 0, -1, -1
        for step, place, starting, pitch, velocity in sorted(events):
            while now < step:
                shift = min(step - now, self.max_shift)
                tokens.append(first["shift"] + shift - 1)
                now += shift
            if place == -2:
                tokens.append(first["tempo"] + pitch)
                continue
            if place >= 0 and place != playing and self._sections["program"][1]:
                tokens.append(first["program"] + place)
                playing = place
            if starting and self.velocities and (level := self._level(velocity)) != loudness:
                tokens.append(first["velocity"] + level)
                loudness = level
            tokens.append(first["drum" if place < 0 else "on" if starting else "off"] + pitch)
        return np.array(tokens, np.int64)

    def decode(self, tokens: Iterable[int], tempo: float = TEMPO) -> Piece:
        """Return the piece of token ids, up to the first 0. Any integers are accepted.

        A note-off without a note, and an id that is not in use, are ignored; a note that is struck again ends; a note
        without a note-off ends with the piece. `dropped` counts them.

        Args:
            tokens: token ids.
            tempo: beats per minute, unless tempo events say otherwise.
        """
        rows: list[tuple[int, int, int, int, int, bool]] = []  # as `NOTE`, in steps
        sounding: dict[tuple[int, int], tuple[int, int]] = {}  # start and velocity by program and pitch
        tempi: dict[int, float] = {0: tempo}
        dropped: Counter[str] = Counter()
        now, velocity, program = 0, VELOCITY, self._melodic[0] if self._melodic else 0

        def end(pitch: int, of: int) -> None:
            start, loudness = sounding.pop((of, pitch))
            rows.append((start, max(now, start + 1), pitch, loudness, of, False))

        for token in map(int, tokens):
            if token == END:
                break
            kind, value = self._meanings[token] if 0 <= token < len(self._meanings) else ("", 0)
            if kind == "shift":
                now += value + 1
            elif kind == "on":
                if (program, value) in sounding:
                    dropped["notes shortened where their key is struck again"] += 1
                    end(value, program)
                sounding[program, value] = (now, velocity)
            elif kind == "off" and (program, value) in sounding:
                end(value, program)
            elif kind == "off":
                dropped["note-offs without a note"] += 1
            elif kind == "drum":
                rows.append((now, now + 1, value, velocity, 0, True))
            elif kind == "velocity":
                velocity = self._velocity(value)
            elif kind == "program":
                program = self._melodic[value]
            elif kind == "tempo":
                tempi[now] = float(TEMPI[value])
            else:
                dropped["tokens that are not in use"] += 1
        dropped["notes without a note-off"] = len(sounding)
        for of, pitch in list(sounding):
            end(pitch, of)
        notes, changed = separate(np.array(rows, NOTE))
        beats = self.step(tempo)
        notes["start"] *= beats
        notes["end"] *= beats
        return Piece(notes, tuple((step * beats, tempi[step]) for step in sorted(tempi)), add(dropped, changed))

    def quantised(self, piece: Piece) -> Piece:
        """Return what the codec keeps of a piece; `dropped` counts what it left out or shortened.

        On a grid of seconds, times are converted to beats at the first tempo of the piece.
        """
        drums = piece.notes["drum"]
        if self.programs:
            kept = np.where(drums, DRUMS in self.programs, np.isin(piece.notes["program"], self._melodic))
        else:
            kept = ~drums
        notes = piece.notes[kept]
        starts, ends = self._steps(piece, notes["start"]), self._steps(piece, notes["end"])
        notes["start"] = starts
        notes["end"] = np.where(notes["drum"], starts + 1, np.maximum(ends, starts + 1))
        notes["program"] = np.where(notes["drum"] | (not self.programs), 0, notes["program"])
        levels = self._level(notes["velocity"].astype(int))
        notes["velocity"] = np.vectorize(self._velocity, otypes=[np.uint8])(levels) if self.velocities else VELOCITY
        notes, changed = separate(notes)
        tempo = piece.tempi[0][1]
        tempi = {0: tempo}
        if self.tempo:
            beats = self._steps(piece, [beat for beat, _ in piece.tempi]).tolist()
            tempi = {beat: float(TEMPI[_nearest_tempo(bpm)]) for beat, (_, bpm) in zip(beats, piece.tempi, strict=True)}
        unit = self.step(tempo)
        notes["start"] *= unit
        notes["end"] *= unit
        left_out = {"drum notes": (drums & ~kept).sum(), "notes of other programs": (~drums & ~kept).sum()}
        left_out["tempo changes"] = (1 - self.tempo) * (len(piece.tempi) - 1)
        steps = tuple((beat * unit, bpm) for beat, bpm in sorted(tempi.items()))
        return Piece(notes, steps, add(piece.dropped, add(changed, left_out)))

    def transposition(self, semitones: int) -> NDArray[np.int64]:
        """Return the token id [vocab_size] that each token id becomes if a piece is transposed; drums stay.

        Pitches that leave 0..127 are moved back by an octave.
        """
        pitches = np.arange(PITCHES) + semitones
        pitches = np.where(pitches < 0, pitches % 12, np.where(pitches < PITCHES, pitches, 116 + (pitches - 116) % 12))
        table = np.arange(self.vocab_size)
        table[ON:OFF] = ON + pitches
        table[OFF : OFF + PITCHES] = OFF + pitches
        return table

    def stretching(self, factor: float) -> NDArray[np.int64]:
        """Return the token id [vocab_size] that each token id becomes if a piece lasts `factor` times as long.

        Each shift is rounded to a whole number of steps in 1..max_shift, so very short and very long ones change less.

        Raises:
            ValueError: the grid is in beats, which stretching would leave.
        """
        if self.grid == "beats":
            raise ValueError("pieces on a grid of beats cannot be stretched")
        start, size = self._sections["shift"]
        table = np.arange(self.vocab_size)
        shifts = np.floor(np.arange(1, size + 1) * factor + 0.5).astype(int).clip(1, size)
        table[start : start + size] = start + shifts - 1
        return table

    def _steps(self, piece: Piece, beats: ArrayLike) -> NDArray[np.int64]:
        """Times in beats, rounded to steps."""
        times = np.asarray(beats, float) if self.grid == "beats" else piece.seconds(beats)
        return np.floor(times * self.steps + 0.5).astype(np.int64)

    def _level(self, velocity: Any) -> Any:
        """Level of a velocity 1..127, or of an array: equal parts of the range."""
        return (velocity - 1) * self.velocities // 127

    def _velocity(self, level: int) -> int:
        """Velocity in the middle of a level."""
        lowest, following = (1 - (-127 * one // self.velocities) for one in (level, level + 1))
        return (lowest + following - 1) // 2


def _nearest_tempo(tempo: float) -> int:
    """Index of the nearest of `TEMPI`."""
    return int(np.abs(np.log(TEMPI / tempo)).argmin())
