"""MIDI files, built by hand with mido: reading, writing, and files that cannot be read."""

import io
import logging
import time
import warnings
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest

from sightseq.core import extras
from sightseq.core.errors import ConfigError, InputError
from sightseq.music import midi
from sightseq.music.midi import read_midi, write_midi
from sightseq.music.piece import Piece
from tests.unit.test_music_pieces import make

BEAT = 480  # ticks


def on(time: float, note: int, velocity: int = 80, channel: int = 0) -> tuple[float, mido.Message]:
    return time, mido.Message("note_on", note=note, velocity=velocity, channel=channel)


def off(time: float, note: int, channel: int = 0) -> tuple[float, mido.Message]:
    return time, mido.Message("note_off", note=note, velocity=64, channel=channel)


def control(time: float, number: int, value: int, channel: int = 0) -> tuple[float, mido.Message]:
    return time, mido.Message("control_change", control=number, value=value, channel=channel)


def program(time: float, number: int, channel: int = 0) -> tuple[float, mido.Message]:
    return time, mido.Message("program_change", program=number, channel=channel)


def tempo(time: float, bpm: float) -> tuple[float, mido.MetaMessage]:
    return time, mido.MetaMessage("set_tempo", tempo=round(6e7 / bpm))


def pedal(time: float, down: bool, channel: int = 0) -> tuple[float, mido.Message]:
    return control(time, 64, 127 if down else 0, channel)


def file(*tracks: list[tuple[float, mido.Message]], kind: int = 1, beat: int = BEAT) -> bytes:
    """A MIDI file of tracks of messages, each with its time in beats."""
    found = mido.MidiFile(type=kind, ticks_per_beat=beat)
    for track in tracks:
        now, messages = 0, mido.MidiTrack()
        for moment, message in sorted(track, key=lambda one: one[0]):
            messages.append(message.copy(time=round(moment * beat) - now))
            now = round(moment * beat)
        found.tracks.append(messages)
    stream = io.BytesIO()
    found.save(file=stream)
    return stream.getvalue()


SCALE = [on(0, 60), off(1, 60), on(1, 62), off(2, 62), on(2, 64), off(2.5, 64)]
SCALE_PIECE = make((0, 1, 60), (1, 2, 62), (2, 2.5, 64))


@pytest.mark.parametrize("kind", [0, 1])
def test_both_types_of_files_are_read(kind: int, tmp_path: Path) -> None:
    data = file(SCALE, kind=kind)
    assert read_midi(data) == SCALE_PIECE
    (tmp_path / "scale.mid").write_bytes(data)
    assert read_midi(tmp_path / "scale.mid") == read_midi(str(tmp_path / "scale.mid")) == SCALE_PIECE
    assert read_midi(data).dropped == {}


def test_tracks_are_merged() -> None:
    low = [program(0, 42, 1), on(0, 36, 50, 1), off(4, 36, 1)]
    assert read_midi(file([tempo(0, 100)], SCALE, low)) == make(
        (0, 1, 60), (0, 4, 36, 50, 42), (1, 2, 62), (2, 2.5, 64), tempi=((0.0, 100.0),)
    )


def test_tempo_changes_of_all_tracks_count() -> None:
    piece = read_midi(file([tempo(0, 60), tempo(1, 60)], [*SCALE, tempo(2, 240), tempo(9, 30)]))
    assert piece.tempi == ((0.0, 60.0), (2.0, 240.0))  # without repetitions, and those after the last note
    assert piece.seconds(piece.duration) == 2 + 0.5 / 4
    assert read_midi(file([tempo(1, 240), *SCALE])).tempi == ((0.0, 120.0), (1.0, 240.0))


def test_the_channel_of_drums() -> None:
    piece = read_midi(file([program(0, 5, 9), on(0, 36, 99, 9), off(0.5, 36, 9), *SCALE]))
    assert piece == make((0, 0.5, 36, 99, 0, True), *SCALE_PIECE.notes.tolist())


def test_programs_belong_to_channels_and_tracks() -> None:
    changing = [program(0, 10), on(0, 60), off(1, 60), program(1, 20), on(1, 60), off(2, 60)]
    other = [program(0, 30), on(0, 70), off(1, 70)]  # the same channel in another track
    without = [on(1.5, 80), off(2, 80)]  # the last program of the channel in any track
    piece = read_midi(file(changing, other, without))
    assert piece == make((0, 1, 60, 80, 10), (1, 2, 60, 80, 20), (0, 1, 70, 80, 30), (1.5, 2, 80, 80, 20))


def test_the_pedal_prolongs_notes_to_its_release_or_the_next_note_of_the_key() -> None:
    notes = [on(0, 60), off(1, 60), on(0, 62), off(1, 62), on(2, 60), off(2.5, 60), on(5, 60), off(6, 60)]
    data = file([*notes, pedal(0.5, True), pedal(4, False)])
    assert read_midi(data) == make((0, 2, 60), (0, 4, 62), (2, 4, 60), (5, 6, 60))
    assert read_midi(data, sustain=False) == make((0, 1, 60), (0, 1, 62), (2, 2.5, 60), (5, 6, 60))
    # The threshold is 64; the pedal of another channel and of drums has no effect.
    half = [*SCALE, control(0, 64, 63), pedal(0, True, 1), on(0, 36, 80, 9), off(1, 36, 9), pedal(0, True, 9)]
    assert read_midi(file(half)) == make(*SCALE_PIECE.notes.tolist(), (0, 1, 36, 80, 0, True))
    # A pedal that is never released holds to the end of the file.
    assert read_midi(file([*SCALE, control(0, 64, 64), on(3, 70), off(4, 70)])).notes["end"].tolist() == [4, 4, 4, 4]


def test_overlapping_notes_of_a_key() -> None:
    piece = read_midi(file([on(0, 60), on(1, 60), off(2, 60), off(3, 60)]))
    assert piece == make((0, 1, 60), (1, 3, 60))
    assert piece.dropped == {"notes shortened where their key is struck again": 1}
    twice = [on(0, 60, 70), off(2, 60)]
    piece = read_midi(file(twice, [on(0, 60, 90), off(1, 60)]))
    assert piece == make((0, 2, 60, 90))
    assert piece.dropped == {"doubled notes": 1}


def test_velocity_zero_ends_a_note() -> None:
    assert read_midi(file([on(0, 60), on(1, 60, 0), on(2, 60), on(3, 60, 0)])) == make((0, 1, 60), (2, 3, 60))
    assert read_midi(file([off(0, 60), *SCALE, off(2.2, 60)])) == SCALE_PIECE  # note-offs without a note


def test_missing_note_offs() -> None:
    piece = read_midi(file([on(0, 60), *[one for one in SCALE if one[0]][1:]]))
    assert piece == make((0, 2.5, 60), (1, 2, 62), (2, 2.5, 64))  # to the end of the file
    assert piece.dropped == {"notes without a note-off": 1}
    # The first note is struck again; the second has the last note-off of the key.
    piece = read_midi(file([on(0, 60), on(1, 60), off(2, 60), on(2, 72), off(9, 72)]))
    assert piece == make((0, 1, 60), (1, 2, 60), (2, 9, 72))
    assert piece.dropped["notes without a note-off"] == 1


@pytest.mark.parametrize("number", [120, 123])
def test_all_notes_off(number: int) -> None:
    piece = read_midi(file([on(0, 60), on(0, 64), on(0, 67, 80, 1), control(1, number, 0), off(2, 67, 1)]))
    assert piece == make((0, 1, 60), (0, 1, 64), (0, 2, 67, 80, 0))
    assert piece.dropped == {}


def test_notes_of_zero_length_are_left_out() -> None:
    piece = read_midi(file([*SCALE, on(0.5, 70), off(0.5, 70)]))
    assert piece == SCALE_PIECE
    assert piece.dropped == {"notes of zero length": 1}


def test_files_without_notes() -> None:
    for data in (file([]), file(), file([tempo(0, 60), control(1, 7, 100)])):
        assert len(read_midi(data).notes) == 0
    drums = read_midi(file([on(0, 36, 80, 9), off(1, 36, 9)]))
    assert drums.notes["drum"].all()


def header(kind: int = 1, tracks: int = 1, beat: int = BEAT) -> bytes:
    return b"MThd" + b"".join(n.to_bytes(size, "big") for n, size in ((6, 4), (kind, 2), (tracks, 2), (beat, 2)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty; copy or download it again"),
        (b"These are notes: C D E\n", "is not a MIDI file, whatever its name"),
        (file(SCALE)[:-9], "is cut off; copy"),
        (file(SCALE)[:10], "is cut off; copy"),
        (header(tracks=60000), "is cut off"),
        (header() + b"MTrk\0\0\0\4\0\xff\x2f\0", None),
        (header() + b"MTrk\0\0\0\4\0\x20\x20\0", "is corrupt .*running status"),
        (header() + b"MTrk\0\0\0\4\0\x90\xff\xff", "is corrupt"),
        (header() + b"Junk\0\0\0\4\0\xff\x2f\0", "is corrupt .*MTrk"),
        (header(kind=2) + b"MTrk\0\0\0\4\0\xff\x2f\0", "type 2, independent patterns; save it as type 0 or 1"),
        (header(beat=0xE250) + b"MTrk\0\0\0\4\0\xff\x2f\0", "SMPTE"),
        (header(beat=0) + b"MTrk\0\0\0\4\0\xff\x2f\0", "ticks per beat"),
        (b"MThd" + bytes(midi.LARGEST), "4 MiB can be read, so cut it"),
    ],
)
def test_bad_files(data: bytes, words: str | None, tmp_path: Path) -> None:
    path = tmp_path / "tune.mid"
    path.write_bytes(data)
    if words is None:
        assert len(read_midi(path).notes) == 0
        return
    with pytest.raises(InputError, match=words) as error:
        read_midi(path)
    assert str(path) in str(error.value)
    with pytest.raises(InputError, match=words):
        read_midi(data)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.mid cannot be read \(No such file"):
        read_midi(tmp_path / "none.mid")


def test_any_bytes_are_read_or_refused_in_one_line() -> None:
    random = np.random.default_rng(0)
    whole = file([tempo(0, 90), program(0, 3), *SCALE, pedal(0, True), pedal(2, False)])
    for _ in range(300):
        data = bytearray(whole)
        for place in random.integers(14, len(data), random.integers(1, 6)):
            data[place] = random.integers(256)
        data = bytes(data[: random.integers(20, len(data) + 1)])
        try:
            found = read_midi(data)
        except InputError as error:
            found = str(error)
        assert isinstance(found, Piece) or "\n" not in found


def test_ten_hours_are_read_and_longer_files_refused() -> None:
    ten_hours = 10 * 60 * 120  # beats at 120 beats per minute
    piece = read_midi(file([on(0, 60), off(1, 60), on(ten_hours - 1, 62), off(ten_hours, 62)]))
    assert piece == make((0, 1, 60), (ten_hours - 1, ten_hours, 62))
    with pytest.raises(InputError, match=r"lasts 200,000 beats; at most 100,000 can be read"):
        read_midi(file([on(0, 60), off(200_000, 60)]))


def test_three_million_notes_are_refused_at_once() -> None:
    notes = b"\1\x90\x40\x50\1\x40\0" + b"\1\x40\x50\1\x40\0" * 2_999_999
    body = notes + b"\0\xff\x2f\0"
    start = time.perf_counter()
    with pytest.raises(InputError, match="17 MiB, more than half a million notes; at most 4 MiB can be read"):
        read_midi(header() + b"MTrk" + len(body).to_bytes(4, "big") + body)
    assert time.perf_counter() - start < 1


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(ConfigError, match=r"pip install 'sightseq\[music\]'"):
        read_midi(file(SCALE))


# Writing


def random_piece(seed: int, programs: int, count: int = 300) -> Piece:
    """A piece on a grid of 1/12 beat with several instruments, drums and tempo changes, written exactly."""
    random = np.random.default_rng(seed)
    starts = random.integers(0, 600, count)
    rows = []
    for start in starts.tolist():
        drum = random.random() < 0.1
        number = 0 if drum else int(random.integers(programs))
        length = int(random.integers(1, 30))
        rows.append((start / 12, (start + length) / 12, random.integers(128), random.integers(1, 128), number, drum))
    tempi = ((0.0, 6e7 / 600_000), (3.0, 6e7 / 333_333), (10.25, 6e7 / 1_000_000))
    notes, _ = midi.separate(make(*rows).notes)
    return Piece(notes, tempi)


@pytest.mark.parametrize("programs", [1, 4, 15, 40])
def test_written_pieces_are_read_back_exactly(programs: int, tmp_path: Path) -> None:
    piece = random_piece(programs, programs)
    write_midi(piece, tmp_path / "piece.mid")
    again = read_midi(tmp_path / "piece.mid")
    assert again == piece
    assert again.dropped == {}


def check_no_stuck_notes(path: Path) -> None:
    """Each note-on is followed by a note-off of its key at a later time, before the key is struck again."""
    for track in mido.MidiFile(path).tracks:
        now, held = 0, {}
        for message in track:
            now += message.time
            if message.type == "note_on":
                assert message.velocity > 0
                assert message.note not in held
                held[message.note] = now
            elif message.type == "note_off":
                assert held.pop(message.note) < now
        assert not held


def test_written_files_have_no_stuck_note_and_none_of_zero_length(tmp_path: Path) -> None:
    piece = make(
        (0, 4, 60), (1, 2, 60), (1, 1.0001, 64), (1.0002, 1.0003, 64), (3, 3.00001, 64), (0, 1, 36, 80, 0, True),
        (0.00001, 9, 71), (0, 4, 60, 80, 9), tempi=((0.0, 1.0), (2.0, 5000.0)),
    )  # fmt: skip
    path = tmp_path / "piece.mid"
    write_midi(piece, path)
    check_no_stuck_notes(path)
    write_midi(random_piece(0, 40), path)
    check_no_stuck_notes(path)
    write_midi(make(), path)
    assert read_midi(path) == make()


def test_pretty_midi_reads_written_files_without_complaint(tmp_path: Path) -> None:
    piece = random_piece(1, 4)
    write_midi(piece, tmp_path / "piece.mid")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = pretty_midi.PrettyMIDI(str(tmp_path / "piece.mid"))
    notes = [(one.start, one.end, one.pitch, one.velocity) for part in theirs.instruments for one in part.notes]
    times = (piece.seconds(piece.notes[name]) for name in ("start", "end"))
    own = np.stack([*times, piece.notes["pitch"], piece.notes["velocity"]], axis=1)
    np.testing.assert_allclose(sorted(notes), sorted(own.tolist()), atol=1e-6)
    _, tempi = theirs.get_tempo_changes()
    np.testing.assert_allclose(tempi, [bpm for _, bpm in piece.tempi], rtol=1e-6)


def test_music21_reads_written_files_without_complaint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    music21 = pytest.importorskip("music21")
    rows = [(beat, beat + 1, 48 + 12 * part + beat % 7, 80, 40 + part) for part in range(2) for beat in range(16)]
    drums = [(beat, beat + 0.5, 38, 80, 0, True) for beat in range(16)]
    piece = make(*rows, *drums, tempi=((0.0, 100.0),))
    write_midi(piece, tmp_path / "piece.mid")
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        score = music21.converter.parse(tmp_path / "piece.mid", format="midi", forceSource=True)
    assert not caplog.records
    found = [
        (float(note.offset), float(note.quarterLength), note.pitch.midi, note.volume.velocity)
        for note in score.flatten().getElementsByClass("Note")
    ]
    assert sorted(found) == sorted((start, 1.0, pitch, 80) for start, _, pitch, *_ in rows)
    assert {mark.number for mark in score.flatten().getElementsByClass("MetronomeMark")} == {100}
    assert len(score.flatten().getElementsByClass("Unpitched")) == 16


def test_a_file_is_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "piece.mid"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(mido.MidiFile, "save", fail)
    with pytest.raises(RuntimeError):
        write_midi(SCALE_PIECE, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
