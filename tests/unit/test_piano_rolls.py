"""Data of piano rolls: batches, parts of pieces, and the files of Boulanger-Lewandowski et al."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

from sightseq.composition import compose
from sightseq.core.arrays import Ragged
from sightseq.core.build import build
from sightseq.core.checkpoint import read_as
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.music.jsb_json import ChoraleGrids
from sightseq.data.music.piano_rolls import PianoRolls
from sightseq.data.music.rolls import RollDataset, RollWriter, roll_of
from sightseq.music.spec import RollSpec


def keys(*frames: int) -> np.ndarray:
    """A roll in which one key sounds in each frame."""
    roll = np.zeros((len(frames), 88), np.uint8)
    roll[np.arange(len(frames)), frames] = 1
    return roll


def sounding(rolls: torch.Tensor) -> list[list[int]]:
    """The key of each frame; -1 for silence."""
    return torch.where(rolls.bool().any(2), rolls.argmax(2), -1).tolist()


ROLLS = [keys(1, 2, 3, 4, 5), keys(6, 7), keys(8, 9, 10)]
ARRAYS = {"target": Ragged.of(ROLLS), "tempo": np.full(3, 100.0)}


def test_batches_by_hand() -> None:
    dataset = RollDataset(ARRAYS, np.array([0, 2]), "train")
    assert len(dataset) == 2
    batch = dataset[torch.tensor([1, 0, -1])]
    assert batch["target"].dtype == batch["input"].dtype == torch.uint8
    assert batch["target"].shape == (3, 5, 88)
    assert sounding(batch["target"]) == [[8, 9, 10, -1, -1], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
    assert sounding(batch["input"])[:2] == [[-1, 8, 9, -1, -1], [-1, 1, 2, 3, 4]]
    assert batch["length"].tolist()[:2] == [3, 5]
    assert batch["index"].tolist() == [2, 0, -1]
    assert dataset.lengths is not None
    assert dataset.lengths.tolist() == [5, 3]


def test_long_pieces_are_read_in_parts() -> None:
    train = RollDataset(ARRAYS, np.array([0, 2]), "train", crop=2)  # parts of 5 frames: 1, 2, 2; of 3 frames: 1, 2
    assert train.rows.tolist() == [0, 1, 2, 4, 5]
    batch = train[torch.arange(5)]
    assert sounding(batch["target"]) == [[1, -1], [2, 3], [4, 5], [8, -1], [9, 10]]
    assert sounding(batch["input"]) == [[-1, -1], [1, 2], [3, 4], [-1, -1], [8, 9]]
    assert batch["length"].tolist() == [1, 2, 2, 1, 2]
    assert batch["index"].tolist() == [0, 1, 2, 4, 5]
    whole = RollDataset(ARRAYS, np.array([1]), "train", crop=2, whole=True)
    assert sounding(whole[torch.tensor([0])]["target"]) == [[6, 7]]
    assert whole.rows.tolist() == [3]  # no number of a part of the training split


def test_baselines_read_whole_pieces() -> None:
    dataset = RollDataset(ARRAYS, np.array([0, 2]), "train", crop=2)
    rolls = dataset.numpy()["target"]
    assert [rolls.row(row).tolist() for row in range(2)] == [ROLLS[0].tolist(), ROLLS[2].tolist()]
    assert [len(chunk["target"]) for chunk in dataset.chunks(1)] == [1, 1]


def test_frames_of_pitches_become_rolls() -> None:
    roll = roll_of([[21, 108], [], [60, -1, 60]])
    assert np.argwhere(roll).tolist() == [[0, 0], [0, 87], [2, 39]]
    assert roll_of([[], []]).shape == (2, 88)
    assert np.array_equal(roll_of([[60.0, 64]]), roll_of([[60, 64]]))  # as in the published JSON files
    for wrong in ([[20]], [[109]], [[60.5]], [[float("nan")]], [["60"]], []):
        with pytest.raises(ValueError, match=r"pitches|frames"):
            roll_of(wrong)  # type: ignore[arg-type]


PIECES = {"train": [[[60, 64], [60], []], [[62]]], "valid": [[[65], [67]]], "test": [[[21], [108], [108]]]}


def matrices(**changes: Any) -> None:
    Path("data/poly").mkdir(parents=True, exist_ok=True)
    variables = {}
    for key, pieces in {**PIECES, **changes}.items():
        variables[f"{key}data"] = np.empty((1, len(pieces)), object)
        for number, frames in enumerate(pieces):
            variables[f"{key}data"][0, number] = roll_of(frames).astype(float)
    savemat("data/poly/Tunes.mat", variables)


def prepared(**options: Any) -> PianoRolls:
    data = PianoRolls(
        name="tunes", cache="cache", folders=["poly"], files_named=["Tunes", "The Tunes"], **{"step": 0.5, **options}
    )
    data.prepare_data()
    return data


def rolls_of(data: DataModule, split: str) -> list[list[list[float]]]:
    column = data.dataset(split).numpy()["target"]
    return [column.row(row).tolist() for row in range(len(column))]


def test_both_file_formats_give_the_same_rolls() -> None:
    matrices()
    data = prepared(tempo=90)
    for split, key in (("train", "train"), ("val", "valid"), ("test", "test")):
        assert rolls_of(data, split) == [roll_of(frames).tolist() for frames in PIECES[key]]
    assert data.spec == RollSpec(step=0.5, tempo=90.0, voices=2)
    Path("data/poly/Tunes.mat").unlink()
    for protocol in (0, 2, 4):
        Path("data/poly/The Tunes.pickle").write_bytes(pickle.dumps(PIECES, protocol))
        again = prepared(tempo=90)
        assert again.spec == data.spec
        for split in ("train", "val", "test"):
            assert rolls_of(again, split) == rolls_of(data, split)


def test_validation_and_test_pieces_change_no_spec() -> None:
    matrices()
    before = prepared().spec
    matrices(valid=[[[60, 61, 62, 63]]], test=[[[30, 31, 32]]])
    assert prepared().spec == before


class Command:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path("ran").write_text, ("",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        pickle.dumps(PIECES)[:-20],
        pickle.dumps({"train": PIECES["train"]}),
        pickle.dumps({**PIECES, "test": [[[200]]]}),
        pickle.dumps({**PIECES, "test": 5}),
        pickle.dumps({**PIECES, "test": [[]]}),
        pickle.dumps({**PIECES, "test": [Command()]}),
        pickle.dumps({**PIECES, "test": [np.zeros((2, 88))]}),
    ],
)
def test_other_pickles_are_refused_and_run_no_code(content: bytes) -> None:
    Path("data/poly").mkdir(parents=True)
    Path("data/poly/Tunes.pickle").write_bytes(content)
    with pytest.raises(DataError, match=r"Tunes\.pickle is not the published file"):
        prepared()
    assert not Path("ran").exists()


def test_other_matrices_are_refused() -> None:
    matrices()
    good = loadmat("data/poly/Tunes.mat", variable_names=["traindata", "validdata", "testdata"])
    good = {name: value for name, value in good.items() if name.endswith("data")}
    narrow, loud = (np.empty((1, 1), object) for _ in range(2))
    narrow[0, 0], loud[0, 0] = np.ones((3, 87)), np.full((3, 88), 2.0)
    for wrong in ({"testdata": narrow}, {"testdata": loud}, {"testdata": np.ones((3, 88))}):
        savemat("data/poly/Tunes.mat", good | wrong)
        with pytest.raises(DataError, match=r"Tunes\.mat is not the published file.*testdata"):
            prepared()
    savemat("data/poly/Tunes.mat", {name: good[name] for name in ("traindata", "validdata")})
    with pytest.raises(DataError, match="testdata"):
        prepared()
    Path("data/poly/Tunes.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(DataError, match="not the published file"):
        prepared()


def test_missing_data_and_wrong_options_are_reported() -> None:
    with pytest.raises(DataError, match=r"found no Tunes\.mat or The Tunes\.pickle in .*debug=synthetic"):
        prepared()
    for wrong in ({"step": 0}, {"crop": 0}, {"tempo": 0}):
        with pytest.raises(ConfigError, match=f"data.{next(iter(wrong))}"):
            prepared(**wrong)


def test_a_model_of_other_frames_is_refused() -> None:
    matrices()
    for step in (0.5, 1.0):
        data = PianoRolls(name="tunes", cache="cache", folders=["poly"], files_named=["Tunes"], step=0.5)
        read_as(data, RollSpec(step=step, tempo=70.0, voices=9))
        if step == 1.0:
            with pytest.raises(DataError, match=r"frames of 1 beats, and those of the data have 0\.5"):
                data.prepare_data()
        else:
            data.prepare_data()
            assert data.spec.tempo == 70.0


def test_training_pieces_without_notes_are_refused() -> None:
    matrices(train=[[[], []]])
    with pytest.raises(DataError, match="no notes"):
        prepared()


def grids(content: str) -> ChoraleGrids:
    Path("data/grids").mkdir(parents=True, exist_ok=True)
    Path("data/grids/jsb-chorales-8th.json").write_text(content)
    data = ChoraleGrids(name="grids", cache="cache", resolution="8th", tempo=80)
    data.prepare_data()
    return data


def test_chorale_grids() -> None:
    data = grids(json.dumps(PIECES))
    assert rolls_of(data, "test") == [roll_of(PIECES["test"][0]).tolist()]
    assert data.spec == RollSpec(step=0.5, tempo=80.0, voices=2)
    for wrong in (
        "",
        "[]",
        '{"train": []}',
        json.dumps({**PIECES, "test": [[[3]]]}),
        json.dumps({**PIECES, "test": 1}),
    ):
        with pytest.raises(DataError, match=r"jsb-chorales-8th\.json is not the published file"):
            grids(wrong)
    with pytest.raises(DataError, match=r"found no jsb-chorales-16th\.json"):
        ChoraleGrids(name="grids", cache="cache", tempo=80).prepare_data()


@pytest.mark.parametrize("dataset", ["jsb", "nottingham", "jsb_16th"])
def test_batches_of_similar_length(dataset: str) -> None:
    config = compose(f"data={dataset}", "debug=synthetic", "data.crop=10", "data.batch_size=8")["data"]
    data = build(config, DataModule, "data")
    data.prepare_data()
    batches = list(data.loader("train"))
    assert max(int(batch["length"].max()) for batch in batches) <= 10
    assert sum(int(batch["length"].sum()) for batch in batches) == len(data.dataset("train").numpy()["target"].values)
    assert all(int(batch["length"].max() - batch["length"].min()) <= 2 for batch in batches)


def test_pieces_are_written_one_at_a_time() -> None:
    with RollWriter(Path(), "train") as writer:
        writer.append(keys(1, 2), 90.0, 7)
        writer.append(keys(3), 110.0, 7)
    assert np.load("train/target.npy").shape == (3, 88)
    assert np.load("train/tempo.npy").tolist() == [90.0, 110.0]
    assert np.load("train/group.npy").tolist() == [7, 7]
