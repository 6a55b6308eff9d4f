"""Scores in MusicXML: by hand, and chorales of music21's corpus with the numbers that music21 itself finds."""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sightseq.core.errors import InputError
from sightseq.music.chorales import read_musicxml
from sightseq.music.events import EventCodec
from sightseq.music.melody import MelodyCodec
from sightseq.music.midi import read_midi, write_midi
from sightseq.music.piece import Piece
from sightseq.music.roll import from_roll, to_roll
from tests.unit.test_music_pieces import make


def note(pitch: str, duration: int, more: str = "") -> str:
    """A note such as C4, F#3 or Bb5, or a rest; `more` are elements before its pitch."""
    if pitch == "rest":
        return f"<note>{more}<rest/><duration>{duration}</duration></note>"
    alter = {"#": 1, "b": -1}.get(pitch[1:-1], 0)
    name = f"<pitch><step>{pitch[0]}</step><alter>{alter}</alter><octave>{pitch[-1]}</octave></pitch>"
    return f"<note>{more}{name}<duration>{duration}</duration></note>"


def tied(pitch: str, duration: int, *kinds: str) -> str:
    return note(pitch, duration).replace("</duration>", "</duration>" + "".join(f'<tie type="{k}"/>' for k in kinds))


def divisions(count: int) -> str:
    return f"<attributes><divisions>{count}</divisions></attributes>"


def score(*parts: list[str]) -> bytes:
    """A score of parts, each a list of measures."""
    measures = ["".join(f"<measure>{measure}</measure>" for measure in part) for part in parts]
    body = "".join(f"<part>{part}</part>" for part in measures)
    return f"<?xml version='1.0'?><score-partwise>{body}</score-partwise>".encode()


def read(*parts: list[str]) -> list[tuple[float, ...]]:
    """Start, end, pitch and number of the part of each note."""
    return [
        (start, end, pitch, program - 40)
        for start, end, pitch, _, program, _ in read_musicxml(score(*parts)).notes.tolist()
    ]


def test_notes_and_rests() -> None:
    part = [divisions(2) + note("C4", 2) + note("rest", 1) + note("F#3", 1), note("Bb5", 4)]
    assert read(part) == [(0, 1, 60, 0), (1.5, 2, 54, 0), (2, 4, 82, 0)]


def test_a_chord_shares_the_start_and_backup_goes_back() -> None:
    voices = note("C5", 2) + note("E5", 2, "<chord/>") + note("D5", 2) + "<backup><duration>4</duration></backup>"
    part = [divisions(1) + voices + "<forward><duration>1</duration></forward>" + note("C3", 3), note("C4", 4)]
    assert read(part) == [(0, 2, 72, 0), (0, 2, 76, 0), (1, 4, 48, 0), (2, 4, 74, 0), (4, 8, 60, 0)]


def test_tied_notes_are_one() -> None:
    part = [
        divisions(1) + tied("C4", 4, "start"),
        tied("C4", 4, "stop", "start"),
        tied("C4", 1, "stop") + note("C4", 3),
    ]
    assert read(part) == [(0, 9, 60, 0), (9, 12, 60, 0)]
    assert read([divisions(1) + tied("C4", 2, "stop") + tied("D4", 2, "start"), note("E4", 4)]) == [
        (0, 2, 60, 0), (2, 4, 62, 0), (4, 8, 64, 0),
    ]  # fmt: skip


def test_a_measure_is_as_long_as_its_longest_part() -> None:
    upper = [divisions(1) + note("C5", 1), note("D5", 4), note("E5", 4)]
    lower = [divisions(2) + note("C3", 2), note("D3", 2), note("E3", 8)]
    assert read(upper, lower) == [
        (0, 1, 48, 1), (0, 1, 72, 0), (1, 2, 50, 1), (1, 5, 74, 0), (5, 9, 52, 1), (5, 9, 76, 0),
    ]  # fmt: skip
    assert read([divisions(1) + note("C4", 4)], [divisions(1) + note("E4", 4), note("G4", 4)])[-1] == (4, 8, 67, 1)


def test_what_is_left_out() -> None:
    unpitched = "<note><unpitched/><duration>1</duration></note>"
    part = [
        divisions(1) + note("D4", 0, "<grace/>") + note("C4", 1) + note("D4", 1, "<cue/>") + unpitched + note("E4", 1)
    ]
    assert read(part) == [(0, 1, 60, 0), (3, 4, 64, 0)]


def test_transposing_instruments_sound_as_they_do() -> None:
    horn = "<attributes><divisions>1</divisions><transpose><chromatic>-7</chromatic></transpose></attributes>"
    bass = horn.replace("-7</chromatic>", "0</chromatic><octave-change>-1</octave-change>")
    assert read([horn + note("C4", 1)], [bass + note("C4", 1)]) == [(0, 1, 48, 1), (0, 1, 53, 0)]


def test_tempi() -> None:
    fast = '<direction><sound tempo="96"/></direction>'
    part = [divisions(1) + fast + note("C4", 2) + '<sound tempo="48.5"/>' + note("C4", 2)]
    assert read_musicxml(score(part)).tempi == ((0.0, 96.0), (2.0, 48.5))
    assert read_musicxml(score([divisions(1) + note("C4", 4)])).tempi == ((0.0, 100.0),)


def test_compressed_scores(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("score.musicxml", score([divisions(1) + note("C4", 1)]))
    (tmp_path / "score.mxl").write_bytes(stream.getvalue())
    assert read_musicxml(tmp_path / "score.mxl") == make((0, 1, 60, 80, 40), tempi=((0.0, 100.0),))
    assert read_musicxml(stream.getvalue()) == read_musicxml(str(tmp_path / "score.mxl"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not valid MusicXML"),
        (b"MThd", "is not valid MusicXML"),
        (b"PK not a zip file", "is not valid MusicXML"),
        (b"<score-timewise/>", "is a score-timewise, not a score-partwise"),
        (score([divisions(0) + note("C4", 1)]), "is not valid MusicXML"),
        (score([divisions(1) + note("H4", 1)]), "is not valid MusicXML"),
        (score([divisions(1) + note("C4", 1).replace(">1<", ">long<")]), "is not valid MusicXML"),
        (score([divisions(1) + "<backup><duration>2</duration></backup>" + note("C4", 1)]), "negative"),
        (score([divisions(1) + note("C9", 1) + note("A9", 1)]), "is not valid MusicXML|above 127"),
    ],
)
def test_bad_scores(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_musicxml(data)


def test_a_missing_score(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_musicxml(tmp_path / "score.mxl")
    assert read_musicxml(b"<score-partwise/>") == Piece(make().notes, ((0.0, 100.0),))


# For each part, by music21: number of notes, sum of their pitches, and beats in which it sounds.
GOLDEN = {
    "bwv1.6": (
        [147, 70, 89, 92, 93],
        [9515, 4957, 5840, 5458, 4866],
        [79, 79, 79, 79, 79],
    ),
    "bwv66.6": ([36, 42, 44, 41], [2499, 2690, 2618, 2156], [36, 36, 36, 36]),
    "bwv227.7": ([39, 83, 85, 77], [2794, 5512, 5121, 4160], [52, 50, 48, 47]),
}


@pytest.mark.skipif(not find_spec("music21"), reason="the extra music is not installed")
@pytest.mark.parametrize("name", GOLDEN)
def test_chorales_agree_with_music21(name: str) -> None:
    corpus = Path(find_spec("music21").origin).parent / "corpus" / "bach"
    notes = read_musicxml(corpus / f"{name}.mxl").notes
    parts = [notes[notes["program"] == program] for program in range(40, 40 + len(GOLDEN[name][0]))]
    assert sum(map(len, parts)) == len(notes)
    found = ([len(part) for part in parts], [int(part["pitch"].astype(int).sum()) for part in parts],
             [float((part["end"] - part["start"]).sum()) for part in parts])  # fmt: skip
    assert found == GOLDEN[name]


@pytest.mark.skipif(not find_spec("music21"), reason="the extra music is not installed")
@pytest.mark.parametrize("name", GOLDEN)
def test_codecs_are_inverse_on_chorales(name: str, tmp_path: Path) -> None:
    corpus = Path(find_spec("music21").origin).parent / "corpus" / "bach"
    piece = read_musicxml(corpus / f"{name}.mxl")
    tempo = piece.tempi[0][1]
    codec = EventCodec("beats", 12, velocities=0, programs=tuple(range(40, 45)))
    assert codec.decode(codec.encode(piece), tempo) == piece
    write_midi(piece, tmp_path / "chorale.mid")
    again = read_midi(tmp_path / "chorale.mid")
    assert again.notes.tolist() == piece.notes.tolist()
    assert again.tempi[0][1] == pytest.approx(tempo)
    roll = to_roll(piece, 0.25)
    assert np.array_equal(to_roll(from_roll(roll, 0.25), 0.25), roll)
    melody = MelodyCodec(12)
    line = melody.decode(melody.encode(piece), tempo)
    soprano = piece.notes[piece.notes["program"] == 40]
    if name != "bwv1.6":  # its first part is a horn; in the others, the soprano is the upper line
        shared = set(line.notes[["start", "pitch"]].tolist()) & set(soprano[["start", "pitch"]].tolist())
        assert len(shared) >= 0.9 * len(soprano)
    assert melody.decode(melody.encode(line), tempo) == line
