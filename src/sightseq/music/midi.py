"""MIDI files to pieces and back.

Files are parsed by mido, which pretty_midi is built on, because pretty_midi's own reader keeps times in seconds, reads
tempo changes from the first track only and drops notes without a note-off.
"""

import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import InputError
from sightseq.core.extras import require
from sightseq.core.files import replacing
from sightseq.music.piece import NOTE, TEMPO, Piece, add, separate

LARGEST = 4 * 2**20  # bytes, about 600,000 notes; parsing needs about 170 times this memory
LONGEST = 100_000  # beats, 14 hours at 120 beats per minute
RESOLUTION = 480  # ticks per beat of written files
DRUM_CHANNEL = 9  # channel 10, counted from 1
CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]
SUSTAIN, SOUND_OFF, NOTES_OFF, DOWN = 64, 120, 123, 64  # controllers, and the least value of a pedal that is down
MINUTE = 60_000_000  # microseconds


def read_midi(source: Path | str | bytes, sustain: bool = True) -> Piece:
    """Read a MIDI file of type 0 or 1.

    - Notes of channel 10 are drums. The program of a note is the last program change of its channel in its own track,
      or else in any track.
    - A note-off (or note-on with velocity 0) ends the first note of its key and track that is still held. A note
      without one ends with the last note-off of its key, or else with the file.
    - Notes of one key and instrument never overlap: see `piece.separate`. Notes of zero length are left out.
    - While the sustain pedal is down, a note lasts until the pedal is released or its key is struck again. Other
      controllers and pitch bends are ignored.
    - Tempo changes of all tracks count. Without any, the tempo is 120 beats per minute.

    Args:
        source: path or content of the file.
        sustain: whether the pedal prolongs notes.

    Returns:
        The piece, without notes if the file has none; `dropped` counts what was left out or changed.

    Raises:
        InputError: the file cannot be read: it is missing, empty, no MIDI file, cut off, corrupt, of type 2, in time
            code, above `LARGEST` bytes, or longer than `LONGEST` beats.
        ConfigError: the extra `music` is not installed.
    """
    name = "the MIDI file" if isinstance(source, bytes) else str(source)
    midi = _parse(source, name)
    if midi.type == 2:
        raise InputError(f"{name} has type 2, independent patterns; save it as type 0 or 1")
    if midi.ticks_per_beat <= 0:
        raise InputError(f"{name} counts time in frames of film (SMPTE), not in beats; save it with ticks per beat")
    messages = []
    for number, track in enumerate(midi.tracks):
        tick = 0
        for message in track:
            tick += message.time
            messages.append((tick, number, message))
    messages.sort(key=lambda one: one[0])  # stable: in the order of the tracks
    listener = _Listener(sustain)
    for tick, number, message in messages:
        listener.hear(tick, number, message)
    rows, without_end = listener.finish(messages[-1][0] if messages else 0)
    notes = np.array([tuple(row) for row in rows], NOTE)
    empty = notes["end"] <= notes["start"]
    notes, changed = separate(notes[~empty])
    notes["start"] /= midi.ticks_per_beat
    notes["end"] /= midi.ticks_per_beat
    end = float(notes["end"].max(initial=0))
    if end > LONGEST:
        raise InputError(
            f"{name} lasts {end:,.0f} beats; at most {LONGEST:,} can be read, so cut it into shorter files"
        )
    counts = {"notes of zero length": empty.sum(), "notes without a note-off": without_end}
    return Piece(notes, _tempi(listener.tempi, midi.ticks_per_beat, end), add(counts, changed))


def _parse(source: Path | str | bytes, name: str) -> Any:
    """Return a `mido.MidiFile`; see `read_midi` for the errors."""
    mido = require("mido", "music")
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror})") from error
    if not data:
        raise InputError(f"{name} is empty; copy or download it again")
    if not data.startswith(b"MThd"):
        raise InputError(f"{name} is not a MIDI file, whatever its name; name a file that is one")
    if len(data) > LARGEST:
        raise InputError(
            f"{name} has {len(data) / 2**20:.0f} MiB, more than half a million notes; "
            f"at most {LARGEST // 2**20} MiB can be read, so cut it into shorter files"
        )
    try:
        midi = mido.MidiFile(file=io.BytesIO(data))
        if len(midi.tracks) < int.from_bytes(data[10:12], "big"):  # mido reads a number above 32,767 as a negative one
            raise EOFError
        return midi
    except EOFError as error:
        raise InputError(f"{name} is cut off; copy or download it again") from error
    except Exception as error:  # mido raises many types
        raise InputError(f"{name} is corrupt ({error}); copy or download it again, or leave it out") from error


class _Listener:
    """Turns messages, in the order of their ticks, into notes."""

    def __init__(self, sustain: bool) -> None:
        self.sustain = sustain
        self.tempi: dict[int, int] = {}  # microseconds per beat by tick
        self._rows: list[list[Any]] = []  # as `NOTE`, in ticks
        self._open: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)  # rows by track, channel, pitch
        self._last_off: dict[tuple[int, int, int], int] = {}
        self._programs: dict[Any, int] = {}  # by channel, and by track and channel
        self._pedal: set[int] = set()  # channels whose pedal is down
        self._held: defaultdict[int, list[int]] = defaultdict(list)  # rows that the pedal holds, by channel

    def hear(self, tick: int, track: int, message: Any) -> None:
        """Process one message."""
        kind = message.type
        if kind == "note_on" and message.velocity:
            self._start(tick, track, message.channel, message.note, message.velocity)
        elif kind in ("note_on", "note_off"):
            self._end(tick, (track, message.channel, message.note))
        elif kind == "program_change":
            self._programs[message.channel] = self._programs[track, message.channel] = message.program
        elif kind == "control_change":
            self._control(tick, message.channel, message.control, message.value)
        elif kind == "set_tempo" and message.tempo:
            self.tempi[tick] = message.tempo

    def finish(self, tick: int) -> tuple[list[list[Any]], int]:
        """End all notes; return the rows, and how many of them had no note-off."""
        without = 0
        for key, rows in self._open.items():
            for row in rows:
                last = self._last_off.get(key, 0)
                self._rows[row][1] = last if last > self._rows[row][0] else tick
            without += len(rows)
        for channel in list(self._held):
            self._release(tick, channel)
        return self._rows, without

    def _start(self, tick: int, track: int, channel: int, pitch: int, velocity: int) -> None:
        drum = channel == DRUM_CHANNEL
        program = 0 if drum else self._programs.get((track, channel), self._programs.get(channel, 0))
        self._open[track, channel, pitch].append(len(self._rows))
        self._rows.append([tick, tick, pitch, velocity, program, drum])

    def _end(self, tick: int, key: tuple[int, int, int]) -> None:
        self._last_off[key] = tick
        if rows := self._open[key]:
            row = rows.pop(0)
            self._rows[row][1] = tick
            if key[1] in self._pedal:
                self._held[key[1]].append(row)

    def _control(self, tick: int, channel: int, control: int, value: int) -> None:
        if control == SUSTAIN and self.sustain and channel != DRUM_CHANNEL:
            if value >= DOWN:
                self._pedal.add(channel)
            else:
                self._pedal.discard(channel)
                self._release(tick, channel)
        elif control in (SOUND_OFF, NOTES_OFF):
            for key in [key for key, rows in self._open.items() if rows and key[1] == channel]:
                while self._open[key]:
                    self._end(tick, key)

    def _release(self, tick: int, channel: int) -> None:
        for row in self._held.pop(channel, []):
            self._rows[row][1] = tick


def _tempi(ticks: Mapping[int, int], per_beat: int, end: float) -> tuple[tuple[float, float], ...]:
    """Tempo changes in beats before the end of the last note; repetitions are left out."""
    found = [(0.0, TEMPO)]
    for tick, tempo in sorted(ticks.items()):
        beat, per_minute = tick / per_beat, MINUTE / tempo
        if beat == 0:
            found = [(0.0, per_minute)]
        elif per_minute != found[-1][1] and beat < end:
            found.append((beat, per_minute))
    return tuple(found)


def write_midi(piece: Piece, path: Path) -> None:
    """Write a MIDI file of type 1: the tempi, then one track for each instrument.

    Times are rounded to 1 / 480 beat. Each note lasts at least that long, and ends where its key is struck again. Each
    instrument has its own channel, unless there are more than 15.

    Raises:
        ConfigError: the extra `music` is not installed.
        DiskError: the file cannot be written.
    """
    mido = require("mido", "music")
    midi = mido.MidiFile(type=1, ticks_per_beat=RESOLUTION)
    changes = [(round(beat * RESOLUTION), min(round(MINUTE / tempo), 2**24 - 1)) for beat, tempo in piece.tempi]
    midi.tracks.append(_track([(tick, mido.MetaMessage("set_tempo", tempo=tempo)) for tick, tempo in changes]))
    notes = piece.notes.copy()
    notes["start"] = np.rint(notes["start"] * RESOLUTION)
    notes["end"] = np.maximum(np.rint(notes["end"] * RESOLUTION), notes["start"] + 1)
    notes, _ = separate(notes)
    programs = np.unique(notes["program"][~notes["drum"]]).tolist()
    for place, program in enumerate(programs):
        own = notes[(notes["program"] == program) & ~notes["drum"]]
        change = mido.Message("program_change", channel=CHANNELS[place % len(CHANNELS)], program=program)
        midi.tracks.append(_track(_messages(mido, own, change, len(programs) > len(CHANNELS))))
    if notes["drum"].any():
        change = mido.Message("program_change", channel=DRUM_CHANNEL, program=0)
        midi.tracks.append(_track(_messages(mido, notes[notes["drum"]], change, False)))
    with replacing(path) as file:
        midi.save(file=file)


def _messages(mido: Any, notes: NDArray[np.void], change: Any, shared: bool) -> list[tuple[int, Any]]:
    """Messages of one instrument with their ticks; with `shared`, each note names its program again."""
    found = [(0, 0, change)]
    for start, end, pitch, velocity, _, _ in notes.tolist():
        if shared:
            found.append((int(start), 1, change))
        about = {"channel": change.channel, "note": pitch}
        found.append((int(start), 2, mido.Message("note_on", velocity=velocity, **about)))
        found.append((int(end), 0, mido.Message("note_off", velocity=0, **about)))
    found.sort(key=lambda one: one[:2])  # at one tick, notes end before others start
    return [(tick, message) for tick, _, message in found]


def _track(messages: list[tuple[int, Any]]) -> list[Any]:
    """Messages with the ticks since the one before."""
    ticks = [0, *(tick for tick, _ in messages)]
    return [message.copy(time=tick - before) for (tick, message), before in zip(messages, ticks, strict=False)]
