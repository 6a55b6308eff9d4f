"""Statistics of pieces: by hand."""

import numpy as np
import pytest

from sightseq.music.statistics import (
    density,
    describe,
    intervals,
    key,
    out_of_key,
    overlap,
    pitch_classes,
    polyphony,
    repetition,
    top_line,
)
from tests.unit.test_music_pieces import make

C_MAJOR = (60, 62, 64, 65, 67, 69, 71, 72)


def scale(*pitches: int):
    """A piece of one note a beat."""
    return make(*((beat, beat + 1, pitch) for beat, pitch in enumerate(pitches)))


def test_pitch_classes_are_weighted_by_duration() -> None:
    piece = make((0, 3, 60), (3, 4, 74), (0, 4, 60, 80, 0, True))
    assert pitch_classes(piece).tolist() == [0.75, 0, 0.25] + [0] * 9
    assert pitch_classes(make()).tolist() == [0] * 12


def test_intervals_of_the_upper_line() -> None:
    piece = make(
        (0, 1, 60), (0, 1, 48), (1, 2, 64), (1, 2, 50), (2, 3, 62), (3, 4, 40), (4, 5, 80), (4, 5, 90, 80, 0, True)
    )
    assert top_line(piece).tolist() == [60, 64, 62, 40, 80]
    held = make((0, 4, 72), (1, 2, 60), (2, 3, 62), (4, 5, 74), (4, 8, 50), (5, 6, 48))
    assert top_line(held).tolist() == [72, 74, 48]  # lower voices count only while the upper one rests
    found = intervals(piece)
    assert found.shape == (25,)
    assert {place - 12: share for place, share in enumerate(found) if share} == {4: 0.25, -2: 0.25, -12: 0.25, 12: 0.25}
    assert intervals(scale(60)).sum() == 0
    assert intervals(make()).sum() == 0


@pytest.mark.parametrize("tonic", [0, 1, 7, 11])
def test_keys(tonic: int) -> None:
    major = scale(*(pitch + tonic for pitch in C_MAJOR))
    assert key(major) == (tonic, "major")
    assert out_of_key(major) == 0
    minor = scale(*(57 + tonic + step for step in (0, 2, 3, 5, 7, 8, 10, 12, 0, 7)))
    assert key(minor) == ((9 + tonic) % 12, "minor")
    assert out_of_key(minor) == 0


def test_notes_outside_the_key() -> None:
    assert out_of_key(scale(*C_MAJOR, *C_MAJOR, 60, 67, 61, 66)) == pytest.approx(2 / 20)
    assert out_of_key(make()) == 0
    assert out_of_key(make(*((0, 1, pitch) for pitch in range(12)))) == pytest.approx(5 / 12)  # all keys fit equally


def test_polyphony_and_density() -> None:
    piece = make((0, 2, 60), (0, 1, 64), (4, 5, 67), (4, 6, 36, 80, 0, True))
    assert polyphony(piece) == pytest.approx(4 / 3)  # 4 beats of notes in 3 beats with any
    assert density(piece) == pytest.approx(3 / 6)
    assert polyphony(make()) == density(make()) == 0
    assert polyphony(make((0, 1, 60), (1, 2, 60))) == 1


def test_repetition_of_bars() -> None:
    bars = scale(60, 62, 64, 65, 60, 62, 64, 65, 60, 62, 64, 66, 60, 62, 64, 65)
    assert repetition(bars) == 0.5
    # Lengths do not count, onsets do.
    assert repetition(make((0, 1, 60), (4, 7, 60))) == 0.5
    assert repetition(make((0, 1, 60), (4.5, 5, 60))) == 0
    assert repetition(make()) == 0


def test_pieces_are_described_by_their_means() -> None:
    training = describe([scale(*C_MAJOR), scale(*C_MAJOR), scale(*reversed(C_MAJOR))])
    assert training["polyphony"] == training["notes_per_beat"] == 1
    assert all(isinstance(training[name], float) for name in ("out_of_key", "repetition"))
    assert overlap(training["intervals"], training["intervals"]) == pytest.approx(1)
    other = describe([scale(61, 63, 66, 68, 70), make()])
    assert overlap(other["pitch_classes"], training["pitch_classes"]) == 0
    assert 0 < overlap(other["intervals"], training["intervals"]) < 1
    assert other["polyphony"] == 1  # the empty piece has no share in it
    assert describe([make()])["polyphony"] == 0
    assert describe([make()])["pitch_classes"].tolist() == [0] * 12
    assert overlap(np.array([0.5, 0.5, 0]), np.array([0, 0.5, 0.5])) == 0.5
