"""From an image file to the pixels a network sees; the same for training data and for `predict`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sightseq.core.errors import InputError
from sightseq.core.spec import ImageSpec

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
ORIENTATION = 0x0112  # the EXIF tag
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


def open_image(path: Path) -> Image.Image:
    """The decoded image, upright, 8 bits a channel: mode "L" if it is grey, "RGB" if it is not.

    Raises:
        InputError: the file is no image, is damaged, or has more than `LARGEST` pixels.
    """
    try:
        with Image.open(path) as file:
            width, height = file.size
            if width * height > LARGEST:
                raise InputError(f"{path}: {width} x {height} pixels are too many to decode; make it smaller")
            return plain(file)
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: has too many pixels to decode; make it smaller") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: is no image that can be read ({' '.join(str(error).split())})") from error


def plain(image: Image.Image) -> Image.Image:
    """Upright, opaque (on white) and of 8 bits a channel: mode "L" if it is grey, "RGB" if it is not."""
    image = _upright(image)
    grey = image.mode in ("1", "L", "LA")
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):  # 16 bits a pixel
        return Image.fromarray((np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if grey else "RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says. Pillow's own function also rewrites the EXIF, and fails where that is damaged."""
    turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """Cropped about the centre to the proportions that are wanted, then resized."""
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)


def to_pixels(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """Converted to grey (1) or RGB (3): [C, H, W]."""
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_image(path: Path, spec: ImageSpec) -> NDArray[np.uint8]:
    """The pixels [C, H, W] of a file, as the model of this spec sees them.

    Raises:
        InputError: see `open_image`.
    """
    return to_pixels(crop(open_image(path), spec.height, spec.width), spec.channels)
