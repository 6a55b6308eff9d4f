"""Reading and writing a photograph keeps pixels, transparency, bit depth, EXIF data, profile and resolution."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from sightseq.core.errors import DiskError, InputError, InputWarning
from sightseq.vision.image import ORIENTATION
from sightseq.vision.photo_files import FORMATS, SUPPORTED_MODES, Photo, check_target, read_photo, write_photo

from .test_image import png, shorts, tiff

MODES = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "I;16": ()}
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKE, EXPOSURE, CAMERA, GPS = 0x010F, 0x829A, 0x8769, 0x8825
LOSSLESS = {"TIFF", "PPM", "PNG", "BMP", "JPEG2000"}


def pixels(mode: str, height: int = 20, width: int = 33) -> np.ndarray:
    """Return a smooth image, which JPEG hardly changes, with values from black to white."""
    top = 65535 if mode == "I;16" else 255
    ramp = np.linspace(0, top, height)[:, None] * np.linspace(0, 1, width)
    channels = MODES[mode][0] if MODES[mode] else 1
    stacked = np.stack([ramp if n % 2 == 0 else top - ramp for n in range(channels)], axis=-1).round()
    return stacked.reshape(height, width, *MODES[mode]).astype(np.uint16 if mode == "I;16" else np.uint8)


def exif(orientation: int = 6) -> Image.Exif:
    found = Image.Exif()
    found[ORIENTATION], found[MAKE] = orientation, "Maker"
    for group, tag, value in ((CAMERA, EXPOSURE, 0.01), (GPS, 1, "N")):
        found.get_ifd(group)[tag] = value
        found[group] = found.get_ifd(group)
    return found


CASES = [(s, m) for s, format in FORMATS.items() for m in MODES if m in SUPPORTED_MODES.get(format, MODES)]


@pytest.mark.parametrize(("suffix", "mode"), CASES)
def test_a_written_photo_equals_the_original(suffix: str, mode: str) -> None:
    original, copy = Path(f"original{suffix}"), Path(f"copy{suffix}")
    Image.fromarray(pixels(mode)).save(original, exif=exif().tobytes(), icc_profile=PROFILE, dpi=(300, 200))
    photo = read_photo(original)
    assert photo.mode == mode or (FORMATS[suffix] in ("WEBP", "AVIF") and photo.mode in ("RGB", "RGBA"))
    assert photo.pixels.shape[:2] == (20, 33)
    check_target(photo, copy)
    write_photo(photo, copy)
    with Image.open(original) as before, Image.open(copy) as after:
        assert (after.format, after.mode, after.size) == (before.format, before.mode, before.size)
        kept = before.getexif(), after.getexif()
        assert kept[0].get(ORIENTATION) == kept[1].get(ORIENTATION)
        assert kept[0].get(MAKE) == kept[1].get(MAKE)
        assert all(kept[0].get_ifd(group) == kept[1].get_ifd(group) for group in (CAMERA, GPS))
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        assert after.info.get("dpi") == pytest.approx(before.info.get("dpi"), abs=0.01)
        if FORMATS[suffix] not in ("PPM", "BMP", "JPEG2000"):
            assert kept[1][ORIENTATION] == 6
            assert after.info["icc_profile"] == PROFILE
    again = read_photo(copy)
    difference = np.abs(again.pixels.astype(int) - photo.pixels.astype(int)).max()
    assert difference == 0 if FORMATS[suffix] in LOSSLESS else difference < 16
    if photo.alpha is not None:
        assert again.alpha is not None
        # AVIF compresses it with loss.
        change = np.abs(np.asarray(again.alpha).astype(int) - np.asarray(photo.alpha)).max()
        assert change == 0 if FORMATS[suffix] != "AVIF" else change < 8


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".webp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_not_rotated(suffix: str, mode: str, orientation: int) -> None:
    path = Path(f"image{suffix}")
    Image.fromarray(pixels(mode)).save(path, exif=exif(orientation).tobytes(), quality=95)
    photo = read_photo(path)
    expected = pixels(mode).reshape(20, 33, -1)
    assert np.abs(photo.pixels.astype(int) - expected).max() < (1 if suffix in (".png", ".tiff") else 16)
    write_photo(photo, Path("copy.tiff"))
    write_photo(photo, Path("copy.jpg"))
    for name in ("copy.tiff", "copy.jpg"):
        with Image.open(name) as image:
            assert image.getexif()[ORIENTATION] == orientation
        again = read_photo(Path(name))
        assert again.pixels.shape == photo.pixels.shape
        assert np.abs(again.pixels.astype(int) - photo.pixels).max() < 16


def test_jpeg_keeps_its_subsampling_and_progression_and_takes_the_quality() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for subsampling in (0, 1, 2):
        Image.fromarray(noise).save("a.jpg", subsampling=subsampling, progressive=subsampling == 1, comment=b"hello")
        write_photo(read_photo(Path("a.jpg")), Path("b.jpg"))
        with Image.open("a.jpg") as before, Image.open("b.jpg") as after:
            assert before.layer == after.layer
            assert before.info.get("progressive") == after.info.get("progressive")
            assert after.info["comment"] == b"hello"
    sizes = []
    for quality in (30, 95):
        write_photo(read_photo(Path("a.jpg")), Path("c.jpg"), quality)
        sizes.append(Path("c.jpg").stat().st_size)
    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "jpeg"])
def test_a_tiff_keeps_a_compression_without_loss(compression: str) -> None:
    Image.fromarray(pixels("RGB")).save("a.tif", compression=compression)
    write_photo(read_photo(Path("a.tif")), Path("b.tif"))
    with Image.open("b.tif") as image:
        assert image.info["compression"] == ("tiff_lzw" if compression == "jpeg" else compression)


def test_tags_of_a_tiff_in_the_exif_of_a_jpeg_do_not_reach_a_tiff() -> None:
    found = exif(3)
    found[262], found[256], found[273] = 0, 99, (1, 2)
    Image.fromarray(pixels("L")).save("a.jpg", exif=found)
    photo = read_photo(Path("a.jpg"))
    write_photo(photo, Path("b.tif"))
    assert np.array_equal(read_photo(Path("b.tif")).pixels, photo.pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_damaged_exif_does_no_harm(suffix: str) -> None:
    Image.fromarray(pixels("RGB")).save("a.jpg", exif=b"Exif\0\0" + b"MM\0*" + b"\xff" * 40)
    photo = read_photo(Path("a.jpg"))
    write_photo(photo, Path(f"b{suffix}"))
    assert read_photo(Path(f"b{suffix}")).pixels.shape == (20, 33, 3)


def test_xmp_is_kept() -> None:
    for name in ("b.jpg", "b.webp", "b.png", "b.tif"):
        write_photo(Photo(pixels("RGB"), None, {"xmp": b"<x:xmpmeta/>"}), Path(name))
        assert read_photo(Path(name)).metadata["xmp"] == b"<x:xmpmeta/>", name


def test_palettes_become_rgb_and_black_and_white_becomes_grey() -> None:
    coloured = Image.fromarray(pixels("RGB")).quantize(16)
    coloured.save("a.png")
    photo = read_photo(Path("a.png"))
    assert photo.mode == "RGB"
    assert np.array_equal(photo.pixels, np.asarray(coloured.convert("RGB")))
    coloured.save("b.png", transparency=3)
    photo = read_photo(Path("b.png"))
    assert photo.mode == "RGBA"
    assert photo.alpha is not None
    assert np.array_equal(np.asarray(photo.alpha) == 0, np.asarray(coloured) == 3)
    Image.fromarray(pixels("L") > 99).save("c.png")
    photo = read_photo(Path("c.png"))
    assert photo.mode == "L"
    assert np.array_equal(photo.pixels[:, :, 0], 255 * (pixels("L") > 99))


def test_a_transparent_colour_becomes_alpha() -> None:
    Path("a.png").write_bytes(png(3, 1, 8, 0, bytes([0, 7, 255]), shorts(7)))
    photo = read_photo(Path("a.png"))
    assert photo.mode == "LA"
    assert photo.pixels.ravel().tolist() == [0, 7, 255]
    assert np.asarray(photo.alpha).ravel().tolist() == [255, 0, 255]


def test_greys_of_16_bits_and_of_12() -> None:
    for order in "<>":
        Path("a.tif").write_bytes(tiff(16, 1, 1, shorts(0, 258, 65535, order=order), order=order))
        assert read_photo(Path("a.tif")).pixels.ravel().tolist() == [0, 258, 65535]
    Path("b.tif").write_bytes(tiff(16, 1, 0, shorts(0, 258, 65535, order="<")))  # 0 is white
    photo = read_photo(Path("b.tif"))
    assert photo.pixels.ravel().tolist() == [65535, 65277, 0]
    assert photo.pixels.dtype == np.dtype("=u2")
    write_photo(photo, Path("c.png"))
    assert read_photo(Path("c.png")).pixels.ravel().tolist() == [65535, 65277, 0]
    Path("d.tif").write_bytes(tiff(12, 1, 1, bytes([0x00, 0x0F, 0xFF])))  # 0 and 4095
    assert read_photo(Path("d.tif")).pixels.ravel().tolist() == [0, 65535]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rgb.png", png(1, 1, 16, 2, shorts(1, 257, 65535))),
        ("grey_alpha.png", png(1, 1, 16, 4, shorts(257, 65535))),
        ("rgb.tif", tiff(16, 3, 2, shorts(1, 257, 65535, order="<"))),
        ("rgb.ppm", b"P6 1 1 65535\n" + shorts(1, 257, 65535)),
    ],
)
def test_colours_of_16_bits_are_read_as_8_with_a_warning(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    with pytest.warns(InputWarning, match=f"^{name}: its 16 bits per channel are reduced to 8"):
        photo = read_photo(Path(name))
    assert photo.pixels.dtype == np.uint8


def test_8_bits_give_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, content in (("a.ppm", b"P6 1 1 255\n\1\2\3"), ("a.tif", tiff(8, 3, 2, b"\1\2\3"))):
            Path(name).write_bytes(content)
            assert read_photo(Path(name)).pixels.ravel().tolist() == [1, 2, 3]


def frames(name: str, **options: Any) -> None:
    images = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 99, 200)]
    images[0].save(name, save_all=True, append_images=images[1:], **options)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tiff"])
def test_animations_and_pages_are_refused(name: str) -> None:
    frames(name)
    with pytest.raises(InputError, match=f"^{name}: has 3 frames or pages; save each one to process as its own file"):
        read_photo(Path(name))


def test_the_first_of_several_images_of_one_shot_is_used() -> None:
    frames("a.jpg", format="MPO")
    with pytest.warns(InputWarning, match=r"^a\.jpg: only the first of its 3 images is used$"):
        assert read_photo(Path("a.jpg")).pixels.max() == 0


@pytest.mark.parametrize(
    ("mode", "name", "message"),
    [
        ("CMYK", "a.jpg", "its colours are CMYK; save it as RGB"),
        ("CMYK", "a.tif", "its colours are CMYK; save it as RGB"),
        ("LAB", "a.tif", "its colours are LAB; save it as RGB"),
        ("F", "a.tif", "the range of its pixel values is unknown"),
    ],
)
def test_other_colours_are_refused(mode: str, name: str, message: str) -> None:
    Image.new(mode, (8, 8)).save(name)
    with pytest.raises(InputError, match=f"^{name}: {message}"):
        read_photo(Path(name))


def test_files_that_are_not_images_are_refused() -> None:
    Image.fromarray(pixels("RGB", 200, 200)).save("whole.jpg")
    contents = {
        "empty.jpg": (b"", "is empty"),
        "heic.jpg": (b"\0\0\0\x18ftypheic" + b"\0" * 40, "convert it to JPEG"),
        "text.png": (b"hello", "is not an image that can be read"),
        "half.jpg": (Path("whole.jpg").read_bytes()[:900], "truncated"),
    }
    for name, (content, message) in contents.items():
        Path(name).write_bytes(content)
        with pytest.raises(InputError, match=f"^{name}: .*{message}"):
            read_photo(Path(name))
    with pytest.raises(InputError, match="there is no such file"):
        read_photo(Path("missing.png"))


@pytest.mark.parametrize(
    ("mode", "name", "message"),
    [
        ("RGBA", "a.jpg", "JPEG cannot store its transparency; name a .png or .tiff with output="),
        ("LA", "a.bmp", "BMP cannot store its transparency"),
        ("I;16", "a.webp", "WEBP cannot store its 16 bits"),
        ("RGB", "a.gif", "images are written as .jpg, "),
        ("RGB", "a", "images are written as .jpg, "),
    ],
)
def test_a_format_that_cannot_store_the_photo_is_refused(mode: str, name: str, message: str) -> None:
    Image.fromarray(pixels(mode)).save("source.png")
    with pytest.raises(InputError, match=f"^{name}: {message}"):
        check_target(read_photo(Path("source.png")), Path(name))


def test_limits_of_a_format_are_checked_before_writing() -> None:
    with pytest.raises(InputError, match="at most 16383 pixels"):
        check_target(Photo(np.zeros((1, 16384, 3), np.uint8)), Path("a.webp"))
    with pytest.raises(InputError, match="too long for JPEG"):
        check_target(Photo(np.zeros((1, 1, 3), np.uint8), None, {"exif": bytes(70_000)}), Path("a.jpg"))


def test_a_format_without_metadata_gives_a_warning() -> None:
    photo = Photo(pixels("RGB"), None, {"exif": exif().tobytes(), "icc_profile": PROFILE})
    with pytest.warns(InputWarning, match=r"^a\.bmp: BMP is written without exif and icc_profile"):
        check_target(photo, Path("a.bmp"))


def test_images_keep_mode_and_metadata() -> None:
    Image.fromarray(pixels("RGBA")).save("a.png", icc_profile=PROFILE, exif=exif())
    with Image.open("a.png") as image:
        found = read_photo(image).image()
    assert found.mode == "RGBA"
    assert np.array_equal(np.asarray(found), pixels("RGBA"))
    assert found.info["icc_profile"] == PROFILE
    assert found.getexif()[ORIENTATION] == 6
    assert read_photo(Image.fromarray(pixels("I;16"))).image().mode == "I;16"


def test_a_failed_write_keeps_the_old_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.png").write_bytes(b"before")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(DiskError):
        write_photo(Photo(pixels("RGB")), Path("a.png"))
    assert [path.name for path in Path().iterdir()] == ["a.png"]
    assert Path("a.png").read_bytes() == b"before"
