"""Measuring how drawings lie in their images, and JavaScript that must agree with Python."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

import sightseq.export.web
from sightseq.vision.drawings import drawing_style

SCRIPTS = Path(sightseq.export.web.__file__).with_name("image")


def discs(centres: list[tuple[float, float]], radius: float) -> np.ndarray:
    """White discs on black, 28 x 28 pixels, with smooth outlines."""
    y, x = np.mgrid[:28, :28] + 0.5
    distances = np.stack([np.hypot(x - cx, y - cy) for cx, cy in centres])
    return (255 * (radius - distances + 0.5).clip(0, 1)).astype(np.uint8)


def test_a_bar() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 4:24, 12:16] = 255
    style = drawing_style(image)
    assert (style["background"], style["ink"], style["extent"]) == (0, 255, 20)
    assert style["centre"] == [14, 14]
    # area 4 x 20, outline 2 x (4 + 20) but for the corner where both differences meet
    assert style["stroke"] == pytest.approx(2 * 80 / (48 - 2 + 2**0.5), abs=0.01)
    assert drawing_style(255 - image) == style | {"background": 255, "ink": 0}


def test_the_anchor_is_what_the_images_were_centred_by() -> None:
    boxes = discs([(14, 14), (14, 14), (14, 14)], 6)
    boxes[1, 14:20, 14:20] = boxes[2, 8:14, 8:14] = 0  # a quarter is missing: the box stays, the mass moves
    boxes[1, 19, 13] = boxes[2, 8, 14] = 255
    assert drawing_style(boxes)["anchor"] == "box"
    mass = discs([(13, 15), (15, 13)], 4)
    mass[0, 13, 20] = mass[0, 14, 20] = 255
    assert drawing_style(discs([(10, 12), (10, 12)], 5))["centre"] == [10, 12]


def test_digits_of_scikit_learn() -> None:
    """Blocks of 4 x 4 pixels were counted in bitmaps of 32 x 32, which the digits fill."""
    style = drawing_style((load_digits().images * (255 / 16)).round().astype(np.uint8))
    assert (style["anchor"], style["extent"]) == ("box", 8)
    assert style["centre"] == pytest.approx([4, 4], abs=0.2)
    assert 1 < style["stroke"] < 2


def test_empty_images() -> None:
    with pytest.raises(ValueError, match="empty"):
        drawing_style(np.zeros((2, 8, 8), np.uint8))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_browser_resizes_as_pillow_does() -> None:
    """The same bytes, for enlarged, reduced, wide and unchanged images; rows are read in strips.

    In the last, a high one, Pillow resizes columns before rows, with another rounding.
    """
    sizes = [(7, 5, 8, 8), (640, 480, 28, 28), (28, 28, 28, 28), (301, 299, 224, 256), (1, 1, 8, 8), (33, 400, 20, 10)]
    script = f"""
        import {{ cropAndResize }} from "{SCRIPTS / "resize.js"}";
        const image = (width, height, top, count) => Uint8Array.from(
            {{ length: 4 * width * count }}, (_, i) => ((i + 4 * width * top) * 2654435761 % 4294967296) / 16777216);
        console.log(JSON.stringify({json.dumps(sizes)}.map(([w, h, toW, toH]) =>
            [...cropAndResize(w, h, (top, count) => image(w, h, top, count), toW, toH, 50)])));
    """
    command = ["node", "--input-type=module", "--eval", script]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for (width, height, to_width, to_height), pixels in zip(sizes, found, strict=True):
        values = np.arange(4 * width * height, dtype=np.uint64) * 2654435761 % 2**32 // 2**24
        image = Image.fromarray(values.astype(np.uint8).reshape(height, width, 4)[:, :, :3].copy())
        resized = ImageOps.fit(image, (to_width, to_height), Image.Resampling.BILINEAR)
        difference = np.abs(np.reshape(pixels, (to_height, to_width, 3)) - np.asarray(resized, int))
        assert difference.max() <= (height == 400)
