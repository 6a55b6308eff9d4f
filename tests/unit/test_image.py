"""From files to pixels: every kind of image one meets, and every way a file is broken."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from sightseq.core.errors import InputError
from sightseq.core.spec import ImageSpec
from sightseq.vision.image import LARGEST, crop, open_image, read_image, to_pixels

ORIENTATION = 0x0112
FILE = Path("image.png")


def gradient(height: int = 5, width: int = 8) -> np.ndarray:
    """All pixels of all channels differ: [height, width, 3]."""
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def header_of_png(width: int, height: int) -> bytes:
    """A PNG that says it is so large, with one row of a few bytes in it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


def refusal(path: Path = FILE) -> str:
    with pytest.raises(InputError) as caught:
        open_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_orientation_of_the_camera_is_followed(orientation: int, upright: object) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(gradient()).save(FILE, exif=exif)
    assert np.array_equal(np.asarray(open_image(FILE)), upright(gradient()))


def test_colour_and_grey_stay_as_they_are() -> None:
    Image.fromarray(gradient()).save(FILE)
    found = open_image(FILE)
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), gradient())
    Image.fromarray(gradient()[:, :, 0]).save(FILE)
    found = open_image(FILE)
    assert found.mode == "L"
    assert np.array_equal(np.asarray(found), gradient()[:, :, 0])


def test_transparent_pixels_become_white() -> None:
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    Image.fromarray(pixels).save(FILE)
    found = open_image(FILE)
    assert found.mode == "RGB"
    assert np.asarray(found)[0].tolist() == [[255, 0, 0], [255, 255, 255], [127, 127, 127]]


def test_palette_is_looked_up() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    image.putdata([0, 1, 2])
    image.save(FILE)
    assert np.asarray(open_image(FILE))[0].tolist() == [[255, 0, 0], [0, 255, 0], [10, 20, 30]]
    image.save(FILE, transparency=1)
    assert np.asarray(open_image(FILE))[0].tolist() == [[255, 0, 0], [255, 255, 255], [10, 20, 30]]


def test_grey_with_transparency_becomes_white_there() -> None:
    Image.fromarray(np.array([[[10, 255], [10, 0]]], np.uint8)).save(FILE)  # LA
    assert np.asarray(open_image(FILE).convert("L"))[0].tolist() == [10, 255]


def test_grey_with_transparency_is_grey() -> None:
    Image.fromarray(np.array([[[10, 255], [10, 0]]], np.uint8)).save(FILE)
    assert open_image(FILE).mode == "L"


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_become_eight(suffix: str) -> None:
    path = Path(f"deep.{suffix}")
    Image.fromarray(np.array([[0, 257, 128 * 257, 65535]], np.uint16)).save(path)
    found = open_image(path)
    assert found.mode == "L"
    assert np.asarray(found)[0].tolist() == [0, 1, 128, 255]


def test_one_bit_is_grey() -> None:
    Image.fromarray(np.array([[True, False, True]])).save(FILE)
    found = open_image(FILE)
    assert found.mode == "L"
    assert np.asarray(found)[0].tolist() == [255, 0, 255]


def test_cmyk_becomes_rgb() -> None:
    path = Path("print.tif")
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(path)
    found = open_image(path)
    assert found.mode == "RGB"
    assert np.asarray(found)[0, 0].tolist() == [255, 0, 0]


def test_first_picture_of_an_animation() -> None:
    path = Path("film.gif")
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert np.asarray(open_image(path))[0, 0].tolist() == [255, 0, 0]


def test_missing_file() -> None:
    assert refusal(Path("none.png")) == "none.png: there is no such file"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"BM", b"II*\0"])
def test_what_is_no_image(content: bytes) -> None:
    FILE.write_bytes(content)
    assert "is no image that can be read" in refusal()


def test_folder_is_no_image() -> None:
    FILE.mkdir()
    assert "is no image that can be read" in refusal()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "tif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_file(suffix: str, share: float) -> None:
    path = Path(f"cut.{suffix}")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    assert "is no image that can be read" in refusal(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif", "bmp"])
def test_damaged_bytes_give_an_image_or_our_error(suffix: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    buffer = io.BytesIO()
    Image.fromarray(gradient(12, 12)).save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix), exif=exif)
    random = np.random.default_rng(0)
    outcomes = set()
    for _ in range(150):
        raw = np.frombuffer(buffer.getvalue(), np.uint8).copy()
        places = random.integers(0, len(raw), 3)
        raw[places] = random.integers(0, 256, 3)
        FILE.write_bytes(raw.tobytes())
        try:
            outcomes.add(open_image(FILE).mode)
        except InputError as error:
            assert str(error).startswith("image.png: ")  # noqa: PT017 (either outcome is right)
            outcomes.add("refused")
    assert outcomes == ({"refused"} if suffix == "png" else {"RGB", "refused"})  # a PNG has checksums


def test_strange_exif_does_not_crash() -> None:
    entries = struct.pack("<HHHII", 2, ORIENTATION, 3, 1, 6) + struct.pack("<HHI4s", 0x011A, 2, 4, b"abc\0")
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries + b"\0" * 4  # a resolution that is a text
    Image.fromarray(gradient()).save("strange.jpg", exif=exif)
    assert open_image(Path("strange.jpg")).size == (5, 8)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(20000, 20000), (10001, 10000), (100_000_001, 1)])
def test_huge_image_is_refused_without_decoding(width: int, height: int) -> None:
    assert width * height > LARGEST
    FILE.write_bytes(header_of_png(width, height))  # decoding it would be another error: there is no more data
    began = time.monotonic()
    assert "to decode; make it smaller" in refusal()
    assert time.monotonic() - began < 0.5


def test_inflated_text_in_a_png_is_refused() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "a" * (2 * PngImagePlugin.MAX_TEXT_CHUNK), zip=True)
    Image.new("L", (2, 2)).save(FILE, pnginfo=info)
    assert "is no image that can be read" in refusal()


# crop, to_pixels, read_image


@pytest.mark.parametrize(("size", "box"), [((30, 10), (10, 0, 20, 10)), ((10, 30), (0, 10, 10, 20))])
def test_crop_keeps_the_centre(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    image = Image.new("L", size, 0)
    image.paste(255, box)
    assert np.asarray(crop(image, 10, 10)).min() == 255


def test_crop_keeps_proportions() -> None:
    image = Image.fromarray(gradient(10, 40)).convert("L")
    found = np.asarray(crop(image, 5, 10))  # twice as wide as high: the middle 20 columns, then half of all
    assert found.shape == (5, 10)
    expected = np.asarray(image.resize((10, 5), Image.Resampling.BILINEAR, box=(10, 0, 30, 10)))
    assert np.array_equal(found, expected)


def test_crop_of_the_right_size_is_the_same_image() -> None:
    image = Image.fromarray(gradient())
    assert crop(image, 5, 8) is image


def test_crop_enlarges_small_images() -> None:
    assert crop(Image.new("L", (1, 1), 77), 4, 6).getextrema() == (77, 77)


def test_to_pixels() -> None:
    image = Image.fromarray(gradient())
    colour = to_pixels(image, 3)
    assert colour.shape == (3, 5, 8)
    assert colour.flags["C_CONTIGUOUS"]
    assert np.array_equal(colour.transpose(1, 2, 0), gradient())
    grey = to_pixels(image, 1)
    assert grey.shape == (1, 5, 8)
    weights = gradient() @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[0] - weights).max() <= 1
    assert np.array_equal(to_pixels(image.convert("L"), 3), np.repeat(grey, 3, axis=0))


def test_read_image_is_what_the_model_sees() -> None:
    Image.fromarray(gradient(20, 20)).save(FILE)
    spec = ImageSpec(1, 10, 10, ("a", "b"), (0.5,), (0.5,))
    assert read_image(FILE, spec).shape == (1, 10, 10)
    assert np.array_equal(read_image(FILE, spec), to_pixels(crop(Image.open(FILE), 10, 10), 1))
