"""From an image file to the pixels a network sees; the same for training data and for `predict`."""

import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sightseq.core.errors import InputError, InputWarning
from sightseq.vision.faces import crop_face
from sightseq.vision.spec import ImageSpec

# What is looked for in folders. HEIC is refused, with what to do: a phone's photographs are not left out in silence.
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".avif", ".heic", ".heif", ".gif", ".bmp"}
    | {".tif", ".tiff", ".jp2", ".ppm", ".pgm", ".pbm"}
)
HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})  # ISO/IEC 23008-12
GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})  # Pillow's modes that become "L"
ORIENTATION, BITS, PHOTOMETRIC = 0x0112, 0x0102, 0x0106  # tags of EXIF and TIFF
UPRIGHT = dict(
    zip(
        range(2, 9),
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        strict=True,
    )
)
LARGEST = 89_000_000  # pixels; more would not fit into memory once decoded, and Pillow warns of them


def image_files(folder: Path) -> list[Path]:
    """The images in a folder and below it, in order, but for hidden ones and those in hidden folders."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(file for file in found if not any(part[0] == "." for part in file.relative_to(folder).parts))


class FaceWarning(InputWarning):
    """No face was found in a picture that a model of faces is given."""


def open_image(source: Path | Image.Image) -> Image.Image:
    """The decoded image, upright, opaque (on white), 8 bits a channel: mode "L" if it is grey, "RGB" if it is not.

    Of an animation or of several pages it is the first. Colour profiles are not applied.

    Raises:
        InputError: the file is no image, is damaged, has more than `LARGEST` pixels, or floating-point or 32-bit ones.
    """
    name = _name(source)
    try:
        with Image.open(source) if isinstance(source, Path) else nullcontext(source) as image:
            width, height = image.size
            if width * height > LARGEST:
                raise InputError(f"{name}: {width} x {height} pixels are too many to decode; make it smaller")
            if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
                raise InputError(f"{name}: its numbers may have any range; save it with 8 or 16 bits a channel")
            return _plain(image)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: has too many pixels to decode; make it smaller") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file") from error
    except Exception as error:  # on damaged bytes the decoders raise whatever they happen to meet
        raise InputError(f"{name}: is no image that can be read{_reason(source, error)}") from error


def _name(source: Path | Image.Image) -> str:
    return str(source) if isinstance(source, Path) else getattr(source, "filename", "") or "a picture"


def _reason(source: Path | Image.Image, error: Exception) -> str:
    """What is wrong with a file, and what to do; else what the decoder says."""
    if isinstance(source, Path) and source.is_dir():
        return " (it is a folder)"
    if not (isinstance(source, Path) and isinstance(error, UnidentifiedImageError)):
        return f" ({' '.join(str(error).split())})"
    with source.open("rb") as file:
        head = file.read(1024)
    if not head:
        return " (it is empty)"
    if head[4:8] == b"ftyp" and head[8:12] in HEIC:
        return " (it is HEIC: convert it to JPEG or PNG)"
    if b"<svg" in head:
        return " (it is a drawing, SVG: save it as PNG)"
    return ""


def _plain(image: Image.Image) -> Image.Image:
    """See `open_image`."""
    image.load()  # some modes are known only then
    grey = image.mode in GREY
    turn = _turn(image)
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode in ("RGBa", "La"):  # multiplied by alpha
        image = image.convert(image.mode.upper())
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if grey else "RGB")
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What sets it upright. Pillow's own function also rewrites the EXIF, and fails where that is damaged."""
    try:
        return UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # no EXIF at all, whatever it says it is
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    """From 16 bits a pixel, or from the 12 of a TIFF; Pillow leaves what is transparent or counts from white as is."""
    tags = getattr(image, "tag_v2", {})
    white = 2 ** tags.get(BITS, (16,))[0] - 1
    table = np.rint(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == 0:
        table = table[::-1].copy()
    if "transparency" in image.info:
        table[image.info["transparency"]] = 255
    return Image.fromarray(table[np.asarray(image).clip(0, white)])


def is_grey(path: Path) -> bool:
    """Whether `open_image` gives mode "L", or fails; looks at the head of the file alone."""
    try:
        with Image.open(path) as file:
            return file.mode in GREY or file.mode == "F"
    except Exception:  # see `open_image`
        return True


def crop(
    image: Image.Image, height: int, width: int, resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> Image.Image:
    """Cropped about the centre to the proportions that are wanted, then resized."""
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), resampling)


def to_pixels(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """Converted to grey (1) or RGB (3): [C, H, W]."""
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_image(source: Path | Image.Image, spec: ImageSpec) -> NDArray[np.uint8]:
    """A picture as the model of this spec is given it: its pixels, of the shape `spec.prepared`.

    Where the model knows faces, the largest is cropped to; without one, the whole picture is taken, with a
    `FaceWarning`. A picture of the shape that is wanted is left as it is.

    Raises:
        InputError: see `open_image`.
    """
    image = open_image(source)
    channels, height, width = spec.prepared
    resampling = Image.Resampling.BILINEAR
    if spec.subject == "face" and image.size != (width, height):
        image, found = crop_face(image)
        if not found:
            text = f"{_name(source)}: no face was found; the whole picture was taken"
            warnings.warn(text, FaceWarning, stacklevel=2)
        # As sharp as FER-2013: its images, enlarged to 200 pixels, keep their label 19 times in 20, not 9 in 10.
        resampling = Image.Resampling.BICUBIC
    return to_pixels(crop(image, height, width, resampling), channels)
