"""Image folders of users: layouts, colours, and unreadable files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightseq.console import describe
from sightseq.core.checkpoint import read_as
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.image.image_folder import ImageFolder
from sightseq.text.spec import TextSpec
from sightseq.vision.image import FaceWarning, read_image
from sightseq.vision.spec import ImageSpec

RED, GREEN, GREY = (200, 0, 0), (0, 100, 0), 50


def paint(path: str, colour: Any, count: int = 10, size: tuple[int, int] = (12, 8)) -> None:
    """Write a folder of images of one colour; an integer gives grey images."""
    Path(path).mkdir(parents=True, exist_ok=True)
    for n in range(count):
        Image.new("RGB" if isinstance(colour, tuple) else "L", size, colour).save(f"{path}/{n}.png")


def folder(**arguments: Any) -> ImageFolder:
    return ImageFolder(**{"name": "mine", "path": "photos", "cache": "cache", "image_size": 8, **arguments})


def prepared(**arguments: Any) -> ImageFolder:
    data = folder(**arguments)
    data.prepare_data()
    return data


def refusal(**arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepared(**arguments)
    assert str(caught.value).startswith("mine: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def sizes(data: ImageFolder) -> dict[str, int]:
    return {split: len(data.dataset(split)) for split in ("train", "val", "test")}


def test_without_split_folders_all_splits_are_stratified_parts() -> None:
    paint("photos/dog", RED, 20)
    paint("photos/cat", GREEN, 10)
    data = prepared(test_fraction=0.2, val_fraction=0.25)
    assert sizes(data) == {"train": 18, "val": 6, "test": 6}  # test: 4 + 2; val: a quarter of 16 + 8
    assert data.spec.classes == ("cat", "dog")
    for split in ("train", "val", "test"):
        arrays = data.dataset(split).numpy()
        assert np.bincount(arrays["target"]).tolist() == [len(arrays["target"]) // 3, 2 * len(arrays["target"]) // 3]
        for pixels, label in zip(arrays["input"], arrays["target"], strict=True):
            assert pixels[:, 0, 0].tolist() == list(GREEN if label == 0 else RED)
    rows = np.concatenate([data.dataset(split).rows for split in ("train", "val", "test")])
    assert sorted(rows) == list(range(30))


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_split_folders_are_the_splits(word: str) -> None:
    for split, count in (("train", 6), (word, 3), ("test", 2)):
        paint(f"photos/{split}/dog", RED, count)
        paint(f"photos/{split}/cat", GREEN, count)
    data = prepared()
    assert sizes(data) == {"train": 12, "val": 6, "test": 4}
    assert data.spec.classes == ("cat", "dog")
    assert data.dataset("test").numpy()["target"].tolist() == [0, 0, 1, 1]


def test_split_folders_may_have_capitals_and_other_names() -> None:
    for split, count in (("Training", 10), ("Testing", 3)):
        paint(f"photos/{split}/dog", RED, count)
        paint(f"photos/{split}/cat", GREEN, count)
    data = prepared(val_fraction=0.2)
    assert sizes(data) == {"train": 16, "val": 4, "test": 6}
    assert data.spec.classes == ("cat", "dog")


def test_hidden_copies_of_editors_are_left_out() -> None:
    for split in ("train", "test"):
        paint(f"photos/{split}/a", RED)
        paint(f"photos/{split}/b", GREEN)
        paint(f"photos/{split}/.ipynb_checkpoints", GREEN)
    paint("photos/train/a/.ipynb_checkpoints", RED)
    data = prepared()
    assert sizes(data) == {"train": 18, "val": 2, "test": 20}
    assert data.spec.classes == ("a", "b")


def test_splits_of_one_source_share_its_memory() -> None:
    paint("photos/a", RED)
    paint("photos/b", GREEN)
    data = prepared()
    assert data.dataset("train").arrays["input"] is data.dataset("test").arrays["input"]


def test_without_a_val_folder_validation_is_a_part_of_train() -> None:
    for split in ("train", "test"):
        paint(f"photos/{split}/a", RED, 10)
        paint(f"photos/{split}/b", GREEN, 10)
    data = prepared(val_fraction=0.2)
    assert sizes(data) == {"train": 16, "val": 4, "test": 20}
    assert {split: data.dataset(split).source for split in ("train", "val", "test")} == {
        "train": "train",
        "val": "train",
        "test": "test",
    }


def test_images_in_folders_within_a_class_and_of_any_suffix_are_found() -> None:
    paint("photos/a/deep/er", RED, 6)
    paint("photos/b", GREEN, 6)
    Image.new("RGB", (9, 9), RED).save("photos/a/photo.JPEG")
    Path("photos/a/notes.txt").write_text("no image")
    Path("photos/.hidden").mkdir()
    Path("photos/README.md").touch()
    assert sum(sizes(prepared()).values()) == 13


def test_folder_under_the_root_is_found_without_a_path() -> None:
    paint("data/image_folder/a", RED)
    paint("data/image_folder/b", GREEN)
    data = prepared(path=None, root="data", folders=["nothing", "image_folder"])
    assert data.spec.classes == ("a", "b")


def test_missing_folder_says_how_to_name_one() -> None:
    assert "there is no folder photos; name yours with data.path=" in refusal()
    assert "data/mine" in refusal(path=None, root="data")


def test_empty_class_folder_is_named() -> None:
    paint("photos/a", RED)
    paint("photos/b", GREEN)
    Path("photos/empty").mkdir()
    assert "photos/empty contains no images" in refusal()


def test_one_class_is_not_enough() -> None:
    paint("photos/a", RED)
    assert "needs at least two class folders" in refusal()


def test_no_class_folders_at_all() -> None:
    paint("photos", RED)
    assert "needs at least two class folders" in refusal()


@pytest.mark.parametrize("split", ["val", "test"])
def test_class_that_train_lacks_is_named(split: str) -> None:
    for name in ("a", "b"):
        paint(f"photos/train/{name}", RED)
    paint(f"photos/{split}/a", RED)
    paint(f"photos/{split}/zebra", RED)
    assert f"{split} has classes that train does not have: ['zebra']" in refusal()


def test_grey_and_colour_are_detected() -> None:
    paint("photos/a", GREY)
    paint("photos/b", 200)
    spec = prepared().spec
    assert (spec.channels, len(spec.mean), len(spec.std)) == (1, 1, 1)
    Image.new("RGB", (9, 9), GREEN).save("photos/b/colour.png")
    data = prepared()
    assert (data.spec.channels, len(data.spec.mean)) == (3, 3)
    first = data.dataset("train").arrays["input"][0]
    assert first[:, 0, 0].tolist() == [GREY] * 3  # a grey image among colour images


def test_only_training_images_determine_the_channels() -> None:
    for name in ("a", "b"):
        paint(f"photos/train/{name}", GREY)
        paint(f"photos/test/{name}", RED)
    data = prepared()
    assert data.spec.channels == 1
    assert data.dataset("test").numpy()["input"][0, 0, 0, 0] == round(0.299 * 200)


def spec_of(**arguments: Any) -> ImageSpec:
    spec = prepared(**arguments).spec
    assert isinstance(spec, ImageSpec)
    return spec


@pytest.mark.parametrize("split", ["val", "test"])
def test_validation_and_test_files_do_not_affect_the_spec(split: str) -> None:
    for part in ("train", "val", "test"):
        paint(f"photos/{part}/a", RED, 4)
        paint(f"photos/{part}/b", GREEN, 4)
    before = spec_of()
    paint(f"photos/{split}/a", (255, 255, 255), 7)
    assert spec_of() == before
    paint("photos/train/a", (255, 255, 255), 4)
    assert spec_of() != before  # but training files do


def test_images_are_centre_cropped_and_resized() -> None:
    for name in ("a", "b"):
        paint(f"photos/{name}", 0, 3, size=(30, 10))
    wide = Image.new("L", (30, 10), 0)
    wide.paste(255, (8, 0, 22, 10))  # slightly more than the centre
    wide.save("photos/a/0.png")
    data = prepared(image_size=8)
    assert data.dataset("train").arrays["input"][0].min() == 255


def break_one(name: str = "photos/a/3.png") -> None:
    paint("photos/a", RED)
    paint("photos/b", GREEN)
    Path(name).write_bytes(Path(name).read_bytes()[:40])


def test_corrupt_file_is_named_with_a_remedy() -> None:
    break_one()
    message = refusal()
    assert "photos/a/3.png" in message
    assert "data.corrupt=skip" in message


def test_corrupt_file_is_skipped_and_counted() -> None:
    break_one()
    data = prepared(corrupt="skip")
    assert data.skipped == ["photos/a/3.png"]
    assert "; skipped 1 of 20 that cannot be read, for example photos/a/3.png" in describe(data)
    assert sum(sizes(data).values()) == 19
    assert 3 not in np.concatenate([data.dataset(split).rows for split in ("train", "val", "test")])
    (about,) = Path("cache/mine").glob("*/about.json")
    assert json.loads(about.read_text()) == {"classes": ["a", "b"], "skipped": ["photos/a/3.png"], "margin": 0}


def test_skipping_and_refusing_have_separate_caches() -> None:
    break_one()
    prepared(corrupt="skip")
    assert "3.png" in refusal(corrupt="error")


def test_corrupt_file_leaves_no_partial_cache() -> None:
    break_one()
    refusal()
    Path("photos/a/3.png").unlink()
    assert sum(sizes(prepared()).values()) == 19


def test_empty_file_can_be_skipped_too() -> None:
    break_one()
    Path("photos/a/3.png").write_bytes(b"")
    assert sum(sizes(prepared(corrupt="skip")).values()) == 19


def test_only_corrupt_files() -> None:
    for name in ("a", "b"):
        Path(f"photos/{name}").mkdir(parents=True)
        Path(f"photos/{name}/0.png").write_text("no image")
    refusal(corrupt="skip")


def test_folder_named_like_an_image_is_not_an_image() -> None:
    paint("photos/a", RED)
    paint("photos/b", GREEN)
    paint("photos/b/more.png", GREEN, 2)
    assert sum(sizes(prepared()).values()) == 22


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    paint("photos/a", RED)
    paint("photos/b", GREEN)
    assert sum(sizes(prepared(path="~/photos")).values()) == 20


def test_smallest_image_size() -> None:
    with pytest.raises(ConfigError, match=r"data\.image_size=3"):
        folder(image_size=3)


def test_same_files_give_the_same_data() -> None:
    paint("photos/a", RED)
    paint("photos/b", GREEN)
    one, other = prepared(cache="c1"), prepared(cache="c2")
    assert np.array_equal(one.dataset("train").numpy()["input"], other.dataset("train").numpy()["input"])
    assert one.spec == other.spec


def test_images_are_read_with_the_spec_of_another_model() -> None:
    """Channels, size, margin, order of classes and face crop follow the spec, exactly as in predict."""
    paint("photos/b", RED, size=(40, 30))
    paint("photos/a", GREEN, size=(30, 40))
    spec = ImageSpec(1, 10, 12, ("c", "b", "a"), (0.5,), (0.25,), margin=2, subject="face")
    data = folder(image_size=64)
    read_as(data, spec)
    data.prepare_data()
    assert data.spec is spec
    arrays = data.dataset("test").numpy()
    assert arrays["input"].shape[1:] == spec.prepared == (1, 12, 14)
    for label, file in ((1, "photos/b/0.png"), (2, "photos/a/0.png")):
        (pixels,) = arrays["input"][arrays["target"] == label]
        with pytest.warns(FaceWarning):
            assert np.array_equal(pixels, read_image(Path(file), spec))


def test_a_text_model_cannot_read_images() -> None:
    with pytest.raises(
        ConfigError, match=r"^data=mine: has the spec ImageSpec, but the model expects TextSpec; choose other data$"
    ):
        read_as(folder(), TextSpec("", 100, ("a", "b")))
