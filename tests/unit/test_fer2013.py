"""FER-2013: the csv of the challenge and its copies, the class folders, and damaged files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightseq.core.errors import ConfigError, DataError
from sightseq.data.image.fer2013 import CLASSES, FER2013

NAMES = "emotion,pixels,Usage"


def line(label: int, value: int, usage: str) -> str:
    """A csv row with a face of one grey value."""
    return f"{label},{' '.join([str(value)] * 48 * 48)},{usage}"


def rows(usage: str, count: int) -> list[str]:
    return [line(n % 7, 10 * (n % 7), usage) for n in range(count)]


def write(*lines: str, header: str = NAMES, file: str = "data/fer2013/fer2013.csv") -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("\n".join([header, *lines]) + "\n")


def prepared(**arguments: Any) -> FER2013:
    data = FER2013(**{"name": "fer2013", "root": "data", "cache": "cache"} | arguments)
    data.prepare_data()
    return data


def sizes(data: FER2013) -> dict[str, tuple[str, int]]:
    return {split: (data.dataset(split).source, len(data.dataset(split))) for split in ("train", "val", "test")}


def test_the_splits_of_the_challenge() -> None:
    write(*rows("Training", 21), *rows("PublicTest", 14), *rows("PrivateTest", 7))
    data = prepared()
    assert sizes(data) == {"train": ("train", 21), "val": ("val", 14), "test": ("test", 7)}
    assert data.spec.classes == CLASSES
    assert data.spec.counts == (3,) * 7
    assert data.spec.subject == "face"
    for split in ("train", "val", "test"):
        arrays = data.dataset(split).numpy()
        assert arrays["input"].shape[1:] == (1, 48, 48)
        assert (arrays["input"] == 10 * arrays["target"][:, None, None, None]).all()


def test_without_private_test_the_public_test_is_the_test_split() -> None:
    write(*rows("Training", 70), *rows("PublicTest", 14))
    data = prepared(val_fraction=0.1)
    assert sizes(data) == {"train": ("train", 63), "val": ("train", 7), "test": ("test", 14)}
    assert np.bincount(data.dataset("val").numpy()["target"]).tolist() == [1] * 7


def test_pixels_are_read_row_by_row() -> None:
    face = np.random.default_rng(0).integers(0, 256, (48, 48))
    write(f"3,{' '.join(map(str, face.ravel()))},Training", *rows("Training", 20), *rows("PrivateTest", 7))
    assert (prepared().dataset("train").arrays["input"][0, 0] == face).all()


def test_the_later_csv_has_other_columns() -> None:
    lines = [",".join([label, usage, pixels]) for label, pixels, usage in (r.split(",") for r in rows("Training", 70))]
    write(*lines, header="emotion, Usage, pixels", file="data/FER-2013/icml_face_data.csv")
    data = prepared(folders=["fer2013", "FER-2013"])
    assert sum(count for _, count in sizes(data).values()) == 70


def test_path_names_the_csv() -> None:
    write(*rows("Training", 70), file="elsewhere/mine.csv")
    assert prepared(path="elsewhere/mine.csv").source == Path("elsewhere/mine.csv")


def test_class_folders_have_the_labels_of_the_csv() -> None:
    for split, count in (("train", 10), ("test", 3)):
        for label, name in enumerate(CLASSES):
            for number in range(count):
                file = Path("data/fer2013", split, name, f"{number}.jpg")
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (48, 48), 30 * label).save(file)
    data = prepared(val_fraction=0.2)
    assert sizes(data) == {"train": ("train", 56), "val": ("train", 14), "test": ("test", 21)}
    assert data.spec.classes == CLASSES
    assert data.spec.channels == 1
    test = data.dataset("test").numpy()
    assert np.abs(test["input"][:, 0, 20, 20].astype(int) - 30 * test["target"]).max() <= 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("3,1 2 3,Training", "3 pixels instead of 2304"),
        (line(7, 0, "Training"), "emotion 7 is not one of 0 to 6"),
        (line(0, 256, "Training"), "pixels from 256 to 256 are not bytes"),
        (line(0, 0, "Holiday"), "Usage 'Holiday' is not one of Training"),
        ("x" + line(0, 0, "Training"), "invalid literal"),
        ("3,", "shorter"),
    ],
)
def test_bad_row_is_named_or_skipped(bad: str, words: str) -> None:
    write(*rows("Training", 35), bad, *rows("Training", 35))
    with pytest.raises(DataError, match=f"line 37 of .*{words}.*data.corrupt=skip"):
        prepared()
    data = prepared(corrupt="skip")
    assert data.skipped == ["line 37"]
    assert sum(count for _, count in sizes(data).values()) == 70


def test_missing_data_is_reported() -> None:
    with pytest.raises(DataError, match=r"fer2013\.csv or train/ with a folder for each class"):
        prepared()


def test_path_without_faces_is_named() -> None:
    for path in ("nowhere.csv", "notes.txt"):
        Path("notes.txt").touch()
        with pytest.raises(DataError, match=f"fer2013: {path} is neither a csv nor a folder"):
            prepared(path=path)


def test_the_csv_has_one_size() -> None:
    write(*rows("Training", 70))
    with pytest.raises(ConfigError, match="have 48x48 pixels and no margin"):
        prepared(image_size=64)


def test_other_tables_are_refused() -> None:
    write("1,2", header="label,text")
    with pytest.raises(DataError, match=r"columns \['label', 'text'\], not emotion and pixels"):
        prepared()


def test_a_csv_of_only_test_rows_is_refused() -> None:
    write(*rows("PrivateTest", 7))
    with pytest.raises(DataError, match="no rows with Usage Training"):
        prepared()
