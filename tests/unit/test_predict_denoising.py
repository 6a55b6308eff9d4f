"""Restoring photographs: output files, pixels, and invalid inputs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from sightseq import predict as module
from sightseq.core.errors import ConfigError, InputError
from sightseq.tasks.denoising.predict import DenoisingPredictor
from sightseq.vision.image import ORIENTATION


class Blur(nn.Module):
    """A task for the predictor: the mean over 5 x 5 pixels in each channel, plus the level.

    Args:
        channels: 1 or 3.
        noise_map: whether the network takes the level.
    """

    def __init__(self, channels: int = 3, noise_map: bool = False) -> None:
        super().__init__()
        self.spec = SimpleNamespace(channels=channels)
        self.noise_map, self.default_level, self.device = noise_map, 0.0, torch.device("cpu")
        self.largest = 0

    def restore(self, images: Tensor, level: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        assert images.shape[1] == self.spec.channels
        assert level.shape == images.shape[:1]
        assert torch.is_inference_mode_enabled()
        self.largest = max(self.largest, *images.shape[2:])
        mean = nn.functional.avg_pool2d(images, 5, stride=1, padding=2, count_include_pad=False)
        return (mean + level.view(-1, 1, 1, 1) / 255).clamp(0, 1)


class Same(Blur):
    """Returns its input."""

    def restore(self, images: Tensor, level: Tensor) -> Tensor:
        return images


def make(task: Blur | None = None) -> DenoisingPredictor:
    return DenoisingPredictor(task or Blur(), "cpu")  # type: ignore[arg-type]


def picture(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def save(name: str, *shape: int) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(*(shape or (9, 7, 3)))).save(path)
    return path


def command(*inputs: str, predictor: DenoisingPredictor | None = None, **options: Any) -> int:
    predictor = predictor or make()
    return module.print_predictions(predictor, inputs, "jsonl", predictor.options(options))


# Pixels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(200, 130), (131, 97, 3), (64, 64, 3), (1, 300, 3), (300, 1), (1, 1, 3), (33, 250)])
def test_the_tiled_result_equals_that_of_the_whole_image(shape: tuple[int, ...], channels: int) -> None:
    predictor = make(Blur(channels))
    image = picture(*shape)
    whole = np.asarray(predictor.denoise(image))
    tiled = np.asarray(predictor.denoise(image, tile=64, overlap=16))
    assert whole.shape == shape
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    assert whole.std() < image.std() or shape[:2] == (1, 1)


def test_only_large_images_are_tiled() -> None:
    predictor = make(task := Blur())
    predictor.denoise(picture(100, 100, 3), tile=112)
    assert task.largest == 100
    predictor.denoise(picture(100, 130, 3), tile=112)
    assert task.largest == 112


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_identity_network_keeps_all_values(mode: str, channels: int) -> None:
    depth = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "I;16": ()}[mode]
    pixels = picture(11, 13, *depth, dtype=np.uint16 if mode == "I;16" else np.uint8)
    found = make(Same(channels)).denoise(Image.fromarray(pixels))
    assert found.mode == mode
    assert np.array_equal(np.asarray(found), pixels)


def test_a_grey_network_restores_each_channel_separately() -> None:
    pixels = picture(20, 30, 3)
    found = np.asarray(make(Blur(1)).denoise(pixels))
    for channel in range(3):
        assert np.array_equal(found[..., channel], np.asarray(make(Blur(1)).denoise(pixels[..., channel])))


def test_a_colour_network_gets_replicated_grey_and_its_result_is_averaged() -> None:
    class Shift(Blur):
        def restore(self, images: Tensor, level: Tensor) -> Tensor:
            assert (images[:, :1] == images).all()
            return images * 0 + torch.tensor([0.1, 0.2, 0.6]).view(1, 3, 1, 1)

    found = np.asarray(make(Shift(3)).denoise(picture(4, 5)))
    assert (found == round(0.3 * 255)).all()


def test_transparency_is_untouched() -> None:
    pixels = picture(20, 30, 4)
    found = np.asarray(make().denoise(Image.fromarray(pixels)))
    assert np.array_equal(found[..., 3], pixels[..., 3])
    assert np.array_equal(found[..., :3], np.asarray(make().denoise(pixels[..., :3])))


def test_the_strength_is_the_level_of_the_network() -> None:
    predictor = make(Blur(1, noise_map=True))
    pixels = np.full((5, 5), 100, np.uint8)
    assert np.asarray(predictor.denoise(pixels, strength=30)).ravel().tolist() == [130] * 25
    assert np.asarray(predictor.denoise(pixels)).ravel().tolist() == [100] * 25  # the default of the task
    save("a.png", 5, 5)
    Image.fromarray(pixels).save("a.png")
    predictor.predict(["a.png"], strength=30, output="b.png")
    assert np.asarray(Image.open("b.png")).ravel().tolist() == [130] * 25


def test_strength_is_refused_without_a_noise_map() -> None:
    save("a.png")
    with pytest.raises(ConfigError, match=r"^strength=25: this network takes no noise level; .*noise_map=true$"):
        command("a.png", strength=25)
    with pytest.raises(ConfigError, match=r"^strength=25: "):
        make().denoise(Path("a.png"), strength=25)
    with pytest.raises(ConfigError, match=r"^strength=256: "):
        command("a.png", strength=256)
    assert not Path("a-denoised.png").exists()


# Files


def test_one_file_is_written_to_a_named_file(capsys: pytest.CaptureFixture[str]) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(picture(20, 30, 3)).save("photo.jpg", exif=exif, dpi=(300, 300))
    assert command("photo.jpg", output="new/clean.jpg") == 0
    row = json.loads(capsys.readouterr().out)
    assert isinstance(row.pop("seconds"), float)
    assert row == {"input": "photo.jpg", "output": str(Path("new/clean.jpg")), "width": 30, "height": 20}
    with Image.open("new/clean.jpg") as image:
        assert (image.format, image.size, image.getexif()[ORIENTATION]) == ("JPEG", (30, 20), 6)
        assert image.info["dpi"] == (300, 300)
    assert command("photo.jpg", output="clean.png") == 0
    with Image.open("clean.png") as image:
        assert image.format == "PNG"
        expected = make().denoise(Path("photo.jpg"))
        assert np.array_equal(np.asarray(image), np.asarray(expected))


def test_a_table_of_inputs_outputs_and_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    save("a.png")
    predictor = make()
    assert module.print_predictions(predictor, ["a.png"], "table", predictor.options({})) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["input", "output", "size", "seconds"]
    assert lines[1][:5] == ["a.png", "a-denoised.png", "7", "x", "9"]


def test_a_folder_keeps_names_and_subfolders() -> None:
    for name in ("in/a.jpg", "in/deep/er/b.png", "in/deep/c.gif"):
        save(name)
    assert command("in", output="out") == 0
    written = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file())
    assert written == ["a.jpg", os.path.join("deep", "c.png"), os.path.join("deep", "er", "b.png")]  # noqa: PTH118


def test_names_of_a_pattern_are_relative_to_its_fixed_part() -> None:
    for name in ("in/x/a.png", "in/y/a.png", "in/y/b.jpg"):
        save(name)
    assert command("in/*/a.*", output="out") == 0
    assert command(str(Path.cwd() / "in/**/*.jpg"), output="far") == 0
    assert sorted(map(str, Path("out").rglob("*.png"))) == ["out/x/a.png", "out/y/a.png"]
    assert sorted(map(str, Path("far").rglob("*.*"))) == ["far/y/b.jpg"]


def test_without_an_output() -> None:
    save("in/a.png")
    save("in/b.png")
    assert command("in/a.png", "in/b.png") == 0
    assert command("in") == 0
    assert sorted(map(str, Path().rglob("*.png"))) == [
        "a-denoised.png",
        "b-denoised.png",
        "denoised/a.png",
        "denoised/b.png",
        "in/a.png",
        "in/b.png",
    ]


def test_an_output_folder_in_the_input_folder_is_not_an_input() -> None:
    save("in/a.png")
    assert command("in", output="in/clean") == 0
    assert command("in", output="in/clean", overwrite=True) == 0
    assert sorted(map(str, Path().rglob("*.png"))) == ["in/a.png", "in/clean/a.png"]


def test_files_are_replaced_only_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    save("in/a.png")
    save("in/b.png")
    Path("out").mkdir()
    Path("out/a.png").write_bytes(b"mine")
    assert command("in", output="out") == 2
    assert "in/a.png: out/a.png already exists; add overwrite=true to replace it" in capsys.readouterr().err
    assert Path("out/a.png").read_bytes() == b"mine"
    assert Path("out/b.png").exists()  # the other file is written
    assert command("in", output="out", overwrite=True) == 0
    assert Path("out/a.png").read_bytes() != b"mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_replaced(overwrite: bool) -> None:
    original = save("in/a.png").read_bytes()
    save("in/b.png")
    Path("link.png").symlink_to("in/a.png")
    os.link("in/a.png", "hard.png")
    for inputs, output in (
        (["in/a.png"], "in/a.png"),
        (["in/a.png"], "./in/../in/a.png"),
        (["in/a.png"], "in"),
        (["in"], "in"),
        (["in"], "in/"),
        (["in/*.png"], "in"),
        (["link.png"], "in/a.png"),
        (["in/a.png"], "link.png"),
        (["in/a.png"], "hard.png"),
        (["in/a.png"], str(Path.cwd() / "in")),
    ):
        with pytest.raises(ConfigError, match="is an input and would be replaced; name another place with output="):
            command(*inputs, output=output, overwrite=overwrite)
    assert Path("in/a.png").read_bytes() == original


def test_two_results_are_never_written_to_one_file() -> None:
    for name in ("x/a.png", "y/a.png", "z/a.gif", "z/a.png"):
        save(name)
    for inputs in (["x/a.png", "y/a.png"], ["x", "y"], ["z"]):
        with pytest.raises(ConfigError, match=r"a\.\w+ and \w.a\.\w+ would both be written to .*out.a\.png; "):
            command(*inputs, output="out", overwrite=True)
    assert not Path("out").exists()


def test_invalid_outputs_are_refused() -> None:
    save("a.png")
    save("b.png")
    for inputs, output, message in (
        (["a.png", "b.png"], "c.png", r"output=c\.png: is one file, but there are 2 images; name a folder"),
        (["a.png"], "c.gif", r"output=c\.gif: \.gif files cannot be written; write output=c\.png"),
        (["a.png"], "c.heic", r"output=c\.heic: \.heic files cannot be written; write output=c\.jpg"),
        (["a.png"], "c.pgn", r"output=c\.pgn: \.pgn is not an image format \(.*\); end a folder's name with /"),
        (["a.png"], "b.png/c.png", r"b\.png cannot be written; name another place with output="),
    ):
        with pytest.raises(ConfigError, match=f"^{message}$"):
            command(*inputs, output=output)
    assert command("a.png", output="c.d/") == 0
    assert Path("c.d/a.png").exists()


def test_bad_files_are_listed_and_the_others_written(capsys: pytest.CaptureFixture[str]) -> None:
    save("in/good.jpg")
    save("in/alpha.png", 5, 5, 4)
    Path("in/bad.jpg").write_bytes(b"no image")
    Path("in/phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    Image.new("CMYK", (8, 8)).save("in/print.jpg")
    assert command("in", "missing.png", output="out") == 2
    out, err = capsys.readouterr()
    assert [json.loads(line)["input"] for line in out.splitlines()] == ["in/alpha.png", "in/good.jpg"]
    for text in (
        "in/bad.jpg: is not an image that can be read",
        "in/phone.heic: is not an image that can be read (it is HEIC: convert it to JPEG or PNG)",
        "in/print.jpg: its colours are CMYK; save it as RGB",
        "missing.png: there is no such file",
    ):
        assert f"InputError: {text}" in err
    assert command("in/alpha.png", output="out.jpg") == 2
    assert "JPEG cannot store its transparency" in capsys.readouterr().err


def test_from_python() -> None:
    save("in/a.png")
    save("in/b.jpg")
    rows = make().predict(["in"], output=Path("out"))
    assert [(row["output"], row["width"]) for row in rows] == [("out/a.png", 7), ("out/b.jpg", 7)]
    with pytest.raises(InputError, match="already exists"):
        make().predict([Path("in/a.png")], output="out/a.png")
    with pytest.raises(
        InputError, match=r"^inputs must be files, folders or patterns, not ndarray; use denoise\(image\)$"
    ):
        make().predict([picture(5, 5)])
    with pytest.raises(
        ConfigError, match=r"^tile=32 overlap=32: the tile must be more than twice as long as the overlap$"
    ):
        make().predict(["in"], tile=30)


def test_the_quality_of_a_jpeg() -> None:
    save("a.jpg", 64, 64, 3)
    predictor = make(Same())
    sizes = []
    for quality in (20, 95):
        assert command("a.jpg", predictor=predictor, output="b.jpg", quality=quality, overwrite=True) == 0
        sizes.append(Path("b.jpg").stat().st_size)
    assert sizes[0] < sizes[1] / 2


LARGE = """
import json, sys
sys.path.insert(0, {root!r})
from tests.unit.test_predict_denoising import Blur, make

class Wide(Blur):
    '''Two feature maps of 66 channels.'''
    def restore(self, images, level):
        features = images.repeat(1, 22, 1, 1)
        return (features / 2)[:, :3] + features[:, 3:6] / 2

def peak():
    # Not ru_maxrss: it starts at the memory of the parent process.
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1])

predictor = make(Wide())
before = peak()
row, = predictor.predict(["large.{suffix}"], output="clean.{suffix}")
print(json.dumps({{**row, "before": before, "peak": peak()}}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_50_megapixels_need_less_than_2_gib(suffix: str) -> None:
    block = np.random.default_rng(0).integers(0, 256, (580, 870, 3)).astype(np.uint8)
    Image.fromarray(np.tile(block, (10, 10, 1))).save(f"large.{suffix}")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", LARGE.format(root=root, suffix=suffix)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["width"], found["height"]) == (8700, 5800)
    gib = found["peak"] / 2**20
    print(f"\n{suffix}: peak {gib:.2f} GiB, {found['before'] / 2**20:.2f} before; {found['seconds']:.0f} s")
    assert gib < 2
    with Image.open(f"clean.{suffix}") as image:
        assert image.size == (8700, 5800)
