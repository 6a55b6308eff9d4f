"""Reading and writing photographs with their size, orientation, colour profile, transparency and bit depth."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin

from sightseq.core.errors import InputError, InputWarning
from sightseq.core.files import replacing
from sightseq.vision.image import BITS, ORIENTATION, PHOTOMETRIC, opened, source_name, upright_operation

FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm"), "PPM"),
    **{".png": "PNG", ".webp": "WEBP", ".avif": "AVIF", ".bmp": "BMP", ".jp2": "JPEG2000"},
}
"""Pillow's name of the format of a file to write, by suffix."""
REPLACEMENT_SUFFIXES = {".gif": ".png", ".mpo": ".jpg", ".pbm": ".pgm"}
"""Suffixes of formats with too few colours for a restored photograph, and the suffixes that replace them."""
SUPPORTED_MODES = {
    "JPEG": {"L", "RGB"},
    "BMP": {"L", "RGB"},
    "PPM": {"L", "RGB", "I;16"},
    "WEBP": {"L", "RGB", "LA", "RGBA"},
    "AVIF": {"L", "RGB", "LA", "RGBA"},
}  # Pillow's modes that a format can store; the other formats can store each `Photo.mode`
WITHOUT_METADATA = frozenset({"BMP", "PPM", "JPEG2000"})  # Pillow writes neither EXIF nor profile
LOSSLESS = frozenset({"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate"})  # TIFF compressions
INVERSE = {Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90}
JPEG_SEGMENT = 65_533  # bytes: maximum length of EXIF, XMP or a comment in a JPEG
WEBP_SIDE = 16_383  # pixels: maximum height and width
STRIP = 256  # rows copied at a time; Pillow's own conversion to an array needs memory for two more images
# TIFF tags that stay valid for the restored photograph: description, make, model, orientation, software, date, artist,
# copyright. The others describe how the pixels are stored.
KEPT_TAGS = (0x010E, 0x010F, 0x0110, ORIENTATION, 0x0131, 0x0132, 0x013B, 0x8298)
TAG_GROUPS = (0x8769, 0x8825)  # tags that contain other tags: camera settings and GPS
XMP_TAG = 700


@dataclass(frozen=True)
class Photo:
    """A decoded photograph. Its pixels are in the order of the file; the orientation stays in its EXIF data.

    Attributes:
        pixels: uint8, or uint16 for 16-bit grey images: [H, W, C] with C = 1 for grey and 3 for RGB.
        alpha: alpha channel, an image of mode "L"; None if the photograph is opaque.
        metadata: values that are written with the pixels, by Pillow's names: `exif`, `icc_profile`, `dpi`, `xmp`,
            `comment`, `subsampling`, `progressive`, `compression`.
    """

    pixels: NDArray[Any]
    alpha: Image.Image | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        """Pillow's mode: "L", "LA", "RGB", "RGBA" or "I;16"."""
        if self.pixels.dtype == np.uint16:
            return "I;16"
        return ("L" if self.pixels.shape[2] == 1 else "RGB") + ("" if self.alpha is None else "A")

    def image(self) -> Image.Image:
        """Convert to a PIL image, with EXIF, XMP, colour profile and resolution in its `info`."""
        image = Image.fromarray(self.pixels[:, :, 0] if self.pixels.shape[2] == 1 else self.pixels)
        if self.alpha is not None:
            image.putalpha(self.alpha)
        for name in ("exif", "icc_profile", "dpi", "xmp"):
            if name in self.metadata:
                image.info[name] = self.metadata[name]
        return image


def read_photo(source: Path | Image.Image) -> Photo:
    """Decode a photograph.

    Palettes are converted to RGB, black-and-white images to grey, and transparency of any kind to `alpha`.

    Raises:
        InputError: see `vision.image.opened`; or the file has several frames or pages, or the colours are neither grey
            nor RGB.

    Warns:
        InputWarning: a 16-bit image with colours or transparency is read with 8 bits; or only the first image of a
            file with several images of one shot (MPO) is read.
    """
    with opened(source) as image:
        name, has_16_bits = source_name(source), _has_16_bits(image)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            raise InputError(f"{name}: has {frames} frames or pages; save each one to process as its own file")
        metadata, turn = _read_metadata(image), upright_operation(image)
        image.load()  # some modes are known only after loading
        if turn is not None and upright_operation(image) is None:  # Pillow turns a TIFF upright
            image = image.transpose(INVERSE.get(turn, turn))
        if image.mode.startswith("I"):
            if "transparency" in image.info:
                raise InputError(f"{name}: has 16 bits and a transparent grey value; save it without transparency")
            return Photo(_sixteen_bits(image), None, metadata)
        pixels, alpha = _eight_bits(image, name)
    if frames > 1:
        warnings.warn(InputWarning(f"{name}: only the first of its {frames} images is used"), stacklevel=2)
    if has_16_bits:
        text = f"{name}: its 16 bits per channel are reduced to 8; only grey images without transparency keep 16"
        warnings.warn(InputWarning(text), stacklevel=2)
    return Photo(pixels, alpha, metadata)


def _has_16_bits(image: Image.Image) -> bool:
    """Whether an image that is not decoded yet has 16 bits per channel."""
    arguments = [tile.args for tile in getattr(image, "tile", ())]
    raw_modes = [str(values[0] if isinstance(values, tuple) else values) for values in arguments]
    if image.format == "PPM" and any(isinstance(values, tuple) and values[-1] > 255 for values in arguments):
        return True
    return any(";16" in mode for mode in raw_modes)


def _eight_bits(image: Image.Image, name: str) -> tuple[NDArray[np.uint8], Image.Image | None]:
    """Return pixels [H, W, C] and the alpha channel of an image that does not have 16-bit grey values."""
    if image.mode in ("RGBa", "La"):  # colours premultiplied by alpha
        image = image.convert(image.mode.upper())
    grey = image.mode in ("1", "L", "LA")
    if not grey and image.mode not in ("RGB", "RGBA", "RGBX", "P", "PA"):
        raise InputError(f"{name}: its colours are {image.mode}; save it as RGB")
    alpha = None
    if "transparency" in image.info or image.mode in ("LA", "RGBA", "PA"):
        image = image.convert("LA" if grey else "RGBA")
        alpha = image.getchannel("A")
    mode = "L" if grey else "RGB"
    if image.mode not in (mode, f"{mode}A"):
        image = image.convert(mode)
    return _array(image)[:, :, : len(mode)], alpha


def _sixteen_bits(image: Image.Image) -> NDArray[np.uint16]:
    """Return 16-bit grey values, or 12-bit ones of a TIFF scaled to 16 bits: uint16 [H, W, 1], 0 is black."""
    tags = getattr(image, "tag_v2", {})
    white = 2 ** tags.get(BITS, (16,))[0] - 1
    pixels = _array(image).clip(0, white)
    if white != 65_535:
        pixels = np.rint(pixels * np.float64(65_535 / white))
    pixels = pixels.astype(np.uint16, copy=False)
    return 65_535 - pixels if tags.get(PHOTOMETRIC) == 0 else pixels  # 0 means white


def _array(image: Image.Image) -> NDArray[Any]:
    """Convert to an array [H, W, C] without memory for further copies of the image."""
    first = np.asarray(image.crop((0, 0, 1, 1)))
    pixels = np.empty((image.height, image.width, *first.shape[2:]), first.dtype.newbyteorder("="))
    for top in range(0, image.height, STRIP):
        bottom = min(top + STRIP, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _read_metadata(image: Image.Image) -> dict[str, Any]:
    """Return `Photo.metadata` of an image."""
    metadata = {name: image.info[name] for name in ("icc_profile", "dpi", "comment") if image.info.get(name)}
    if exif := _exif(image):
        metadata["exif"] = exif
    if isinstance(image.info.get("xmp"), bytes):
        metadata["xmp"] = image.info["xmp"]
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        metadata["subsampling"] = JpegImagePlugin.get_sampling(image)
        metadata["progressive"] = bool(image.info.get("progressive"))
    if image.format == "TIFF":
        metadata["compression"] = image.info.get("compression")
    return metadata


def _exif(image: Image.Image) -> bytes:
    """Return the EXIF data of the file, of a TIFF without the tags of its storage; empty if absent or damaged."""
    header = b"Exif\0\0"
    if isinstance(raw := image.info.get("exif"), bytes):
        return raw if raw.startswith(header) else header + raw
    try:
        kept = _kept(image.getexif())
        return kept.tobytes() if len(kept) else b""
    except Exception:  # damaged EXIF data raise exceptions of any type
        return b""


def _kept(exif: Image.Exif) -> Image.Exif:
    """Return a copy with only the tags in `KEPT_TAGS` and `TAG_GROUPS`."""
    kept = Image.Exif()
    for tag in KEPT_TAGS:
        if tag in exif:
            kept[tag] = exif[tag]
    for tag in TAG_GROUPS:
        if inner := exif.get_ifd(tag):
            kept.get_ifd(tag).update(inner)
            kept[tag] = inner
    return kept


def check_target(photo: Photo, path: Path) -> None:
    """Check that the format of a path can store a photograph.

    Raises:
        InputError: the suffix is unknown, or its format cannot store the photograph.

    Warns:
        InputWarning: the format cannot store EXIF data or a colour profile that the photograph has.
    """
    format = FORMATS.get(path.suffix.lower())
    if format is None:
        raise InputError(f"{path}: images are written as {', '.join(FORMATS)}; name one with output=")
    if photo.mode not in SUPPORTED_MODES.get(format, {photo.mode}):
        feature = "16 bits" if photo.mode == "I;16" else "transparency"
        raise InputError(f"{path}: {format} cannot store its {feature}; name a .png or .tiff with output=")
    if format == "WEBP" and max(photo.pixels.shape) > WEBP_SIDE:
        raise InputError(f"{path}: WEBP stores at most {WEBP_SIDE} pixels a side; name a .png or .tiff with output=")
    metadata = (photo.metadata.get(name, b"") for name in ("exif", "comment", "xmp"))
    if format == "JPEG" and any(len(value) > JPEG_SEGMENT for value in metadata):
        raise InputError(f"{path}: its EXIF, XMP or comment is too long for JPEG; name a .png or .tiff with output=")
    if format in WITHOUT_METADATA and (dropped := [name for name in ("exif", "icc_profile") if name in photo.metadata]):
        text = (
            f"{path}: {format} is written without {' and '.join(dropped)}; colours and orientation may look different"
        )
        warnings.warn(InputWarning(text), stacklevel=2)


def write_photo(photo: Photo, path: Path, quality: int = 95) -> None:
    """Write a photograph in the format of the suffix, atomically.

    Args:
        photo: a photograph that `check_target` accepts for this path.
        path: a file in an existing folder.
        quality: quality of JPEG, WebP and AVIF, 1..100; the other formats are lossless.

    Raises:
        DiskError: the disk is full, or the folder is not writable.
    """
    format, metadata = FORMATS[path.suffix.lower()], photo.metadata
    options = {name: metadata[name] for name in ("exif", "icc_profile", "dpi") if name in metadata}
    xmp = metadata.get("xmp")
    if format in ("JPEG", "WEBP", "AVIF"):
        options |= {"quality": quality} | ({"xmp": xmp} if xmp else {})
    if format == "JPEG":
        options |= {name: metadata[name] for name in ("comment", "progressive") if name in metadata}
        options["subsampling"] = metadata.get("subsampling", 0)  # 0: 4:4:4
    elif format == "WEBP":
        options["exact"] = True  # keeps the colours of transparent pixels
    elif format == "PNG" and xmp:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode(errors="replace"))
    elif format == "TIFF":
        options["exif"] = tags = _tiff_tags(metadata.get("exif", b""), xmp)
        compression = metadata.get("compression", "tiff_lzw")
        if any(tag in tags for tag in TAG_GROUPS):
            compression = "raw"  # Pillow fails to compress a TIFF that has them
        options["compression"] = compression if compression in LOSSLESS else "tiff_lzw"
    with replacing(path) as file:
        photo.image().save(file, format=format, **options)


def _tiff_tags(exif: bytes, xmp: bytes | None) -> Image.Exif:
    """Return the tags of a TIFF: those of EXIF data that stay valid, and XMP."""
    loaded = Image.Exif()
    try:
        loaded.load(exif)
        kept = _kept(loaded)
    except Exception:  # see `_exif`
        kept = Image.Exif()
    if xmp:
        kept[XMP_TAG] = xmp
    return kept
