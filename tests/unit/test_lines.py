"""Images of one line of writing: reading and augmentation."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.core.sources import sources
from sightseq.vision.line_augment import LineWarp, Stroke
from sightseq.vision.lines import CONTRAST, NARROWEST, WIDEST, read_line, straighten, to_ink


def page(width: int = 60, height: int = 20, paper: int = 240, ink: int = 30) -> Image.Image:
    """A sheet with a dark box in columns 10 to 20 and rows 5 to 15."""
    pixels = np.full((height, width), paper, np.uint8)
    pixels[5:15, 10:20] = ink
    return Image.fromarray(pixels)


# Reading


def test_paper_is_0_and_the_aspect_ratio_is_kept() -> None:
    line = read_line(page(), 40)
    assert (line.shape, line.dtype) == ((120, 40, 1), np.uint8)
    assert line[22:38, 12:28].min() > 250  # the inside of the box, twice as large; columns come first
    assert line[:18].max() == line[42:].max() == 0


@pytest.mark.parametrize("image", [page(paper=240, ink=30), page(paper=30, ink=240), page().convert("RGB")])
def test_light_and_dark_paper_and_colours_give_the_same(image: Image.Image) -> None:
    assert np.array_equal(read_line(image, 20), read_line(page(paper=250, ink=20), 20))


def test_faint_ink_is_spread_to_255_but_the_noise_of_empty_paper_is_not() -> None:
    assert to_ink(np.asarray(page(paper=200, ink=200 - CONTRAST))).max() == 255
    noisy = np.random.default_rng(0).normal(200, 1, (30, 100)).round().astype(np.uint8)
    assert to_ink(noisy).max() < 255 * 6 / CONTRAST
    assert to_ink(np.full((5, 5), 7, np.uint8)).max() == 0


@pytest.mark.parametrize(("size", "width"), [((1, 20), NARROWEST), ((20, 4), 200), ((2, 40), NARROWEST)])
def test_narrow_and_low_images_are_read(size: tuple[int, int], width: int) -> None:
    assert read_line(Image.new("L", size, 255), 40).shape == (width, 40, 1)


def test_an_image_that_is_no_line_is_refused(tmp_path: Path) -> None:
    Image.new("L", (50, 1)).save(tmp_path / "low.png")
    with pytest.raises(InputError, match=r"low.png: is 50 x 1 pixels; a line of writing is at least 4 pixels high"):
        read_line(tmp_path / "low.png", 32)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"text.png: is not an image"):
        read_line(tmp_path / "text.png", 32)
    with pytest.warns(InputWarning, match="2500 times as wide as high; it was compressed"):
        assert read_line(Image.new("L", (10_000, 4), 255), 32).shape == (WIDEST, 32, 1)


def sloping(degrees: float) -> NDArray[np.uint8]:
    """A straight stroke from left to right, that falls by an angle."""
    pixels = np.zeros((60, 200), np.uint8)
    for column in range(10, 190):
        row = 30 + round((column - 100) * math.tan(math.radians(degrees)))
        pixels[row : row + 4, column] = 255
    return pixels


@pytest.mark.parametrize("degrees", [-6, -2, 0, 3, 6.5])
def test_a_sloping_line_is_straightened(degrees: float) -> None:
    line = straighten(sloping(degrees))
    assert line.shape[1] == 200
    assert len(line) <= 4 + 2 * 3 + 3  # the stroke, its margins, and rounding
    assert 0.9 < line.sum(dtype=int) / sloping(degrees).sum(dtype=int) < 1.1
    assert read_line(Image.fromarray(255 - sloping(degrees)), 32, straight=True).shape[1] == 32


def test_empty_paper_stays_as_it_is_when_straightened() -> None:
    assert np.array_equal(straighten(np.full((9, 30), 10, np.uint8)), np.full((9, 30), 10, np.uint8))


def test_handwriting_needs_no_packages_for_audio() -> None:
    modules = [f"sightseq.data.writing.{name}" for name in ("handwriting_csv", "iam", "captcha", "digit_lines")]
    modules += [
        "sightseq.tasks.recognition.lines",
        "sightseq.tasks.recognition.baseline",
        "sightseq.vision.line_augment",
    ]
    for module in modules:
        importlib.import_module(module)
    found = sources(modules, {"sightseq"})
    assert "sightseq.vision.lines" in found
    assert {name for name in found if "audio" in name} <= {"sightseq.audio", "sightseq.audio.transcript_spec"}


# Augmentation


def batch(height: int = 24) -> dict[str, Tensor]:
    """Lines of full height and of different widths, one of them empty."""
    length = torch.tensor([60, 31, 7, 1, 0, 60])
    images = (torch.arange(60) < length[:, None])[:, None, None, :].float().expand(6, 1, height, 60).clone()
    return {"input": images, "length": length, "index": torch.arange(6)}


@pytest.mark.parametrize("augmentation", [LineWarp(), LineWarp(40, 0.5, 0.5, 0.1, 1.0), LineWarp(elastic=0), Stroke()])
def test_padding_stays_0_and_no_ink_leaves_the_width(augmentation: LineWarp | Stroke) -> None:
    torch.manual_seed(0)
    for _ in range(10):
        changed = augmentation(batch())
        images, length = changed["input"], changed["length"]
        assert (length.dtype, images.shape[:3]) == (torch.int64, (6, 1, 24))
        assert images.shape[3] >= int(length.max())
        assert length[4] == 0
        beyond = torch.arange(images.shape[3]) >= length[:, None]
        assert not (images * beyond[:, None, None]).any()
        assert images.min() >= 0
        assert images.max() <= 1
    assert torch.equal(augmentation.eval()(batch())["input"], batch()["input"])


def test_a_warp_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all random numbers at 1: the largest slant to the right, 1.5 times as wide, half as high, at the bottom."""
    monkeypatch.setattr(torch, "rand", lambda *shape, device=None: torch.ones(shape))
    warp = LineWarp(slant=45, stretch=0.5, shrink=0.5, elastic=0, padding=0.25)
    changed = warp({"input": torch.ones(1, 1, 24, 40), "length": torch.tensor([40])})
    image, length = changed["input"][0, 0], int(changed["length"])
    assert length == 6 + 60 + (12 + 6)  # padding, the line, the slant over its height, padding
    assert image[:11].max() == 0
    assert (image[12] > 0.5).nonzero().flatten().tolist() == list(range(18, 77))  # the top row, moved by 11.5
    assert (image[23] > 0.5).nonzero().flatten().tolist() == list(range(7, 66))


def test_the_ink_is_kept() -> None:
    torch.manual_seed(1)
    warp = LineWarp(slant=20, stretch=0, shrink=0, elastic=0.08, padding=0.5)
    ink = torch.zeros(64, 1, 24, 80)
    ink[:, :, 4:20, ::6] = 1
    changed = warp({"input": ink, "length": torch.full((64,), 80)})["input"].sum((1, 2, 3))
    expected = ink.sum((1, 2, 3)) * (1 - 2 * 0.08)  # the room for the elastic moves
    assert ((changed / expected) - 1).abs().max() < 0.08


def test_each_line_moves_differently_and_strokes_change_in_both_directions() -> None:
    torch.manual_seed(0)
    assert (
        len(set(LineWarp()({"input": torch.ones(8, 1, 24, 60), "length": torch.full((8,), 60)})["length"].tolist())) > 3
    )
    line = torch.zeros(64, 1, 9, 20)
    line[:, :, 3:6] = 1
    ink = Stroke(0.9, 0.9)({"input": line, "length": torch.full((64,), 20)})["input"].sum((1, 2, 3))
    assert ink.min() < 60 * 0.7
    assert ink.max() > 60 * 1.3
    assert torch.equal(Stroke(0, 0)({"input": line, "length": torch.full((64,), 20)})["input"], line)


def test_wrong_arguments_are_refused() -> None:
    for arguments in ({"slant": 90}, {"stretch": 1}, {"elastic": 0.5}, {"padding": -1}):
        with pytest.raises(ConfigError, match="LineWarp needs"):
            LineWarp(**arguments)
    with pytest.raises(ConfigError, match="Stroke needs"):
        Stroke(2)
