"""From files to pixels: all kinds of images, and damaged files."""

import io
import struct
import time
import zlib
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from sightseq.core.errors import InputError
from sightseq.vision.faces import crop_face
from sightseq.vision.image import LARGEST, FaceWarning, crop, is_grey, open_image, read_image, to_pixels
from sightseq.vision.spec import ImageSpec

ORIENTATION = 0x0112
BICUBIC = Image.Resampling.BICUBIC
FILE = Path("image.png")
PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def gradient(height: int = 5, width: int = 8) -> np.ndarray:
    """All pixels of all channels differ: [height, width, 3]."""
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def header_of_png(width: int, height: int) -> bytes:
    """A PNG whose header gives this size, with one row of a few bytes."""

    return png(width, height, 1, 0, b"\0" * 8)


def png(width: int, height: int, bits: int, colour: int, row: bytes, transparent: bytes = b"") -> bytes:
    """A PNG with one row: `colour` is 0 for grey, 2 for RGB, 4 and 6 for those with alpha."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    middle = (chunk(b"tRNS", transparent) if transparent else b"") + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + size + middle + chunk(b"IEND", b"")


def tiff(bits: int, channels: int, photometric: int, row: bytes, number: int = 1, order: str = "<") -> bytes:
    """A TIFF with one row; `number` is 1 for unsigned, 2 for signed, 3 for floating point."""
    width = len(row) * 8 // (bits * channels)
    shorts = {256: width, 257: 1, 259: 1, 262: photometric, 273: 200, 277: channels, 278: 1, 279: len(row)}
    lists = {258: bits, 339: number}
    entries, extra = [], b""
    for tag in sorted(shorts | lists):
        count = channels if tag in lists else 1
        data = struct.pack(f"{order}{count}H", *[(shorts | lists)[tag]] * count)
        if len(data) > 4:
            data, extra = struct.pack(f"{order}I", 8 + 2 + 12 * 10 + 4 + len(extra)), extra + data
        entries.append(struct.pack(f"{order}HHI", tag, 3, count) + data.ljust(4, b"\0"))
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}IH", 8, 10) + b"".join(entries) + b"\0" * 4 + extra
    return head.ljust(200, b"\0") + row


def shorts(*values: int, order: str = ">") -> bytes:
    return struct.pack(f"{order}{len(values)}H", *values)


def pixels_of(name: str, content: bytes) -> list[list[int]] | list[int]:
    """The first row that `open_image` gives."""
    Path(name).write_bytes(content)
    return np.asarray(open_image(Path(name)))[0].tolist()


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
def test_orientation_of_the_camera_is_applied(orientation: int, upright: object) -> None:
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


def test_palette_is_applied() -> None:
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


DEEP = (0, 257, 200, 1000, 128 * 257, 65535)  # in eight bits: 0, 1, 0.8, 3.9, 128, 255


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_are_rounded(order: str) -> None:
    assert pixels_of("deep.png", png(6, 1, 16, 0, shorts(*DEEP))) == [0, 1, 1, 4, 128, 255]
    assert pixels_of("deep.tif", tiff(16, 1, 1, shorts(*DEEP, order=order), order=order)) == [0, 1, 1, 4, 128, 255]


def test_sixteen_bits_with_zero_as_white() -> None:
    assert pixels_of("deep.tif", tiff(16, 1, 0, shorts(*DEEP, order="<"))) == [255, 254, 254, 251, 127, 0]


def test_sixteen_bits_with_a_transparent_value() -> None:
    assert pixels_of("deep.png", png(6, 1, 16, 0, shorts(*DEEP), shorts(0))) == [255, 1, 1, 4, 128, 255]


def test_twelve_bits_become_eight() -> None:
    assert pixels_of("deep.tif", tiff(12, 1, 1, bytes([0xFF, 0xF8, 0x00, 0x00, 0x00, 0x10]))) == [255, 128, 0, 1]


@pytest.mark.parametrize("order", ["<", ">"])
def test_colour_of_sixteen_bits(order: str) -> None:
    values = (0, 257, 128 * 257, 65535, 20 * 257, 10 * 257)
    expected = [[0, 1, 128], [255, 20, 10]]
    assert pixels_of("deep.png", png(2, 1, 16, 2, shorts(*values))) == expected
    assert pixels_of("deep.tif", tiff(16, 3, 2, shorts(*values, order=order), order=order)) == expected


def test_sixteen_bits_with_alpha() -> None:
    assert pixels_of("deep.png", png(2, 1, 16, 4, shorts(2570, 65535, 2570, 0))) == [[10] * 3, [255] * 3]
    assert pixels_of("deep.png", png(1, 1, 16, 6, shorts(65535, 0, 2570, 65535))) == [[255, 0, 10]]


@pytest.mark.parametrize(("most", "values", "expected"), [(1023, (1023, 512), [255, 128]), (65535, DEEP[1:3], [1, 1])])
def test_portable_greymap_by_its_largest_value(most: int, values: tuple[int, int], expected: list[int]) -> None:
    assert pixels_of("deep.pgm", b"P5 2 1 %d\n" % most + shorts(*values)) == expected


@pytest.mark.parametrize(
    ("bits", "number", "row"),
    [
        (32, 1, struct.pack("<3I", 0, 255, 2**32 - 1)),
        (32, 2, struct.pack("<3i", 0, 255, 2**31 - 1)),
        (16, 2, struct.pack("<3h", -5, 0, 255)),
        (32, 3, struct.pack("<3f", 0, 0.5, 1)),
    ],
)
def test_values_of_unknown_range_are_refused(bits: int, number: int, row: bytes) -> None:
    Path("numbers.tif").write_bytes(tiff(bits, 1, 1, row, number))
    assert refusal(Path("numbers.tif")).endswith(
        "the range of its pixel values is unknown; save it with 8 or 16 bits per channel"
    )
    Path("numbers.pfm").write_bytes(b"Pf\n2 1\n-1.0\n" + struct.pack("<2f", 0.5, 1))
    assert "range of its pixel values is unknown" in refusal(Path("numbers.pfm"))


def test_eight_bits_with_zero_as_white() -> None:
    assert pixels_of("fax.tif", tiff(8, 1, 0, bytes([0, 1, 200, 255]))) == [255, 254, 55, 0]


def test_few_bits_are_scaled_to_eight() -> None:
    assert pixels_of("few.png", png(4, 1, 2, 0, bytes([0b00011011]))) == [0, 85, 170, 255]
    assert pixels_of("few.png", png(2, 1, 4, 0, bytes([0x0F]))) == [0, 255]


def test_one_colour_is_transparent() -> None:
    assert pixels_of("key.png", png(2, 1, 8, 2, bytes([10, 20, 30, 40, 50, 60]), shorts(10, 20, 30))) == [
        [255, 255, 255],
        [40, 50, 60],
    ]
    assert pixels_of("key.png", png(2, 1, 8, 0, bytes([10, 20]), shorts(10))) == [255, 20]


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"), [("La", (40, 64), 231), ("RGBa", (40, 0, 64, 64), (231, 191, 255))]
)
def test_images_with_premultiplied_alpha(mode: str, pixel: tuple[int, ...], expected: object) -> None:
    found = open_image(Image.new(mode, (2, 2), pixel)).getpixel((0, 0))  # 40 of 64 is 159 of 255; 3/4 is white
    assert np.abs(np.subtract(found, expected)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16"])
def test_white_is_white_in_every_mode(mode: str) -> None:
    white = {"CMYK": (0, 0, 0, 0), "YCbCr": (255, 128, 128), "HSV": (0, 0, 255), "I;16": 65535}
    image = Image.new(mode, (2, 2), white.get(mode, "white"))
    found = open_image(image)
    assert found.mode == ("L" if mode in ("1", "L", "LA", "I;16") else "RGB")
    assert np.asarray(found).min() == 255


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


@pytest.mark.parametrize(("transform", "stored"), [(0, (255, 0, 0, 255)), (2, (179, 171, 0, 255))])
def test_cmyk_of_adobe_becomes_rgb(transform: int, stored: tuple[int, ...]) -> None:
    """A red JPEG with inverted CMYK; with transform 2, the inverse of the first three channels is stored as YCbCr."""
    path, raw = Path("print.jpg"), io.BytesIO()
    Image.new("CMYK", (8, 8), tuple(255 - value for value in stored)).save(raw, "JPEG", quality=100)
    content = bytearray(raw.getvalue())
    content[content.index(b"Adobe") + 11] = transform
    path.write_bytes(content)
    assert Image.open(path).mode == "CMYK"
    assert np.abs(np.asarray(open_image(path), int)[0, 0] - [255, 0, 0]).max() <= 2


def test_lab_becomes_rgb() -> None:
    path = Path("lab.tif")
    Image.new("LAB", (2, 2), (138, 209, 198)).save(path)  # L* 54, a* 81, b* 70: red
    assert np.abs(np.asarray(open_image(path), int)[0, 0] - [255, 0, 0]).max() <= 6


@pytest.mark.parametrize("name", ["film.gif", "film.webp", "film.png", "pages.tif", "phone.mpo", "film.avif"])
def test_first_image_of_several(name: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(name, save_all=True, append_images=frames[1:])
    found = np.asarray(open_image(Path(name)), int)
    assert found.shape == (16, 16, 3)
    assert np.abs(found - [255, 0, 0]).max() <= 4  # some formats are lossy


def test_missing_file() -> None:
    assert refusal(Path("none.png")) == "none.png: there is no such file"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"BM", b"II*\0"])
def test_a_file_that_is_not_an_image(content: bytes) -> None:
    FILE.write_bytes(content)
    assert "is not an image that can be read" in refusal()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", " (it is empty)"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100, " (it is HEIC: convert it to JPEG or PNG)"),
        (b'<?xml version="1.0"?>\n<svg width="9" height="9"/>', " (it is an SVG drawing: save it as PNG)"),
        (b"<!DOCTYPE html><html></html>", ""),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + b"\0" * 100, ""),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\x80\x80\x80\x81", ""),
    ],
)
def test_the_error_names_known_formats(content: bytes, reason: str) -> None:
    FILE.write_bytes(content)
    assert refusal() == f"image.png: is not an image that can be read{reason}"


def test_folder_is_not_an_image() -> None:
    FILE.mkdir()
    assert refusal() == "image.png: is not an image that can be read (it is a folder)"


def test_unreadable_image_is_named() -> None:
    Image.fromarray(gradient(40, 40)).save("cut.png")
    Path("cut.png").write_bytes(Path("cut.png").read_bytes()[:200])
    with (
        Image.open("cut.png") as image,
        pytest.raises(InputError, match=r"^.*cut\.png: is not an image that can be read"),
    ):
        open_image(image)
    with pytest.raises(InputError, match=r"^an image: the range of its pixel values is unknown"):
        open_image(Image.new("F", (2, 2)))


def test_images_are_left_open() -> None:
    Image.fromarray(gradient()).save(FILE)
    with Image.open(FILE) as image:
        assert np.array_equal(np.asarray(open_image(image)), gradient())
        assert np.array_equal(np.asarray(image), gradient())


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "tif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_file(suffix: str, share: float) -> None:
    path = Path(f"cut.{suffix}")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    assert "is not an image that can be read" in refusal(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif", "bmp", "avif"])
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
            assert str(error).startswith("image.png: ")  # noqa: PT017 (both outcomes are right)
            outcomes.add("refused")
    assert outcomes == ({"refused"} if suffix == "png" else {"RGB", "refused"})  # PNG has checksums


def test_strange_exif_does_not_crash() -> None:
    entries = struct.pack("<HHHII", 2, ORIENTATION, 3, 1, 6) + struct.pack("<HHI4s", 0x011A, 2, 4, b"abc\0")
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries + b"\0" * 4  # the resolution is a text
    Image.fromarray(gradient()).save("strange.jpg", exif=exif)
    assert open_image(Path("strange.jpg")).size == (5, 8)


def test_invalid_exif_does_not_crash() -> None:
    Image.fromarray(gradient()).save("strange.webp", lossless=True, exif=b"Exif\0\0no TIFF at all")
    assert np.array_equal(np.asarray(open_image(Path("strange.webp"))), gradient())


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "avif"])
def test_orientation_is_applied_in_every_format(suffix: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = Image.new("RGB", (32, 16), "red")
    image.paste("blue", (16, 0, 32, 16))
    image.save(f"turned.{suffix}", exif=exif)
    found = np.asarray(open_image(Path(f"turned.{suffix}")), int)
    assert found.shape == (32, 16, 3)
    assert np.abs(found[2, 2] - [255, 0, 0]).max() <= 4
    assert np.abs(found[-3, 2] - [0, 0, 255]).max() <= 4


@pytest.mark.parametrize(("mode", "grey"), [("1", True), ("L", True), ("LA", True), ("I;16", True), ("RGB", False)])
def test_grey_is_detected_from_the_header(mode: str, grey: bool) -> None:
    Image.new(mode, (3, 3)).save(FILE)
    assert is_grey(FILE) is grey is (open_image(FILE).mode == "L")
    FILE.write_bytes(png(2, 1, 8, 0, bytes([10, 20]), shorts(10)))
    assert is_grey(FILE) is (open_image(FILE).mode == "L")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(20000, 20000), (10001, 10000), (100_000_001, 1)])
def test_huge_image_is_refused_without_decoding(width: int, height: int) -> None:
    assert width * height > LARGEST
    FILE.write_bytes(header_of_png(width, height))  # decoding would give another error: the data is missing
    began = time.monotonic()
    assert "to decode; reduce its size" in refusal()
    assert time.monotonic() - began < 0.5


def test_a_compressed_text_bomb_in_a_png_is_refused() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "a" * (2 * PngImagePlugin.MAX_TEXT_CHUNK), zip=True)
    Image.new("L", (2, 2)).save(FILE, pnginfo=info)
    assert "is not an image that can be read" in refusal()


# crop, to_pixels, read_image


@pytest.mark.parametrize(("size", "box"), [((30, 10), (10, 0, 20, 10)), ((10, 30), (0, 10, 10, 20))])
def test_crop_keeps_the_centre(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    image = Image.new("L", size, 0)
    image.paste(255, box)
    assert np.asarray(crop(image, 10, 10)).min() == 255


def test_crop_keeps_proportions() -> None:
    image = Image.fromarray(gradient(10, 40)).convert("L")
    found = np.asarray(crop(image, 5, 10))  # twice as wide as high: the central 20 columns, then half the size
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


def test_read_image_gives_the_input_of_the_model() -> None:
    Image.fromarray(gradient(20, 20)).save(FILE)
    spec = ImageSpec(1, 10, 10, ("a", "b"), (0.5,), (0.5,))
    assert read_image(FILE, spec).shape == (1, 10, 10)
    assert np.array_equal(read_image(FILE, spec), to_pixels(crop(Image.open(FILE), 10, 10), 1))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 10000), (10000, 3)])
def test_images_of_any_size_are_read(size: tuple[int, int]) -> None:
    Image.new("RGB", size, (10, 20, 30)).save(FILE)
    found = read_image(FILE, ImageSpec(3, 10, 12, ("a", "b"), (0.5,) * 3, (0.5,) * 3))
    assert found.shape == (3, 10, 12)
    assert (found == np.array([10, 20, 30])[:, None, None]).all()


def spec_of_faces(size: int = 48, margin: int = 0) -> ImageSpec:
    return ImageSpec(1, size, size, ("a", "b"), (0.5,), (0.5,), margin=margin, subject="face")


def test_faces_are_cropped_as_in_the_training_data() -> None:
    image = Image.open(PORTRAIT)
    found = read_image(PORTRAIT, spec_of_faces())
    assert np.array_equal(found, to_pixels(crop(crop_face(image)[0], 48, 48, BICUBIC), 1))
    assert np.array_equal(found, read_image(image, spec_of_faces()))
    whole = read_image(PORTRAIT, replace(spec_of_faces(), subject="centre"))
    assert np.abs(found.astype(int) - whole).mean() > 20
    assert np.array_equal(whole, to_pixels(crop(image, 48, 48), 1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("margin", [0, 8])
def test_images_of_the_right_size_are_not_searched_for_faces(margin: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)
    Image.fromarray(noise).save(FILE)
    assert np.array_equal(read_image(FILE, spec_of_faces(48 - margin, margin))[0], noise)


def test_without_a_face_the_whole_image_is_used_with_a_warning() -> None:
    Image.fromarray(gradient(60, 90)).save(FILE)
    with pytest.warns(FaceWarning) as caught:
        found = read_image(FILE, spec_of_faces())
    assert [str(warning.message) for warning in caught] == ["image.png: no face was found; the whole image was used"]
    assert np.array_equal(found, to_pixels(crop(open_image(FILE), 48, 48, BICUBIC), 1))
    with pytest.warns(FaceWarning, match="^an image: no face was found"):
        read_image(Image.fromarray(gradient(60, 90)), spec_of_faces())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("channels", [1, 3])
def test_orientation_of_a_tiff(channels: int, compression: str, orientation: int) -> None:
    """Pillow applies the orientation itself, and corrupts grey uncompressed TIFFs that it opens by file name."""
    pixels = gradient()[:, :, 0] if channels == 1 else gradient()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = Path("image.tiff")
    Image.fromarray(pixels).save(path, exif=exif, compression=compression)
    Image.fromarray(pixels).save(FILE, exif=exif)
    assert np.array_equal(np.asarray(open_image(path)), np.asarray(open_image(FILE)))
