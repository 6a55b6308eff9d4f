"""Piano rolls, events and melodies: encoding and decoding are inverse, and what is lost is counted."""

import numpy as np
import pytest

from sightseq.music.events import DRUMS, TEMPI, EventCodec
from sightseq.music.melody import MelodyCodec
from sightseq.music.piece import Piece
from sightseq.music.roll import from_roll, outside_roll, to_roll
from tests.unit.test_music_pieces import make

# Rolls


def test_roll_by_hand() -> None:
    piece = make(
        (0, 1, 21), (0.5, 1.5, 108), (1, 1.01, 60), (1.3, 1.4, 60), (0, 9, 20), (0, 9, 109), (0, 9, 60, 80, 0, True)
    )
    roll = to_roll(piece, 0.5)
    assert roll.shape == (3, 88)
    assert roll.dtype == np.uint8
    assert roll[:, 0].tolist() == [1, 1, 0]
    assert roll[:, 87].tolist() == [0, 1, 1]
    assert roll[:, 39].tolist() == [0, 0, 1]  # both notes are shorter than a frame
    assert roll.sum() == 5
    assert outside_roll(piece) == {"drum notes": 1, "notes outside the 88 keys": 2}
    assert to_roll(piece, 0.5, frames=5)[3:].sum() == 0
    assert to_roll(piece, 0.5, frames=2).tolist() == roll[:2].tolist()
    assert to_roll(make(), 0.5).shape == (0, 88)


def test_a_note_sounds_in_the_frames_whose_start_it_covers() -> None:
    assert to_roll(make((0.1, 1.2, 60)), 0.5)[:, 39].tolist() == [0, 1, 1]
    assert to_roll(make((0.1, 0.4, 60)), 0.5)[:, 39].tolist() == [1]


@pytest.mark.parametrize("step", [1.0, 0.25, 1 / 3, 1 / 12, 0.1])
def test_rolls_survive_becoming_pieces(step: float) -> None:
    roll = (np.random.default_rng(0).random((400, 88)) < 0.1).astype(np.uint8)
    roll[-3:] = 0
    assert np.array_equal(to_roll(from_roll(roll, step), step, len(roll)), roll)
    piece = from_roll(roll, step, tempo=90, velocity=70)
    assert piece.tempi == ((0.0, 90.0),)
    assert set(piece.notes["velocity"]) == {70}
    assert from_roll(to_roll(piece, step), step, 90, 70) == piece


# Events


def random_piece(seed: int, unit: float, programs: tuple[int, ...] = (0,), tempi=((0.0, 120.0),)) -> Piece:
    """A piece on a grid without overlapping notes of a key; its velocities are those of 32 levels."""
    random = np.random.default_rng(seed)
    levels = [EventCodec()._velocity(level) for level in range(32)]
    rows = []
    for program in programs:
        for pitch in random.choice(128, 12, replace=False).tolist():
            times = np.cumsum(random.integers(1, 150, 10)).reshape(5, 2)
            for start, end in times.tolist():
                drum = program == DRUMS
                end = start + 1 if drum else end
                velocity = int(random.choice(levels))
                rows.append((start * unit, end * unit, pitch, velocity, 0 if drum else program, drum))
    return make(*rows, tempi=tempi)


CODECS = {
    "performance": (EventCodec(), 1 / 50, (0,)),  # 0.01 s are 0.02 beats at 120 beats per minute
    "score": (EventCodec("beats", 12, programs=(40, 0, DRUMS, 7), tempo=True), 1 / 12, (0, 7, 40, DRUMS)),
    "one program": (EventCodec("beats", 4, max_shift=16, programs=(3,)), 1 / 4, (3,)),
}


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("seed", range(3))
def test_events_of_a_piece_on_the_grid_give_the_piece(name: str, seed: int) -> None:
    codec, unit, programs = CODECS[name]
    tempi = ((0.0, float(TEMPI[30])), (unit * 40, float(TEMPI[33])), (unit * 700, float(TEMPI[20])))
    piece = random_piece(seed, unit, programs, tempi if codec.tempo else ((0.0, 120.0),))
    tokens = codec.encode(piece)
    assert tokens.min() > 1
    assert tokens.max() < codec.vocab_size
    again = codec.decode(tokens)
    assert again.tempi == piece.tempi
    for field in piece.notes.dtype.names:
        np.testing.assert_allclose(again.notes[field].astype(float), piece.notes[field].astype(float), atol=1e-9)
    assert not again.dropped
    assert np.array_equal(codec.encode(again), tokens)


@pytest.mark.parametrize("name", CODECS)
def test_decoding_gives_what_is_left_after_quantisation(name: str) -> None:
    codec, _, _ = CODECS[name]
    random = np.random.default_rng(1)
    starts = random.uniform(0, 30, 300)
    programs = random.choice([0, 3, 7, 40, 99], 300)
    rows = zip(
        starts,
        starts + random.exponential(0.5, 300) + 1e-3,
        random.integers(0, 128, 300),
        random.integers(1, 128, 300),
        programs,
        random.random(300) < 0.1,
        strict=True,
    )
    piece = make(*rows, tempi=((0.0, 97.0), (8.0, 133.0)))
    kept = codec.quantised(piece)
    assert codec.decode(codec.encode(piece), tempo=97.0) == kept
    assert codec.quantised(kept) == kept
    left_out = sum(
        count
        for reason, count in kept.dropped.items()
        if reason in ("drum notes", "notes of other programs", "doubled notes")
    )
    assert len(kept.notes) == 300 - left_out


def words(codec: EventCodec, *tokens: int) -> list[str]:
    return [codec.names[token] for token in tokens]


def test_events_by_hand() -> None:
    piece = make((0, 1, 60, 64), (0, 0.5, 64, 64), (0.5, 1, 64, 100))
    codec = EventCodec()
    assert words(codec, *codec.encode(piece)) == [
        "velocity 62", "on C4", "on E4", "shift 25", "off E4", "velocity 98", "on E4", "shift 25", "off C4", "off E4",
    ]  # fmt: skip
    assert codec.vocab_size == 2 + 128 + 128 + 100 + 32  # Oore et al., 2018, and two
    codec = EventCodec("beats", 2, 3, 0, (0, 40, DRUMS), tempo=True)
    piece = make((2, 2.5, 36, 80, 0, True), (2, 3, 60, 80, 40), (2, 3, 62), tempi=((0.0, 60.0),))
    assert words(codec, *codec.encode(piece)) == [
        "tempo 60", "shift 3", "shift 1", "drum 36", "program 0", "on D4", "program 40", "on C4",
        "shift 2", "program 0", "off D4", "program 40", "off C4",
    ]  # fmt: skip
    assert len(codec.names) == codec.vocab_size == len(set(codec.names))


def test_what_the_events_leave_out_is_counted() -> None:
    piece = make(
        (0, 1, 60), (0, 2, 60), (1, 2, 60), (0, 1, 60, 80, 9), (0, 1, 36, 80, 0, True),
        tempi=((0.0, 120.0), (1.0, 60.0)), dropped={"notes of zero length": 2},
    )  # fmt: skip
    assert EventCodec("beats", 12, programs=(0,)).quantised(piece).dropped == {
        "notes of zero length": 2,
        "doubled notes": 1,
        "notes shortened where their key is struck again": 1,
        "drum notes": 1,
        "notes of other programs": 1,
        "tempo changes": 1,
    }


def test_any_tokens_are_decoded() -> None:
    random = np.random.default_rng(0)
    for codec, _, _ in CODECS.values():
        for _ in range(20):
            tokens = random.integers(-3, codec.vocab_size + 3, 400)
            tokens[tokens == 0] = 1
            piece = codec.decode(tokens)
            assert codec.decode(codec.encode(piece)).notes.tolist() == codec.quantised(piece).notes.tolist()


def test_faulty_sequences_are_repaired_and_counted() -> None:
    codec = EventCodec(velocities=0)
    ids = {name: number for number, name in enumerate(codec.names)}
    tokens = [
        "off C4",
        "on C4",
        "shift 50",
        "on C4",
        "on E4",
        "shift 50",
        "off C4",
        "<unused>",
        "on G4",
        "<end>",
        "on A4",
    ]
    piece = codec.decode([ids[token] for token in tokens])
    assert piece == make((0, 1, 60), (1, 2, 60), (1, 2, 64), (2, 2.02, 67))
    assert piece.dropped == {
        "note-offs without a note": 1,
        "notes shortened where their key is struck again": 1,
        "tokens that are not in use": 1,
        "notes without a note-off": 2,
    }
    assert codec.decode([]) == make()


def test_codecs_refuse_impossible_options() -> None:
    for options in (
        {"steps": 0}, {"max_shift": 0}, {"velocities": 128}, {"programs": (1, 1)}, {"programs": (129,)},
        {"tempo": True},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="="):
            EventCodec(**options)
    for options in ({"steps": 0}, {"low": 60, "high": 70}, {"low": -1}, {"high": 128}):
        with pytest.raises(ValueError, match="at least one step and one octave"):
            MelodyCodec(**options)


def test_transposed_events_decode_to_the_transposed_piece() -> None:
    for name in CODECS:
        codec, unit, programs = CODECS[name]
        piece = random_piece(4, unit, programs)
        piece = Piece(piece.notes[(piece.notes["pitch"] > 10) & (piece.notes["pitch"] < 110)])
        tokens = codec.encode(piece)
        for semitones in (-7, 0, 5):
            expected = codec.quantised(piece.transposed(semitones))
            assert codec.decode(codec.transposition(semitones)[tokens], 120.0).notes.tolist() == expected.notes.tolist()


def test_transposition_stays_in_the_range() -> None:
    for codec in (EventCodec(programs=(0, DRUMS)), MelodyCodec(low=48, high=70)):
        names = np.array(codec.names)
        for semitones in (-30, -1, 0, 1, 30):
            table = codec.transposition(semitones)
            assert table.shape == (codec.vocab_size,)
            assert (table[:2] == [0, 1]).all()
            for old, new in zip(names.tolist(), names[table].tolist(), strict=True):
                assert old.split()[0][:2] == new.split()[0][:2] or isinstance(codec, MelodyCodec)
        assert (codec.transposition(0) == np.arange(codec.vocab_size)).all()
    assert MelodyCodec(low=48, high=70).names[MelodyCodec(low=48, high=70).transposition(2)[4 + 22]] == "C4"
    table = EventCodec().transposition(5)
    assert [EventCodec().names[table[2 + pitch]] for pitch in (60, 122, 123)] == ["on F4", "on G9", "on G#8"]


def test_stretching_changes_shifts_only() -> None:
    codec = EventCodec()
    table = codec.stretching(1.05)
    changed = {codec.names[old]: codec.names[new] for old, new in enumerate(table) if old != new}
    assert changed["shift 20"] == "shift 21"
    assert changed["shift 99"] == "shift 100"
    assert "shift 100" not in changed
    assert all(name.startswith("shift") for name in changed)
    with pytest.raises(ValueError, match="grid of beats"):
        EventCodec("beats").stretching(1.1)


# Melodies


def test_melody_by_hand() -> None:
    codec = MelodyCodec(2, 48, 84)
    piece = make((0.5, 1.5, 60), (2.5, 3, 64), (3, 3.5, 100), (0, 4, 40, 80, 0, True))
    tokens = codec.encode(piece)
    assert [codec.names[token] for token in tokens] == ["rest", "C4", "hold", "rest", "hold", "E4", "E5"]
    assert codec.vocab_size == len(codec.names) == 4 + 37
    assert codec.decode(tokens, 90.0) == make((0.5, 1.5, 60), (2.5, 3, 64), (3, 3.5, 76), tempi=((0.0, 90.0),))
    assert codec.left_out(piece) == {"drum notes": 1}
    assert codec.encode(make((0, 1, 60, 80, 0, True))).tolist() == []


def test_the_melody_is_the_upper_line() -> None:
    codec = MelodyCodec(1)
    chord = [(0, 4, 48), (0, 2, 60), (0, 2, 64)]
    # At beat 1 a lower note starts below the melody; at beat 3 one starts after the melody has ended.
    piece = make(*chord, (1, 2, 62), (3, 4, 50))
    assert codec.decode(codec.encode(piece)) == make((0, 2, 64), (3, 4, 50))
    assert codec.left_out(piece) == {"notes below the melody": 3}
    # A higher note cuts the melody off.
    assert codec.decode(codec.encode(make((0, 4, 60), (1, 2, 72)))) == make((0, 1, 60), (1, 2, 72))


def test_melodies_on_the_grid_survive() -> None:
    random = np.random.default_rng(0)
    for steps in (1, 4, 12):
        codec = MelodyCodec(steps)
        times = np.cumsum(random.integers(0, 5, 100) + np.arange(100) % 2)
        rows = [
            (a / steps, b / steps, p)
            for a, b, p in zip(times[::2], times[1::2], random.integers(21, 109, 50), strict=True)
        ]
        piece = make(*rows)
        assert codec.decode(codec.encode(piece)) == piece
    for _ in range(20):
        tokens = random.integers(-2, codec.vocab_size + 2, 100)
        tokens[tokens == 0] = 1
        piece = codec.decode(tokens)
        assert codec.decode(codec.encode(piece)) == piece
    assert codec.decode([2, 3, 1, 2, 0, 50]) == make()
