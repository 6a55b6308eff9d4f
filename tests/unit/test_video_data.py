"""Datasets of video files: class folders, tables, official lists, groups, and videos that cannot be read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightseq.core.checkpoint import read_as
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.video.files import VideoFiles
from sightseq.data.video.hmdb51 import HMDB51
from sightseq.data.video.jester import Jester
from sightseq.data.video.synthetic import moving_squares, write_frames, write_video
from sightseq.data.video.ucf101 import UCF101
from sightseq.data.video.video_folder import VideoFolder
from sightseq.vision.video_reading import read_clip
from sightseq.vision.video_spec import VideoSpec

SMALL: dict[str, Any] = {"frames": 4, "image_size": 16, "margin": 2}


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the cache is written there


def write_folder(base: Path, names: list[str], frames: int = 6) -> None:
    for number, name in enumerate(names):
        video = moving_squares(0, frames, 32, seed=number)
        if name.endswith(".mp4"):
            write_video(base / name, video)
        else:
            write_frames(base / name, video, "{}.png")


def make(path: Path, **options: Any) -> VideoFolder:
    data = VideoFolder(name="videos", path=str(path), **{**SMALL, **options})
    data.prepare_data()
    return data


def files(data: VideoFiles, split: str, sources: list[Path]) -> list[str]:
    """Names of the videos of a split, in the order of the cache."""
    videos = data.videos(sources)
    dataset = data.dataset(split)
    own = [video for video in videos if video.split == dataset.source]
    return [own[row].path.stem for row in dataset.rows]


def test_class_folders_of_files_and_of_frames(tmp_path: Path) -> None:
    names = [f"wave/{n}.mp4" for n in range(4)] + [f"jump/a/{n}" for n in range(4)]
    write_folder(tmp_path / "own", names)
    (tmp_path / "own" / "wave" / "thumbnail.jpg").write_bytes(b"")  # beside videos, an image is no frame
    data = make(tmp_path / "own", val_fraction=0.25, test_fraction=0.25)
    assert data.spec.classes == ("jump", "wave")
    assert data.spec.counts == (2, 2)
    assert (data.spec.height, data.spec.margin, data.spec.frames) == (16, 2, 4)
    batch = data.dataset("train")[:2]
    assert batch["input"].shape == (2, 4, 3, 18, 18)
    assert batch["length"].tolist() == [4, 4]
    # The first row is jump/a/..., the frames of that folder.
    first = int(batch["index"][0])
    np.testing.assert_array_equal(batch["input"][0].numpy(), read_clip(data.found[first], data.spec))


def test_statistics_of_the_spec(tmp_path: Path) -> None:
    for number, grey in enumerate((51, 102, 153, 204)):
        write_frames(
            tmp_path / "own" / "train" / "ab"[number % 2] / str(number), np.full((2, 20, 20, 3), grey, np.uint8)
        )
    for split in ("val", "test"):
        write_frames(tmp_path / "own" / split / "a" / "1", np.full((2, 20, 20, 3), 255, np.uint8))
    spec = make(tmp_path / "own").spec
    assert spec.mean == pytest.approx([0.5] * 3, abs=5e-3)  # JPEG
    assert spec.std == pytest.approx([0.05**0.5] * 3, abs=5e-3)


def test_short_videos_are_padded(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", [f"{label}/{n}.mp4" for label in "ab" for n in range(3)], frames=3)
    batch = make(tmp_path / "own").dataset("train")[:2]
    assert batch["length"].tolist() == [3, 3]
    assert batch["input"][:, 2].float().mean() > 20
    assert not batch["input"][:, 3].any()


def test_a_table(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    write_folder(folder, [f"{n}.mp4" for n in range(8)])
    rows = [f"{n}.mp4,{'ab'[n % 2]},{'Train' if n < 4 else 'dev' if n < 6 else 'test'},film{n // 2}" for n in range(8)]
    (folder / "video.csv").write_text("\n".join(["path,label,split,group", *rows]))
    data = make(folder)
    sources = data.locate()
    assert [files(data, split, sources) for split in ("train", "val", "test")] == [list("0123"), list("45"), list("67")]
    assert data.dataset("train").numpy()["group"].tolist() == [0, 0, 1, 1]
    (folder / "video.csv").write_text("\n".join(["path,label,split", "0.mp4,a,training", "1.mp4,b,other"]))
    with pytest.raises(DataError, match=r"video.csv, row 2: other is no split"):
        make(folder)
    (folder / "video.csv").write_text("path,label\n0.mp4,a\n9.mp4,b\n")
    with pytest.raises(DataError, match=r"row 2: 9.mp4 is not below .*own; correct the table, or add the file"):
        make(folder)


def test_groups_are_never_divided(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", [f"{label}/p{n}_{k}.mp4" for label in "ab" for n in range(4) for k in range(2)])
    folds = []
    for fold in range(4):
        data = make(tmp_path / "own", group=r"(p\d+)_", fold=fold)
        parts = {split: {n[:2] for n in files(data, split, data.found)} for split in ("train", "val", "test")}
        assert len(parts["test"]) == len(parts["val"]) == 1
        assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 4
        folds += parts["test"]
    assert sorted(folds) == ["p0", "p1", "p2", "p3"]
    with pytest.raises(ConfigError, match=r"data.fold=4: there are 4 folds, numbered from 0, of 4 groups"):
        make(tmp_path / "own", group=r"(p\d+)_", fold=4)
    with pytest.raises(DataError, match=r"data.group=\(x\) finds no group in p0_0.mp4"):
        make(tmp_path / "own", group="(x)")


def test_corrupt_videos(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    write_folder(folder, [f"{label}/{n}.mp4" for label in "ab" for n in range(4)])
    (folder / "a" / "2.mp4").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match=r"2.mp4: is not a video .*; remove the file, or .* data.corrupt=skip"):
        make(folder)
    data = make(folder, corrupt="skip")
    assert data.skipped == [str(folder / "a" / "2.mp4")]
    rows = [row for split in ("train", "val", "test") for row in data.dataset(split).rows]
    assert sorted(rows) == [0, 1, 3, 4, 5, 6, 7]
    for number in (0, 1, 3):
        (folder / "a" / f"{number}.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"4 of 8 files cannot be read; at least two classes"):
        make(folder, corrupt="skip")


def test_videos_outside_of_class_folders(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", ["a/1.mp4", "b/2.mp4", "3.mp4"])
    with pytest.raises(DataError, match=r"3.mp4 is in no class folder"):
        make(tmp_path / "own")
    write_frames(tmp_path / "images" / "a", moving_squares(0, 3, 32, 0))  # a dataset of images
    with pytest.raises(DataError, match=r"images/a is in no class folder"):
        make(tmp_path / "images")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty contains no videos"):
        make(tmp_path / "empty")


def test_clips_for_a_given_model(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", [f"{label}/{n}.mp4" for label in "ab" for n in range(3)])
    data = VideoFolder(name="videos", path=str(tmp_path / "own"), **SMALL)
    model = VideoSpec(1, 20, 20, ("b", "a"), (0.5,), (0.25,), margin=0, frames=3, sampling="dense", rate=6.0)
    read_as(data, model)
    data.prepare_data()
    assert data.spec == model
    batch = data.dataset("test")[:1]
    assert batch["input"].shape == (1, 3, 1, 20, 20)
    other = VideoFolder(name="videos", path=str(tmp_path / "own"), **SMALL)
    read_as(other, VideoSpec(1, 20, 20, ("a", "c"), (0.5,), (0.25,)))
    with pytest.raises(DataError, match="it knows the classes a, c, and the data has a, b"):
        other.prepare_data()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": "dense"}, r"data.rate=null: set the frames per second"),
        ({"rate": 8.0}, r"data.rate=8.0: it needs data.sampling=dense"),
        ({"sampling": "dense", "rate": -1.0}, r"data.rate=-1.0: frames per second must be above 0"),
        ({"folder_rate": 0.0}, r"data.folder_rate=0.0"),
        ({"image_size": 2}, r"data.image_size=2"),
        ({"margin": -1}, r"data.margin=-1"),
        ({"group": "("}, r"data.group=\( is not a regular expression"),
        ({"group": "p"}, r"data.group=p needs a group"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VideoFolder(name="videos", **options)


def test_ucf101(tmp_path: Path) -> None:
    base = tmp_path / "data" / "ucf101"
    (base / "ucfTrainTestlist").mkdir(parents=True)
    names = [f"{a}/v_{a}_g{g:02}_c01.avi" for a in ("Diving", "HandStandPushups") for g in (1, 2, 3, 4)]
    for number, name in enumerate(names):
        write_video(base / "UCF-101" / name, moving_squares(0, 4, 32, number), codec="mpeg4")
    for split, test in ((1, "g01"), (2, "g02")):
        lists = {"train": [f"{n} 1" for n in names if test not in n], "test": [n for n in names if test in n]}
        for kind, lines in lists.items():
            (base / "ucfTrainTestlist" / f"{kind}list0{split}.txt").write_text("\r\n".join(lines) + "\r\n")
    for split in (1, 2):
        data = UCF101(name="ucf101", root="data", split=split, **SMALL)
        data.prepare_data()
        found = {part: files(data, part, data.locate()) for part in ("train", "val", "test")}
        assert {name.split("_")[2] for name in found["test"]} == {f"g0{split}"}
        assert len(found["test"]) == len(found["val"]) == 2  # one film of each action
        assert len({name.split("_")[2] for name in found["val"]}) == 1
        assert len(found["train"]) == 4
        assert data.spec.classes == ("Diving", "HandStandPushups")
        assert data.remarks == []
    with pytest.raises(DataError, match=r"there is no .*trainlist03.txt; download the splits"):
        UCF101(name="ucf101", root="data", split=3).prepare_data()
    (base / "UCF-101" / names[0]).unlink()
    with pytest.raises(DataError, match=r"the lists name .*v_Diving_g01_c01.avi, which is not there"):
        UCF101(name="ucf101", root="data").prepare_data()
    with pytest.raises(DataError, match="found no UCF-101 and ucfTrainTestlist in elsewhere/ucf101"):
        UCF101(name="ucf101", root="elsewhere").prepare_data()


def test_hmdb51(tmp_path: Path) -> None:
    base = tmp_path / "data" / "hmdb51"
    lists = base / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    for action in ("brush_hair", "run"):
        lines = []
        for film, kind in (("April_09", 1), ("Ben_Hur_run", 1), ("Casablanca", 1), ("Dune", 2), ("Enigma", 0)):
            name = f"{film}_{action}_u_nm_np1_ba_goo_0.avi"
            write_video(base / action / name, moving_squares(0, 4, 32, kind), codec="mpeg4")
            lines.append(f"{name} {kind} ")
        (lists / f"{action}_test_split1.txt").write_text("\n".join(lines) + "\n")
    data = HMDB51(name="hmdb51", root="data", **SMALL)
    data.prepare_data()
    videos = data.videos(data.locate())
    assert {video.group for video in videos} == {"April_09", "Ben_Hur_run", "Casablanca", "Dune"}
    found = {part: files(data, part, data.locate()) for part in ("train", "val", "test")}
    assert [len(names) for names in found.values()] == [4, 2, 2]
    assert all(name.startswith("Dune") for name in found["test"])
    assert {name[:4] for name in found["train"]}.isdisjoint(name[:4] for name in found["val"])
    (lists / "run_test_split1.txt").write_text("a.avi 3\n")
    with pytest.raises(DataError, match=r"run_test_split1.txt, line 1, is not a name of a video with 0, 1 or 2"):
        HMDB51(name="hmdb51", root="data").prepare_data()
    (lists / "run_test_split1.txt").write_bytes(b"\xff 1\n")
    with pytest.raises(DataError, match=r"run_test_split1.txt, line 1, is not UTF-8"):
        HMDB51(name="hmdb51", root="data").prepare_data()


def test_jester(tmp_path: Path) -> None:
    base = tmp_path / "data" / "jester"
    for number in range(12):
        write_frames(base / "20bn-jester-v1" / str(number), moving_squares(0, 5, 20, number))
    lines = [f"{number};{'Stop Sign' if number % 2 else 'No gesture'}" for number in range(12)]
    (base / "jester-v1-train.csv").write_text("\n".join(lines[:8]) + "\n")
    with pytest.raises(
        DataError, match=r"found no 20bn-jester-v1 and jester-v1-train.csv and jester-v1-validation.csv"
    ):
        Jester(name="jester", root="data").prepare_data()
    (base / "jester-v1-validation.csv").write_text("\n".join(lines[8:]) + "\n")
    data = Jester(name="jester", root="data", val_fraction=0.25, **SMALL)
    data.prepare_data()
    assert data.spec.classes == ("No gesture", "Stop Sign")
    assert files(data, "test", data.locate()) == ["8", "9", "10", "11"]
    assert [len(data.dataset(split)) for split in ("train", "val")] == [6, 2]
    assert data.dataset("test").numpy()["target"].tolist() == [0, 1, 0, 1]
    (base / "jester-v1-train.csv").write_text("a;Stop Sign\n")
    with pytest.raises(DataError, match=r"jester-v1-train.csv, line 1, is not a number and a gesture"):
        Jester(name="jester", root="data").prepare_data()


def test_generated_videos_come_in_small_batches() -> None:
    sizes = {"batch_size": 64, "eval_batch_size": 2}
    data = Jester(name="jester", synthetic=True, **sizes)
    assert (data.batch_size, data.eval_batch_size) == (4, 2)
    assert Jester(name="jester", **sizes).batch_size == 64
