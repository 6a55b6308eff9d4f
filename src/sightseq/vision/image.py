"""Reading image files as pixels of a network's input; the same for training data and for `predict`."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sightseq.core.errors import InputError, InputWarning
from sightseq.vision.caption_spec import CaptionSpec
from sightseq.vision.faces import crop_face
from sightseq.vision.spec import ImageSpec

# Files with these suffixes are read from folders. HEIC is listed so that a phone's photographs give an error that
# names the remedy; otherwise they would be ignored without a message.
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".avif", ".heic", ".heif", ".gif", ".bmp"}
    | {".tif", ".tiff", ".jp2", ".ppm", ".pgm", ".pbm"}
)
HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})  # ISO/IEC 23008-12
GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})  # Pillow's modes converted to "L"
ORIENTATION, BITS, PHOTOMETRIC = 0x0112, 0x0102, 0x0106  # EXIF and TIFF tags
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
LARGEST = 89_000_000  # pixels; a larger decoded image may not fit into memory, and Pillow warns about it


def image_files(folder: Path) -> list[Path]:
    """Return the images in a folder and its subfolders, sorted, without hidden files and hidden folders."""
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(file for file in files if not any(part[0] == "." for part in file.relative_to(folder).parts))


class FaceWarning(InputWarning):
    """No face was found in an image for a model of faces."""


@contextmanager
def opened(source: Path | Image.Image) -> Iterator[Image.Image]:
    """Open an image: its header is read, its pixels are not decoded yet. A PIL image is yielded as it is.

    Raises:
        InputError: the file is not an image, is damaged, has more than `LARGEST` pixels, or has floating-point or
            32-bit pixels; or decoding fails within the block.
    """
    name = source_name(source)
    try:
        with ExitStack() as stack:
            image = source
            if isinstance(image, Path):
                # A file object, not a path: given a path, Pillow memory-maps an uncompressed TIFF, and exchanges its
                # sides if its orientation is a quarter turn.
                image = stack.enter_context(Image.open(stack.enter_context(image.open("rb"))))
            width, height = image.size
            if width * height > LARGEST:
                raise InputError(f"{name}: {width} x {height} pixels are too many to decode; reduce its size")
            if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
                raise InputError(
                    f"{name}: the range of its pixel values is unknown; save it with 8 or 16 bits per channel"
                )
            yield image
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: has too many pixels to decode; reduce its size") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file") from error
    except Exception as error:  # decoders raise exceptions of any type for damaged files
        raise InputError(f"{name}: is not an image that can be read{_reason(source, error)}") from error


def open_image(source: Path | Image.Image) -> Image.Image:
    """Decode an image: upright, opaque (on white), 8 bits per channel, in mode "L" if it is grey, else "RGB".

    Only the first frame or page is decoded. Colour profiles are not applied.

    Raises:
        InputError: see `opened`.
    """
    with opened(source) as image:
        return _plain(image)


def source_name(source: Path | Image.Image) -> str:
    """Return the path of an image, for messages; "an image" if it has none."""
    return str(source) if isinstance(source, Path) else getattr(source, "filename", "") or "an image"


def _reason(source: Path | Image.Image, error: Exception) -> str:
    """Return what is wrong with a file, and the remedy if there is one; otherwise the decoder's message."""
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
        return " (it is an SVG drawing: save it as PNG)"
    return ""


def _plain(image: Image.Image) -> Image.Image:
    """Convert a decoded image as `open_image` describes."""
    image.load()  # some modes are known only after loading
    grey = image.mode in GREY
    transpose = upright_operation(image)
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode in ("RGBa", "La"):  # colours premultiplied by alpha
        image = image.convert(image.mode.upper())
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if grey else "RGB")
    return image if transpose is None else image.transpose(transpose)


def upright_operation(image: Image.Image) -> Image.Transpose | None:
    """Return the operation that turns an image upright; None if it is upright.

    Pillow's own `exif_transpose` also rewrites the EXIF data, and fails if they are damaged.
    """
    try:
        return UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # the EXIF data are damaged
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert 16-bit pixels, or the 12-bit pixels of a TIFF, to 8 bits.

    Pillow does not handle the transparent value and inverted scale (0 is white) of such images; this function does.
    """
    tags = getattr(image, "tag_v2", {})
    white = 2 ** tags.get(BITS, (16,))[0] - 1
    table = np.rint(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == 0:
        table = table[::-1].copy()
    if "transparency" in image.info:
        table[image.info["transparency"]] = 255
    return Image.fromarray(table[np.asarray(image).clip(0, white)])


def is_grey(path: Path) -> bool:
    """Whether `open_image` returns mode "L" or fails; reads only the header of the file."""
    try:
        with Image.open(path) as file:
            return file.mode in GREY or file.mode == "F"
    except Exception:  # see `open_image`
        return True


def crop(
    image: Image.Image, height: int, width: int, resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> Image.Image:
    """Centre-crop to the aspect ratio of `height` x `width`, then resize; an image of this size is not changed."""
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), resampling)


def to_pixels(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """Convert to pixels [C, H, W], grey (1 channel) or RGB (3 channels)."""
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_image(source: Path | Image.Image, spec: ImageSpec | CaptionSpec) -> NDArray[np.uint8]:
    """Read an image as pixels [C, H, W] for a model with this spec; the shape is `spec.prepared`.

    For a model of faces, the image is cropped to the largest face; without a face, the whole image is used, with a
    `FaceWarning`. An image that already has the height and width of `spec.prepared` is not cropped or resized.

    Raises:
        InputError: see `open_image`.
    """
    image = open_image(source)
    channels, height, width = spec.prepared
    resampling = Image.Resampling.BILINEAR
    if spec.subject == "face" and image.size != (width, height):
        image, has_face = crop_face(image)
        if not has_face:
            text = f"{source_name(source)}: no face was found; the whole image was used"
            warnings.warn(text, FaceWarning, stacklevel=2)
        # As sharp as FER-2013: its images, enlarged to 200 pixels, keep their label 19 times in 20; with bilinear
        # interpolation 9 times in 10.
        resampling = Image.Resampling.BICUBIC
    return to_pixels(crop(image, height, width, resampling), channels)
