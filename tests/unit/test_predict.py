"""Prediction of images: files, images and arrays agree; unreadable inputs are named, the others are predicted."""

import json
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from rich.console import Console

from sightseq import predict as module
from sightseq.composition import compose
from sightseq.core.errors import ConfigError, InputError
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.predict_images import ImagePredictor
from sightseq.vision.faces import crop_face
from sightseq.vision.files import find_files
from sightseq.vision.image import FaceWarning
from sightseq.vision.spec import ImageSpec

BICUBIC = Image.Resampling.BICUBIC
PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def make(
    channels: int = 1, classes: int = 3, size: int = 6, subject: Literal["centre", "face"] = "centre"
) -> ImagePredictor:
    """A small network with random weights, on images of 6x6 pixels."""
    names = tuple(f"c{n}" for n in range(classes))
    spec = ImageSpec(channels, size, size, names, (0.5,) * channels, (0.25,) * channels, subject=subject)
    net = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4], "hidden": []}
    torch.manual_seed(0)
    return ImagePredictor(ImageClassificationTask(spec=spec.to_dict(), net=net), "cpu")


def random_pixels(channels: int = 1, size: tuple[int, int] = (6, 6), seed: int = 0) -> np.ndarray:
    shape = (size[1], size[0]) if channels == 1 else (size[1], size[0], 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


# find_files


@pytest.fixture
def photos() -> Path:
    folder = Path("my photos")
    for name in ("b.png", "a.JPG", "deep/er/c.webp", "notes.txt", "deep/d.tiff.bak", "._b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "folder.png").mkdir()
    return folder


def test_images_of_a_folder_and_below_it_in_order(photos: Path) -> None:
    assert find_files("my photos") == [photos / "a.JPG", photos / "b.png", photos / "deep/er/c.webp"]


def test_one_file_of_any_name(photos: Path) -> None:
    assert find_files("my photos/notes.txt") == [photos / "notes.txt"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("my photos/*.png", ["b.png"]),
        ("my photos/*.*", ["a.JPG", "b.png", "notes.txt"]),
        ("my photos/._*", ["._b.png"]),
        ("my photos/**/*.webp", ["deep/er/c.webp"]),
        ("my photos/[ab].*", ["a.JPG", "b.png"]),
    ],
)
def test_patterns(photos: Path, pattern: str, names: list[str]) -> None:
    assert find_files(pattern) == [photos / name for name in names]
    assert find_files(str(photos.absolute().parent / pattern)) == [photos.absolute() / name for name in names]


def test_file_whose_name_is_a_pattern_is_that_file(photos: Path) -> None:
    (photos / "x[1].png").touch()
    (photos / "x1.png").touch()
    assert find_files("my photos/x[1].png") == [photos / "x[1].png"]


def test_home_is_expanded(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos.absolute()))
    assert find_files("~/b.png") == [photos.absolute() / "b.png"]


@pytest.mark.parametrize("given", ["nothing", "my photos/*.gif", "my photos/fold*.png"])
def test_nothing_found(photos: Path, given: str) -> None:
    with pytest.raises(InputError, match="there is no such file, folder, or match"):
        find_files(given)


@pytest.mark.parametrize("suffix", ["avif", "HEIC", "jfif", "mpo", "tif"])
def test_image_formats_of_phones_are_found(suffix: str) -> None:
    Path("phone").mkdir()
    Path(f"phone/a.{suffix}").touch()
    assert find_files("phone") == [Path(f"phone/a.{suffix}")]


def test_folder_without_images() -> None:
    Path("empty").mkdir()
    with pytest.raises(InputError, match=r"empty: contains no images \(\.avif, "):
        find_files("empty")


# ImagePredictor


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(6, 6), (20, 13)])
def test_files_images_and_arrays_agree(channels: int, size: tuple[int, int]) -> None:
    model, pixels = make(channels), random_pixels(channels, size)
    Image.fromarray(pixels).save("image.png")
    inputs = [pixels, Image.fromarray(pixels), "image.png", Path("image.png"), Image.open("image.png")]
    found = model.predict(inputs)
    assert len(found) == 5
    assert all(one == found[0] for one in found)
    other = model.predict([random_pixels(channels, size, seed=1)])[0]
    assert other["probability"] != found[0]["probability"]


def test_probabilities_equal_those_of_the_network() -> None:
    model, pixels = make(), random_pixels()
    (found,) = model.predict([pixels])
    logits = model.task.net((torch.from_numpy(pixels).view(1, 1, 6, 6) / 255 - 0.5) / 0.25)
    expected = logits.softmax(1)[0].tolist()
    assert dict(found["top"]) == pytest.approx({f"c{n}": p for n, p in enumerate(expected)}, abs=1e-5)
    assert [p for _, p in found["top"]] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    assert [found["label"], found["probability"]] == found["top"][0]


def test_at_most_five_labels_are_named() -> None:
    (found,) = make(classes=8).predict([random_pixels()])
    assert len(found["top"]) == 5
    assert json.loads(json.dumps(found)) == found


def test_batch_size_changes_nothing() -> None:
    model, inputs = make(), [random_pixels(seed=n) for n in range(7)]
    one_by_one = [row["probability"] for row in model.predict(inputs, batch_size=1)]
    assert [row["probability"] for row in model.predict(inputs, batch_size=3)] == pytest.approx(one_by_one, abs=1e-5)
    assert model.predict([]) == []


def test_grey_and_colour_are_converted() -> None:
    assert make(1).read(random_pixels(3)).shape == (1, 6, 6)
    assert make(3).read(random_pixels(1)).shape == (3, 6, 6)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16", "rotated"])
def test_images_of_any_mode_agree_with_their_files(mode: str) -> None:
    model, exif = make(3), Image.Exif()
    if mode == "rotated":
        exif[0x0112] = 6
        image = Image.fromarray(random_pixels(3))
    elif mode == "I;16":
        image = Image.fromarray(np.arange(0, 36 * 1800, 1800, dtype=np.uint16).reshape(6, 6))
    else:
        image = Image.fromarray(random_pixels(3)).convert(mode)
        image.putalpha(100)
    image.save("image.png", exif=exif)
    assert np.array_equal(model.read(Image.open("image.png")), model.read("image.png"))


NOT_IMAGES = [np.zeros((6, 6)), np.zeros((3, 6, 6), np.uint8), np.zeros(6, np.uint8), np.zeros((0, 6), np.uint8)]


@pytest.mark.parametrize("array", NOT_IMAGES)
def test_arrays_that_are_not_images_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError):
        make().predict([array])


def test_file_that_cannot_be_read_is_refused() -> None:
    Path("bad.png").write_text("no image")
    with pytest.raises(InputError, match=r"bad\.png: is not an image"):
        make().predict([random_pixels(), "bad.png"])


def test_image_that_cannot_be_read_is_refused() -> None:
    Image.fromarray(random_pixels(3, (40, 40))).save("cut.png")
    Path("cut.png").write_bytes(Path("cut.png").read_bytes()[:500])
    with pytest.raises(InputError, match=r"cut\.png: is not an image"):
        make().predict([Image.open("cut.png")])


# Models of faces


def test_faces_in_files_images_and_arrays_agree() -> None:
    model, image = make(size=48, subject="face"), Image.open(PORTRAIT)
    expected = make(size=48).read(crop_face(image)[0].resize((48, 48), BICUBIC))
    for one in (PORTRAIT, str(PORTRAIT), image, np.asarray(image)):
        assert np.array_equal(model.read(one), expected)
    assert not np.array_equal(make(size=48).read(PORTRAIT), expected)
    (found,) = model.predict([PORTRAIT])
    assert found == model.predict_batch(model.batch([expected]))[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [64, 100, 200])
def test_face_crop_gives_the_same_at_any_size(side: int) -> None:
    model = make(size=48, subject="face")
    face = crop_face(Image.open(PORTRAIT).convert("L"))[0].resize((48, 48))
    (small,), (large,) = model.predict([face]), model.predict([face.resize((side, side), BICUBIC)])
    assert dict(large["top"]) == pytest.approx(dict(small["top"]), abs=0.02)


def test_missing_face_is_a_warning() -> None:
    Image.fromarray(random_pixels(size=(60, 80))).save("wall.png")
    with pytest.warns(FaceWarning, match=r"^wall\.png: no face was found; the whole image was used$") as caught:
        found = make(size=48, subject="face").predict(["wall.png", PORTRAIT, random_pixels(size=(48, 48))])
    assert len(caught) == 1
    assert found[0] == make(size=48).predict([ImageOps.fit(Image.open("wall.png"), (48, 48), BICUBIC)])[0]


# The command


def run(monkeypatch: pytest.MonkeyPatch, model: ImagePredictor | None = None, **changes: Any) -> int:
    monkeypatch.setattr(module, "load", lambda path, device: model or make())
    config = compose("ckpt=x", "input=in", "format=jsonl", "batch_size=2", "device=cpu", command="predict")
    return module.predict(config | changes)


@pytest.fixture
def files() -> list[str]:
    Path("in").mkdir()
    for n in range(5):
        Image.fromarray(random_pixels(seed=n)).save(f"in/{n}.png")
    return [f"in/{n}.png" for n in range(5)]


def test_one_json_object_per_file(files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row.pop("file") for row in rows] == files
    singly = [make().predict([file])[0] for file in files]
    assert [row["label"] for row in rows] == [one["label"] for one in singly]
    assert [row["probability"] for row in rows] == pytest.approx([one["probability"] for one in singly], abs=1e-5)


@pytest.mark.parametrize("bad", [[1], [0, 1], [0, 1, 2, 3, 4]])
def test_bad_files_are_listed_and_the_others_predicted(
    files: list[str], bad: list[int], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    for n in bad:
        Path(files[n]).write_text("no image")
    assert run(monkeypatch) == 2
    out, err = capfd.readouterr()
    assert [json.loads(line)["file"] for line in out.splitlines()] == [files[n] for n in range(5) if n not in bad]
    complaints = [line for line in err.splitlines() if line.startswith("InputError: ")]
    assert [line.split(": ")[1] for line in complaints] == [files[n] for n in bad]


def test_table_has_one_row_per_file(files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, format="table") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["file", "label", "probability"]
    assert [line.split()[0] for line in lines[1:]] == files
    assert all(line.split()[3] == "%" for line in lines[1:])


def test_no_cell_of_a_table_is_cut(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Long names continue on the next line."""
    name = "in a folder/IMG_20240712_183045_HDR_portrait_of_the_whole_family_by_the_sea.png"
    Path(name).parent.mkdir()
    Image.fromarray(random_pixels()).save(name)
    monkeypatch.setattr(module, "console", lambda: Console(width=80, soft_wrap=True))
    assert run(monkeypatch, format="table", input=name) == 0
    out = capfd.readouterr().out
    assert "\u2026" not in out
    column = out.index("label")
    assert "".join(line[:column] for line in out.splitlines()[1:]).replace(" ", "") == name.replace(" ", "")


@pytest.mark.parametrize(("top", "named"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_top_is_the_number_of_listed_labels(
    top: int, named: int, files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    assert run(monkeypatch, top=top) == 0
    for line in capfd.readouterr().out.splitlines():
        row = json.loads(line)
        assert len(row["top"]) == named
        assert row["top"][0] == [row["label"], row["probability"]]
        assert row["top"] == sorted(row["top"], key=lambda pair: -pair[1])
    assert run(monkeypatch, top=top, format="table") == 0
    assert (f"top {named}" in capfd.readouterr().out) == (named > 1)
    assert len(make().predict([files[0]], top=top)[0]["top"]) == named


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("temperature", "its options are batch_size, top"),
        ("column", "its options are batch_size, top"),
        ("tpo", "did you mean top?"),
        ("fromat", "did you mean format?"),
        ("batchsize", "did you mean batch_size?"),
    ],
)
def test_unknown_options_are_refused(option: str, hint: str, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        run(monkeypatch, **{option: "2"})
    assert str(caught.value) == f"{option}=2: this model has no option {option!r}; {hint}"


def test_several_inputs_keep_their_order(files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    given = [files[3], "nothing.png", "in/[01].png", files[2]]
    assert run(monkeypatch, input=given) == 2
    out, err = capfd.readouterr()
    assert [json.loads(line)["file"] for line in out.splitlines()] == [files[n] for n in (3, 0, 1, 2)]
    assert err == "InputError: nothing.png: there is no such file, folder, or match of the pattern\n"


def test_missing_devices_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^device=nowhere: .*nowhere") as caught:
        ImagePredictor(make().task, "nowhere")
    assert "\n" not in str(caught.value)


def test_a_batch_size_of_0_is_refused(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="batch_size=0: input should be greater than 0"):
        run(monkeypatch, batch_size=0)


def test_other_formats_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="format=csv: this model has no such format; available: jsonl, table"):
        run(monkeypatch, format="csv")


@pytest.mark.parametrize("format", ["table", "jsonl"])
@pytest.mark.parametrize("bad", [[], [2]])
def test_missing_faces_are_listed_after_the_predictions(
    files: list[str], format: str, bad: list[int], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    Path("in/3.png").unlink()
    Image.open(PORTRAIT).save("in/3.png")
    for n in bad:
        Path(files[n]).write_text("no image")
    model = make(size=48, subject="face")
    assert run(monkeypatch, model, format=format) == (2 if bad else 0)
    out, err = capfd.readouterr()
    warned = [f"Warning: {files[n]}: no face was found; the whole image was used" for n in (0, 1, 2, 4) if n not in bad]
    refused = [f"InputError: {files[n]}: is not an image that can be read" for n in bad]
    assert err.splitlines() == warned + refused
    named = (
        [json.loads(line)["file"] for line in out.splitlines()]
        if format == "jsonl"
        else [line.split()[0] for line in out.splitlines()[1:]]
    )
    assert named == [file for n, file in enumerate(files) if n not in bad]


@pytest.mark.filterwarnings("error")
def test_images_of_the_size_of_the_model_need_no_face(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    assert run(monkeypatch, make(subject="face")) == 0
    out, err = capfd.readouterr()
    assert [json.loads(line)["file"] for line in out.splitlines()] == files
    assert err == ""
