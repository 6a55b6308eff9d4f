"""A user's MIDI files and MAESTRO as piano rolls, events and melodies."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightseq.composition import compose
from sightseq.console import describe
from sightseq.core.build import build
from sightseq.core.checkpoint import read_as
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import DataError
from sightseq.data.music import midi_files
from sightseq.data.music.maestro import Maestro
from sightseq.data.music.midi_folder import MidiEvents, MidiMelodies, MidiRolls
from sightseq.music.events import DRUMS, EventCodec
from sightseq.music.melody import MelodyCodec
from sightseq.music.midi import write_midi
from sightseq.music.piece import NOTE, Piece
from sightseq.music.roll import to_roll
from sightseq.music.spec import MusicSpec, RollSpec


def scale(first: int, count: int = 8, tempo: float = 100.0, program: int = 0, drum: bool = False) -> Piece:
    """A rising scale of quarter notes."""
    rows = [(beat, beat + 1, first + beat, 80, program, drum) for beat in range(count)]
    return Piece(np.array(rows, NOTE), ((0.0, tempo),))


def write(*pieces: Piece, folder: str = "mine") -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, piece in enumerate(pieces):
        write_midi(piece, Path(folder) / f"{number}.mid")


def prepared(kind: Any, **options: Any) -> Any:
    data = kind(name="mine", cache="cache", path="mine", **options)
    data.prepare_data()
    return data


def documents(data: Any, split: str) -> list[list[int]]:
    """The token ids of each piece of a split."""
    tokens = data.dataset(split).tokens
    ends = np.flatnonzero(tokens == 0)
    assert ends[-1] == len(tokens) - 1
    return [part[:-1].tolist() for part in np.split(tokens, ends[:-1] + 1)]


TEN = [scale(40 + number) for number in range(10)]
ALL = ("train", "val", "test")


def test_events_decode_to_the_pieces() -> None:
    write(*TEN)
    data = prepared(MidiEvents, steps=4, velocities=8)
    codec = data.spec.codec
    assert codec == EventCodec(grid="beats", steps=4, max_shift=48, velocities=8)
    found = {split: [codec.decode(tokens, 100.0) for tokens in documents(data, split)] for split in ALL}
    assert [len(found[split]) for split in ALL] == [8, 1, 1]
    firsts = sorted(int(piece.notes["pitch"][0]) for split in ALL for piece in found[split])
    assert firsts == list(range(40, 50))
    assert all(piece in [codec.quantised(one) for one in TEN] for piece in found["train"])
    assert data.spec.tempo == 100.0
    assert data.remarks == []


def test_rolls_are_those_of_the_pieces() -> None:
    write(*TEN)
    data = prepared(MidiRolls, step=0.5)
    assert data.spec == RollSpec(step=0.5, tempo=100.0, voices=1)
    rolls = [data.dataset(split).numpy()["target"] for split in ALL]
    found = [column.row(row).tolist() for column in rolls for row in range(len(column))]
    assert sorted(found) == sorted(to_roll(piece, 0.5).tolist() for piece in TEN)


def test_melodies_have_the_range_of_the_training_files() -> None:
    for split, first in (("train", 60), ("train/deep", 64), ("val", 30), ("test", 90)):
        write(scale(first), folder=f"mine/{split}")
    data = prepared(MidiMelodies)
    assert data.spec.codec == MelodyCodec(steps=4, low=60, high=71)
    assert [len(documents(data, split)) for split in ALL] == [2, 1, 1]
    (tokens,) = documents(data, "test")
    assert data.spec.codec.decode(tokens).notes["pitch"].tolist() == [66, 67, 68, 69, 70, 71, 60, 61]  # octaves lower
    write(scale(5, 30), folder="mine/val")
    assert prepared(MidiMelodies).spec == data.spec
    write(scale(62, 2), folder="mine/train")
    write(scale(63, 2), folder="mine/train/deep")
    assert prepared(MidiMelodies).spec.codec == MelodyCodec(steps=4, low=58, high=69)  # at least an octave


@pytest.mark.parametrize("kind", [MidiEvents, MidiRolls])
def test_files_are_never_divided_and_copies_stay_together(kind: Any) -> None:
    write(*TEN, *TEN[:5], *TEN[:5])  # five pieces three times
    sizes = []
    for seed in range(5):
        data = prepared(kind, split_seed=seed, test_fraction=0.3, val_fraction=0.3)
        if kind is MidiEvents:
            contents = {split: {tuple(tokens) for tokens in documents(data, split)} for split in ALL}
            sizes.append([len(documents(data, split)) for split in ALL])
        else:
            columns = {split: data.dataset(split).numpy()["target"] for split in ALL}
            contents = {s: {column.row(row).tobytes() for row in range(len(column))} for s, column in columns.items()}
            sizes.append([len(columns[split]) for split in ALL])
        assert sum(map(len, contents.values())) == 10
        assert sum(sizes[-1]) == 20
    assert len(set(map(tuple, sizes))) > 1


def test_subfolders_are_splits_if_there_is_a_training_folder() -> None:
    write(*TEN[:4], folder="mine/Train")
    write(TEN[4], folder="mine/valid")
    write(*TEN[5:7], folder="mine/test")
    write(TEN[9], folder="mine/others")
    data = prepared(MidiEvents)
    assert [len(documents(data, split)) for split in ALL] == [4, 1, 2]
    write(TEN[8], folder="more/val")
    write(*TEN[:6], folder="more/a")
    more = MidiEvents(name="more", cache="cache", path="more")
    more.prepare_data()
    assert sum(len(documents(more, split)) for split in ALL) == 7


BAD = {
    "empty.mid": b"",
    "text.mid": b"C D E F G",
    "cut.mid": None,  # the beginning of a file
    "silent.mid": Piece(np.zeros(0, NOTE)),
    "drums.mid": scale(40, drum=True),
    "hours.mid": Piece(np.array([(0, 1, 60, 80, 0, False), (2e5, 2e5 + 1, 60, 80, 0, False)], NOTE)),
    "huge.mid": b"MThd" + bytes(2**23),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_files_are_named_or_skipped(name: str) -> None:
    write(*TEN)
    content = BAD[name]
    if isinstance(content, Piece):
        write_midi(content, Path("mine") / name)
    else:
        (Path("mine") / name).write_bytes(Path("mine/0.mid").read_bytes()[:60] if content is None else content)
    for kind in (MidiEvents, MidiRolls, MidiMelodies):
        with pytest.raises(DataError, match=rf"{name}.*data\.corrupt=skip"):
            prepared(kind)
        data = prepared(kind, corrupt="skip")
        assert [Path(file).name for file in data.skipped] == [name]
        assert f"{name}" in describe(data)


def test_drums_are_of_use_if_events_choose_instruments() -> None:
    for split in ALL:
        write(scale(40, drum=True), scale(70, program=12), folder=f"mine/{split}")
    write(scale(50, program=90), folder="mine/val")  # an instrument that the training files do not have
    data = prepared(MidiEvents, instruments=True)
    assert data.spec.codec.programs == (12, DRUMS)
    assert data.remarks == ["left out or changed as tokens: 8 notes of other programs"]
    assert [len(documents(data, split)) for split in ALL] == [2, 2, 2]


def test_what_is_left_out_is_said() -> None:
    both = np.concatenate([scale(40).notes, scale(5, 3).notes, scale(40, 2, drum=True).notes])
    write(*TEN, Piece(both))
    assert describe(prepared(MidiRolls)).endswith(
        "; left out or changed in the files: 2 drum notes, 3 notes outside the 88 keys"
    )
    assert describe(prepared(MidiEvents)).endswith("; left out or changed as tokens: 2 drum notes")


def test_files_without_keys_of_a_piano_are_of_no_use_as_rolls() -> None:
    write(*TEN, scale(2))
    with pytest.raises(DataError, match=r"10\.mid: contains no notes of the 88 keys"):
        prepared(MidiRolls)
    assert len(prepared(MidiRolls, corrupt="skip").skipped) == 1
    assert not prepared(MidiEvents).skipped


def test_a_folder_without_usable_files_is_reported() -> None:
    with pytest.raises(DataError, match=r"data\.path=FOLDER"):
        prepared(MidiEvents)
    Path("mine").mkdir()
    with pytest.raises(DataError, match="contains no MIDI files"):
        prepared(MidiEvents)
    Path("mine/0.mid").write_bytes(b"text")
    with pytest.raises(DataError, match=r"none of the 1 files of train is of use.*0\.mid"):
        prepared(MidiEvents, corrupt="skip")
    with pytest.raises(DataError, match="is a file; give its folder"):
        MidiEvents(name="mine", cache="cache", path="mine/0.mid").prepare_data()
    write(*TEN[:2])
    with pytest.raises(DataError, match="needs more samples"):
        prepared(MidiEvents)


@pytest.mark.parametrize("kind", [MidiEvents, MidiRolls])
def test_several_processes_read_the_same_pieces(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write(*TEN)
    Path("mine/bad.mid").write_bytes(b"text")
    alone = prepared(kind, corrupt="skip")
    monkeypatch.setattr(midi_files, "PARALLEL", 1)
    together = kind(name="mine", cache="other", path="mine", corrupt="skip")
    together.prepare_data()
    assert together.spec == alone.spec
    assert together.skipped == alone.skipped == ["mine/bad.mid"]
    for split in ALL:
        one, other = (data.dataset(split)[:5]["target"] for data in (alone, together))
        assert one.tolist() == other.tolist()
    with pytest.raises(DataError, match=r"bad\.mid is not a MIDI file.*data\.corrupt=skip"):
        kind(name="mine", cache="third", path="mine").prepare_data()


def die(file: Path) -> Piece:
    os._exit(9)


def test_a_killed_process_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    write(*TEN)
    monkeypatch.setattr(midi_files, "PARALLEL", 1)
    monkeypatch.setattr(midi_files, "read_midi", die)
    with pytest.raises(DataError, match=r"mine/0\.mid was killed"):
        prepared(MidiEvents)


def test_a_model_brings_its_own_encoding() -> None:
    write(*TEN)
    for kind, spec in (
        (MidiEvents, MusicSpec.of(EventCodec(grid="beats", steps=2, velocities=0), 90.0)),
        (MidiEvents, MusicSpec.of(MelodyCodec(steps=3, low=30, high=80), 90.0)),
        (MidiMelodies, MusicSpec.of(EventCodec(grid="seconds"), 90.0)),
        (MidiRolls, RollSpec(step=1.0, tempo=90.0, voices=4)),
    ):
        data = kind(name="mine", cache="cache", path="mine")
        read_as(data, spec)
        data.prepare_data()
        assert data.spec == spec
        if isinstance(spec, RollSpec):
            assert set(data.dataset("train").lengths.tolist()) == {8}
        else:
            expected = [spec.codec.encode(one).tolist() for one in TEN]
            assert all(tokens in expected for tokens in documents(data, "train"))


def table(*rows: tuple[str, str]) -> None:
    with Path("data/maestro/maestro-v3.0.0.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("canonical_title", "split", "midi_filename"), *(("Title", *row) for row in rows)])


def test_maestro_has_the_splits_of_its_table() -> None:
    write(*TEN[:3], folder="data/maestro/2004")
    write(*TEN[3:6], folder="data/maestro/2018")
    rows = [("train", "2004/0.mid"), ("test", "2004/1.mid"), ("validation", "2018/0.mid"), ("train", "2018/2.mid")]
    table(*rows)
    data = Maestro(name="maestro", cache="cache", grid="seconds", steps=100, velocities=32)
    data.prepare_data()
    firsts = {
        split: [int(data.spec.codec.decode(tokens).notes["pitch"][0]) for tokens in documents(data, split)]
        for split in ALL
    }
    assert firsts == {"train": [40, 45], "val": [43], "test": [41]}
    table(*rows, ("train", "2018/9.mid"))
    with pytest.raises(DataError, match=r"2018/9\.mid is missing"):
        Maestro(name="maestro", cache="cache").prepare_data()
    table(*rows, ("dev", "2018/1.mid"))
    with pytest.raises(DataError, match="split='dev'"):
        Maestro(name="maestro", cache="cache").prepare_data()
    Path("data/maestro/maestro-v3.0.0.csv").unlink()
    with pytest.raises(DataError, match=r"found no maestro-v\*\.csv"):
        Maestro(name="maestro", cache="cache").prepare_data()


@pytest.mark.parametrize("dataset", ["midi_events", "midi_melody", "maestro", "bach_events"])
def test_folds_are_streams_of_whole_pieces(dataset: str) -> None:
    config = compose(f"data={dataset}", "debug=synthetic", "data.batch_size=3", "data.bptt=20")["data"]
    data = build(config, DataModule, "data")
    data.prepare_data()
    batch = next(iter(data.loader("train")))
    assert batch["input"].shape == batch["target"].shape == (3, 20)
    assert batch["fresh"].all()
    assert batch["input"][0, 1:].tolist() == batch["target"][0, :-1].tolist()
