"""Cats and dogs: the unpacked files of both releases, their corrupt files, and the folds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightseq.core.errors import ConfigError, DataError
from sightseq.data.image.cats_dogs import CatsDogs

COLOURS = {"cat": (200, 0, 0), "dog": (0, 0, 200)}


def save(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (30, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, "jpeg")


def competition(folder: str, count: int = 12) -> None:
    for name, colour in COLOURS.items():
        for number in range(count):
            save(Path(folder, f"{name}.{number}.jpg"), colour)


def pet_images(folder: str, count: int = 12) -> None:
    for name, colour in COLOURS.items():
        for number in range(count):
            save(Path(folder, name.capitalize(), f"{number}.jpg"), colour)
        Path(folder, name.capitalize(), "Thumbs.db").write_bytes(b"no photograph")


def prepared(**arguments: Any) -> CatsDogs:
    given = {"name": "cats_dogs", "root": "data", "cache": "cache", "image_size": 8, "margin": 4}
    data = CatsDogs(**given | arguments)
    data.prepare_data()
    return data


@pytest.mark.parametrize(
    ("write", "folder"),
    [
        (competition, "data/cats_dogs/train"),
        (competition, "data/cats_dogs/train/train"),
        (competition, "data/cats_dogs"),
        (pet_images, "data/cats_dogs/PetImages"),
        (pet_images, "data/cats_dogs"),
    ],
)
def test_every_layout_is_found(write: Any, folder: str) -> None:
    write(folder)
    save(Path("data/cats_dogs/test1/1.jpg"), (0, 200, 0))  # the test images of the competition have no labels
    data = prepared(val_fraction=0.25, test_fraction=0.25)
    assert {split: len(data.dataset(split)) for split in ("train", "val", "test")} == {"train": 14, "val": 4, "test": 6}
    assert data.spec.classes == ("cat", "dog")
    assert data.spec.counts == (7, 7)
    assert (data.spec.height, data.spec.width, data.spec.margin, data.spec.prepared) == (8, 8, 4, (3, 12, 12))
    for split in ("train", "val", "test"):
        for pixels, label in zip(*(data.dataset(split).numpy()[key] for key in ("input", "target")), strict=True):
            assert pixels[:, 6, 6].argmax() == 2 * label  # cats are red, dogs blue


def test_files_are_ordered_by_number() -> None:
    competition("data/cats_dogs/train", 11)
    names = [path.name for path in prepared().locate()]
    assert names[:11] == [f"cat.{number}.jpg" for number in range(11)]
    assert names[11:] == [f"dog.{number}.jpg" for number in range(11)]


def test_known_corrupt_files_are_refused_or_skipped_and_counted() -> None:
    pet_images("data/cats_dogs/PetImages")
    Path("data/cats_dogs/PetImages/Cat/666.jpg").touch()
    Path("data/cats_dogs/PetImages/Dog/11702.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    with pytest.raises(DataError, match=r"Cat/666\.jpg.*data\.corrupt=skip"):
        prepared()
    data = prepared(corrupt="skip")
    assert [Path(name).name for name in data.skipped] == ["666.jpg", "11702.jpg"]
    assert sum(len(data.dataset(split)) for split in ("train", "val", "test")) == 24


def test_a_single_class_is_refused() -> None:
    save(Path("data/cats_dogs/train/cat.0.jpg"), (0, 0, 0))
    with pytest.raises(DataError, match="one class only"):
        prepared()


def test_missing_data_is_reported() -> None:
    with pytest.raises(DataError, match=r"train/cat\.0\.jpg or PetImages/Cat/0\.jpg.*debug=synthetic"):
        prepared()
    with pytest.raises(DataError, match="nowhere has neither"):
        prepared(path="nowhere")


def test_path_names_the_folder() -> None:
    competition("elsewhere/train")
    assert prepared(path="elsewhere").source == Path("elsewhere/train")


def test_folds_are_disjoint_stratified_and_complete() -> None:
    competition("data/cats_dogs/train", 11)
    tests = []
    for fold in range(3):
        data = prepared(fold=fold, folds=3)
        test = data.dataset("test")
        tests.append(set(test.rows))
        assert abs(np.bincount(test.numpy()["target"])[0] - 11 / 3) < 1
        others = set(data.dataset("train").rows) | set(data.dataset("val").rows)
        assert others | tests[-1] == set(range(22))
        assert not others & tests[-1]
    assert set.union(*tests) == set(range(22))
    assert sum(map(len, tests)) == 22


@pytest.mark.parametrize("fold", [-1, 5])
def test_a_fold_that_does_not_exist_is_refused(fold: int) -> None:
    with pytest.raises(ConfigError, match="numbered from 0 to 4"):
        prepared(fold=fold)


def test_photographs_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    competition("data/cats_dogs/train")
    data = prepared()
    monkeypatch.setattr("sightseq.data.image.photos.open_image", lambda file: pytest.fail("decoded again"))
    again = prepared()
    for loader in (again.train_dataloader(), again.train_dataloader()):
        assert sum(len(batch["index"]) for batch in loader) == len(data.dataset("train"))


def test_large_data_stays_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.core.arrays.IN_MEMORY", 1000)
    competition("data/cats_dogs/train")
    assert isinstance(prepared().dataset("train").arrays["input"], np.memmap)
