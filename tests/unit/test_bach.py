"""Bach's chorales in the corpus of music21."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightseq.core.errors import ConfigError, DataError
from sightseq.data.music import bach
from sightseq.data.music.bach import BachEvents, BachRolls, read_chorale
from sightseq.data.music.synthetic import synthetic_score
from sightseq.data.music.tunes import RUN, group_tunes
from sightseq.music.chorales import STRINGS
from sightseq.music.piece import NOTE


def corpus() -> dict[str, Path]:
    return {file.stem: file for file in BachRolls(name="bach", cache="cache").locate()}


def test_the_corpus_is_found_without_importing_music21(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    before = "music21" in sys.modules
    files = corpus()
    assert ("music21" in sys.modules) == before
    assert len(files) > 400
    monkeypatch.setattr(bach, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(ConfigError, match=r"music21 is needed.*sightseq\[music\]"):
        corpus()


def test_voices_by_hand() -> None:
    files = corpus()
    piece = read_chorale(files["bwv1.6"])  # the second horn is the first part
    assert piece is not None
    first = {voice: piece.notes[piece.notes["program"] == STRINGS + voice]["pitch"][:4].tolist() for voice in range(4)}
    # Wie schoen leuchtet der Morgenstern in F major: F C A F in the soprano
    assert first[0] == [65, 72, 69, 65]
    assert first[3][0] == 53
    assert set(piece.notes["program"]) == {STRINGS, STRINGS + 1, STRINGS + 2, STRINGS + 3}
    assert read_chorale(files["bwv227.3"]) is None  # two sopranos
    assert read_chorale(files["bwv846"]) is None  # a prelude


def test_settings_of_one_tune_are_found_in_real_chorales() -> None:
    files = corpus()
    passion = ["bwv135.6", "bwv161.6", "bwv244.15", "bwv244.54", "bwv248.5", "bwv270"]  # Herzlich tut mich verlangen
    others = ["bwv1.6", "bwv36.4-2", "bwv80.8", "bwv302", "bwv227.1", "bwv227.7"]  # three tunes, twice each
    pieces = [read_chorale(files[name]) for name in [*passion, *others]]
    groups = group_tunes([piece.notes[piece.notes["program"] == STRINGS] for piece in pieces if piece]).tolist()
    assert groups == [0] * 6 + [6, 6, 8, 8, 10, 10]


def line(pitches: list[int], beats: float = 1.0) -> Any:
    return np.array([(n * beats, (n + 1) * beats, pitch, 80, 0, False) for n, pitch in enumerate(pitches)], NOTE)


def test_tunes_are_compared_by_intervals_on_beats() -> None:
    tune = np.random.default_rng(0).permutation(np.arange(60, 60 + RUN + 3)).tolist()
    other = np.random.default_rng(1).permutation(np.arange(60, 60 + RUN + 3)).tolist()
    transposed = [pitch + 5 for pitch in tune]
    passing = [pitch + offset for pitch in tune for offset in (0, 2)]  # in eighth notes
    melodies = [line(tune), line(other), line(transposed, 2.0), line(passing, 0.5), line([60, *tune[1:]]), line([])]
    assert group_tunes(melodies).tolist() == [0, 1, 0, 0, 0, 5]
    assert group_tunes([line(tune), line(tune[:RUN])]).tolist() == [0, 1]  # too short


def take(data: Any, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    files = corpus()
    monkeypatch.setattr(type(data), "locate", lambda self: [files[name] for name in names])
    data.prepare_data()


def test_real_chorales_as_rolls_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["bwv1.6", "bwv36.4-2", "bwv80.8", "bwv302", "bwv227.1", "bwv227.7", "bwv846"]
    rolls, events = BachRolls(name="bach", cache="cache"), BachEvents(name="bach_events", cache="cache", steps=4)
    take(rolls, names, monkeypatch)
    assert [len(rolls.dataset(split)) for split in ("train", "val", "test")] == [2, 2, 2]
    assert rolls.spec.voices == 4
    take(events, names, monkeypatch)
    for split in ("train", "val", "test"):
        tokens = events.dataset(split).tokens
        assert int((tokens == 0).sum()) == 2


def test_a_damaged_corpus_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("bwv1.xml", synthetic_score(0)[:900]), ("bwv1.mxl", "PK"), ("bwv2.mxl", "")):
        Path(name).write_text(content)
        monkeypatch.setattr(BachRolls, "locate", lambda self, name=name: [Path(name)])
        with pytest.raises(DataError, match=rf"{name} cannot be read.*install music21 again"):
            BachRolls(name="bach", cache="cache").prepare_data()
