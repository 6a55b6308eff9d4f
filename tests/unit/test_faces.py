"""Photographs are cropped to the largest face as in FER-2013; face crops and images without a face are unchanged."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from sightseq.vision.faces import FRAME, Face, crop_face, largest_face

PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"  # 512 x 600, a face of about 230
EYES = ((212, 197), (308, 197))  # (x, y) in pixels of the portrait


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return Image.open(PORTRAIT).convert("RGB")


def canvas(*places: tuple[int, int, int], size: tuple[int, int] = (900, 600)) -> Image.Image:
    """A grey image that contains the portrait at each (left, top, height) in pixels."""
    background = Image.new("RGB", size, (128, 128, 128))
    for left, top, height in places:
        background.paste(Image.open(PORTRAIT).convert("RGB").resize((height * 512 // 600, height)), (left, top))
    return background


def face_at(left: float, top: float, height: float) -> Face:
    """The face of the portrait that `canvas` pastes at (left, top), scaled to `height`."""
    scale = height / 600
    x, y, side = 147, 102, 230
    return left + scale * x, top + scale * y, scale * side


def assert_near(found: Face | None, expected: Face) -> None:
    assert found is not None
    assert found == pytest.approx(expected, abs=0.1 * expected[2])


def test_face_is_found_around_the_eyes(portrait: Image.Image) -> None:
    found = largest_face(portrait)
    assert found is not None
    left, top, side = found
    for x, y in EYES:
        assert left + 0.2 * side < x < left + 0.8 * side
        assert top + 0.3 * side < y < top + 0.5 * side
    assert left + side / 2 == pytest.approx(sum(x for x, _ in EYES) / 2, abs=0.05 * side)
    assert side == pytest.approx(230, rel=0.08)


def test_crop_is_the_face_with_the_measured_frame(portrait: Image.Image) -> None:
    face = largest_face(portrait)
    assert face is not None
    left, top, side = face
    cropped, found = crop_face(portrait)
    assert found
    assert 1.02 < FRAME < 1.06
    assert cropped.width == cropped.height == pytest.approx(FRAME * side, abs=1)
    x, y = round(left - (FRAME - 1) / 2 * side), round(top - (FRAME - 1) / 2 * side)
    expected = portrait.crop((x, y, x + cropped.width, y + cropped.height))
    assert np.abs(np.asarray(cropped, int) - np.asarray(expected, int)).mean() < 3


@pytest.mark.parametrize("order", [1, -1])
def test_largest_of_two_faces_is_taken(order: int) -> None:
    places = [(20, 150, 300), (450, 50, 450)][::order]
    assert_near(largest_face(canvas(*places)), face_at(450, 50, 450))


@pytest.mark.parametrize("height", [130, 300, 600])
def test_small_and_large_faces_are_found(height: int) -> None:
    assert_near(largest_face(canvas((250, 0, height))), face_at(250, 0, height))


def test_large_photographs_are_searched_at_a_reduced_size(portrait: Image.Image) -> None:
    huge = portrait.resize((5 * 512, 5 * 600))
    assert_near(largest_face(huge), face_at(0, 0, 3000))
    cropped, found = crop_face(huge)
    assert found
    small = np.asarray(cropped.resize((48, 48)), int)
    expected = np.asarray(crop_face(portrait)[0].resize((48, 48)), int)
    assert cropped.width > 1000  # pixels of the original
    assert np.abs(small - expected).mean() < 12


def test_grey_and_colour_give_the_same_face(portrait: Image.Image) -> None:
    assert largest_face(portrait.convert("L")) == largest_face(portrait)
    assert crop_face(portrait.convert("L"))[0].mode == "L"
    assert crop_face(portrait)[0].mode == "RGB"


@pytest.mark.parametrize("side", [64, 100, 200, 500])
def test_a_face_crop_is_unchanged(portrait: Image.Image, side: int) -> None:
    face = crop_face(portrait)[0].resize((48, 48)).resize((side, side))
    cropped, found = crop_face(face)
    assert found
    assert cropped is face


def test_a_square_beyond_the_edge_is_moved_inside(portrait: Image.Image) -> None:
    left, top, side = face_at(0, 0, 600)
    cut = portrait.crop((round(left + 0.03 * side), round(top + 0.03 * side), 512, 600))
    found = largest_face(cut)
    assert found is not None
    assert found[0] - (FRAME - 1) / 2 * side < 0  # the frame would reach beyond the edge
    cropped, _ = crop_face(cut)
    assert cropped.width == cropped.height == pytest.approx(FRAME * found[2], abs=1)
    assert np.array_equal(np.asarray(cropped), np.asarray(cut.crop((0, 0, *cropped.size))))


def test_square_larger_than_the_image_is_reduced(portrait: Image.Image) -> None:
    left, _, side = face_at(0, 0, 600)
    narrow = portrait.crop((round(left + 0.02 * side), 0, round(left + 0.98 * side), 600))
    cropped, found = crop_face(narrow)
    assert found
    assert cropped.size == (narrow.width, narrow.width)


@pytest.mark.parametrize("name", ["china.jpg"])
def test_an_image_without_a_face_is_unchanged(name: str) -> None:
    image = Image.fromarray(sklearn.datasets.load_sample_image(name))
    cropped, found = crop_face(image)
    assert not found
    assert cropped is image


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 5), (3, 10000), (10000, 3), (640, 1)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_images_of_any_size_are_searched(size: tuple[int, int], mode: str) -> None:
    image = Image.new(mode, size, 90 if mode == "L" else (90, 0, 0))
    assert crop_face(image) == (image, False)


def test_threads_find_the_same_faces_as_one_thread() -> None:
    walls = [canvas((left, 40, height)) for left, height in ((0, 300), (100, 400), (300, 500), (400, 450))] * 3
    alone = [largest_face(background) for background in walls]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(largest_face, walls)) == alone
    assert len(set(alone)) == 4


def test_opencv_is_imported_at_the_first_search_and_by_one_thread() -> None:
    program = """
import sys, threading, time
from PIL import Image
from sightseq.vision.faces import largest_face
assert "cv2" not in sys.modules
failed = []
def search(n):
    time.sleep(n * 0.004)
    try:
        largest_face(Image.new("L", (30, 30)))
    except Exception as error:  # any at all fails the test
        failed.append(error)
threads = [threading.Thread(target=search, args=(n,)) for n in range(60)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not failed, failed[0]
assert "cv2" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
