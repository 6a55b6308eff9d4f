"""Pieces: order of notes, checks, times, and overlapping notes."""

import numpy as np
import pytest

from sightseq.core.errors import InputError
from sightseq.music.piece import NOTE, Piece, pitch_name, separate


def make(*rows: tuple[float, ...], **more: object) -> Piece:
    """A piece of notes (start, end, pitch, velocity, program, drum), of which the last three may be left out."""
    return Piece(notes_of(*rows), **more)


def notes_of(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array([(*row, *(80, 0, False)[len(row) - 3 :]) for row in rows], NOTE)


def test_notes_are_sorted_and_pieces_are_compared_by_content() -> None:
    piece = make((1, 2, 60), (0, 1, 64), (0, 1, 60, 80, 5))
    assert piece.notes[["start", "pitch"]].tolist() == [(0, 60), (0, 64), (1, 60)]
    assert piece == make((0, 1, 60, 80, 5), (0, 1, 64), (1, 2, 60), dropped={"drum notes": 3})
    assert piece != make((0, 1, 60, 80, 5), (0, 1, 64), (1, 2, 61))
    assert piece != piece.transposed(1)
    assert piece != make(*piece.notes.tolist(), tempi=((0.0, 90.0),))
    assert piece != "piece"
    assert piece.duration == 2
    assert make().duration == 0


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        ([(-1, 1, 60)], {}, "starts at beat -1; move all notes"),
        ([(1, 1, 60)], {}, "zero length"),
        ([(2, 1, 60)], {}, "ends at or before its start"),
        ([(0, np.inf, 60)], {}, "finite"),
        ([(np.nan, 1, 60)], {}, "finite"),
        ([(0, 1, 128)], {}, "above 127"),
        ([(0, 1, 60, 200)], {}, "above 127"),
        ([(0, 1, 60, 0)], {}, "velocity 0"),
        ([], {"tempi": ()}, "first at beat 0"),
        ([], {"tempi": ((1.0, 120.0),)}, "first at beat 0"),
        ([], {"tempi": ((0.0, 0.0),)}, "positive"),
        ([], {"tempi": ((0.0, 120.0), (4.0, 90.0), (4.0, 80.0))}, "in order"),
        ([], {"tempi": ((0.0, np.nan),)}, "finite"),
    ],
)
def test_invalid_pieces_are_refused(rows, more, words) -> None:
    with pytest.raises(InputError, match=words):
        make(*rows, **more)


def test_times_follow_the_tempo_changes() -> None:
    piece = make(tempi=((0.0, 60.0), (4.0, 120.0), (6.0, 30.0)))
    assert piece.seconds([0, 2, 4, 5, 6, 7]).tolist() == [0, 2, 4, 4.5, 5, 7]
    assert piece.beats([0, 2, 4, 4.5, 5, 7]).tolist() == [0, 2, 4, 5, 6, 7]
    assert float(piece.beats(0.5)) == 0.5
    times = np.random.default_rng(0).uniform(0, 20, 100)
    np.testing.assert_allclose(piece.beats(piece.seconds(times)), times, rtol=1e-12)


def test_transposition_leaves_drums_and_counts_notes_out_of_range() -> None:
    piece = make((0, 1, 2), (0, 1, 60), (0, 1, 3, 80, 0, True))
    lower = piece.transposed(-3)
    assert lower == make((0, 1, 57), (0, 1, 3, 80, 0, True))
    assert lower.dropped == {"notes transposed out of range": 1}
    assert piece.transposed(5).transposed(-5) == piece
    assert piece.transposed(0).dropped == {}


def test_stretching_multiplies_all_times() -> None:
    piece = make((0, 1, 60), (1, 3, 62), tempi=((0.0, 60.0), (1.0, 120.0)))
    longer = piece.stretched(1.5)
    assert longer == make((0, 1.5, 60), (1.5, 4.5, 62), tempi=((0.0, 60.0), (1.5, 120.0)))
    assert longer.seconds(longer.duration) == pytest.approx(1.5 * piece.seconds(piece.duration))


@pytest.mark.parametrize(
    ("rows", "expected", "changes"),
    [
        ([], [], {}),
        ([(0, 4, 60), (1, 2, 60)], [(0, 1, 60), (1, 4, 60)], {"shortened": 1}),
        ([(0, 2, 60), (1, 3, 60)], [(0, 1, 60), (1, 3, 60)], {"shortened": 1}),
        ([(0, 4, 60), (1, 2, 60), (3, 5, 60)], [(0, 1, 60), (1, 3, 60), (3, 5, 60)], {"shortened": 1}),
        ([(0, 2, 60, 50), (0, 1, 60, 90)], [(0, 2, 60, 90)], {"doubled": 1}),
        ([(0, 2, 60), (2, 3, 60)], [(0, 2, 60), (2, 3, 60)], {}),
        ([(0, 2, 60), (1, 3, 61), (1, 3, 60, 80, 7)], [(0, 2, 60), (1, 3, 61), (1, 3, 60, 80, 7)], {}),
        ([(0, 2, 60), (1, 3, 60, 80, 0, True)], [(0, 2, 60), (1, 3, 60, 80, 0, True)], {}),
    ],
)
def test_overlapping_notes_of_a_key_are_separated(rows, expected, changes) -> None:
    notes, found = separate(notes_of(*rows))
    assert Piece(notes) == make(*expected)
    names = {"shortened": "notes shortened where their key is struck again", "doubled": "doubled notes"}
    assert found == {names[name]: count for name, count in changes.items()}


def test_separation_keeps_onsets_and_sounding_times() -> None:
    random = np.random.default_rng(0)
    for _ in range(30):
        starts = random.integers(0, 40, 60)
        rows = np.stack([starts, starts + random.integers(1, 12, 60), random.integers(60, 64, 60)], axis=1)
        notes, _ = separate(notes_of(*rows.tolist()))
        for pitch in range(60, 64):
            before, after = rows[rows[:, 2] == pitch], notes[notes["pitch"] == pitch]
            assert set(after["start"].tolist()) == set(before[:, 0].tolist())
            sounding = [
                {t for start, end in pairs for t in range(int(start), int(end))}
                for pitch, pairs in ((0, before[:, :2].tolist()), (1, after[["start", "end"]].tolist()))
            ]
            assert sounding[0] == sounding[1]
            assert (after["end"][:-1] <= after["start"][1:]).all()


def test_names_of_pitches() -> None:
    assert [pitch_name(pitch) for pitch in (0, 21, 60, 61, 108, 127)] == ["C-1", "A0", "C4", "C#4", "C8", "G9"]
