"""Photographs read and written with their size, orientation, colour profile, transparency and bit depth."""

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
from sightseq.vision.image import BITS, ORIENTATION, PHOTOMETRIC, opened, source_name, turn_of

FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm"), "PPM"),
    **{".png": "PNG", ".webp": "WEBP", ".avif": "AVIF", ".bmp": "BMP", ".jp2": "JPEG2000"},
}
"""Pillow's name of the format in which a file with this suffix is written."""
REPLACED = {".gif": ".png", ".mpo": ".jpg", ".pbm": ".pgm"}
"""Suffixes of formats that cannot hold a restored photograph (256 colours, black and white), and what is written."""
HELD = {
    "JPEG": {"L", "RGB"},
    "BMP": {"L", "RGB"},
    "PPM": {"L", "RGB", "I;16"},
    "WEBP": {"L", "RGB", "LA", "RGBA"},
    "AVIF": {"L", "RGB", "LA", "RGBA"},
}  # Pillow's modes that a format keeps; the other formats keep all that `Photo.mode` can be
BARE = frozenset({"BMP", "PPM", "JPEG2000"})  # Pillow writes neither EXIF nor colour profile into these
LOSSLESS = frozenset({"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate"})  # compressions of TIFF
BACK = {Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90}
SEGMENT = 65_533  # bytes: the longest EXIF of a JPEG
WEBP_SIDE = 16_383  # pixels
STRIP = 256  # rows that are copied at once: Pillow's own conversion to an array needs memory for two more images
# Tags of a TIFF that hold for the restored photograph: description, make, model, orientation, software, date, artist,
# copyright. Others say how its pixels are stored.
KEPT_TAGS = (0x010E, 0x010F, 0x0110, ORIENTATION, 0x0131, 0x0132, 0x013B, 0x8298)
GROUPS = (0x8769, 0x8825)  # tags with tags of their own: settings of the camera, and GPS
XMP_TAG = 700


@dataclass(frozen=True)
class Photo:
    """A decoded photograph. Its pixels are not turned: `orientation` in its EXIF says what is up.

    Attributes:
        pixels: uint8, or uint16 for grey images of 16 bits: [H, W, C], C = 1 for grey and 3 for RGB.
        alpha: the transparency, of mode "L"; None if it is opaque.
        extras: what is written with the pixels, by Pillow's names: `exif`, `icc_profile`, `dpi`, `xmp`, `comment`,
            `subsampling`, `progressive`, `compression`.
    """

    pixels: NDArray[Any]
    alpha: Image.Image | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        """Pillow's mode: "L", "LA", "RGB", "RGBA" or "I;16"."""
        if self.pixels.dtype == np.uint16:
            return "I;16"
        return ("L" if self.pixels.shape[2] == 1 else "RGB") + ("" if self.alpha is None else "A")

    def image(self) -> Image.Image:
        """As a PIL image, with EXIF, colour profile and resolution in its `info`."""
        found = Image.fromarray(self.pixels[:, :, 0] if self.pixels.shape[2] == 1 else self.pixels)
        if self.alpha is not None:
            found.putalpha(self.alpha)
        found.info |= {name: self.extras[name] for name in ("exif", "icc_profile", "dpi", "xmp") if name in self.extras}
        return found


def read_photo(source: Path | Image.Image) -> Photo:
    """Decodes a photograph.

    Palettes become RGB, and black-and-white images grey; transparency of any kind becomes `alpha`.

    Raises:
        InputError: see `vision.image.opened`; or it has several frames or pages, or colours other than grey and RGB.

    Warns:
        InputWarning: it has 16 bits a channel and colours or transparency, and is read with 8 bits; or it is the first
            of several pictures of one shot.
    """
    with opened(source) as image:
        name, deep = source_name(source), _is_deep(image)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            raise InputError(f"{name}: has {frames} frames or pages; save those that are wanted as files of their own")
        extras, turn = _extras(image), turn_of(image)
        image.load()  # some modes are known only then
        if turn is not None and turn_of(image) is None:  # Pillow sets a TIFF upright
            image = image.transpose(BACK.get(turn, turn))
        if image.mode.startswith("I"):
            if "transparency" in image.info:
                raise InputError(f"{name}: has 16 bits and a transparent grey; save it without transparency")
            return Photo(_sixteen_bits(image), None, extras)
        pixels, alpha = _eight_bits(image, name)
    if frames > 1:
        warnings.warn(InputWarning(f"{name}: the first of its {frames} pictures was taken"), stacklevel=2)
    if deep:
        text = f"{name}: its 16 bits a channel are read as 8; only grey images without transparency keep 16"
        warnings.warn(InputWarning(text), stacklevel=2)
    return Photo(pixels, alpha, extras)


def _is_deep(image: Image.Image) -> bool:
    """Whether an image that is not yet decoded has more than 8 bits a channel."""
    arguments = [tile.args for tile in getattr(image, "tile", ())]
    raw_modes = [str(one[0] if isinstance(one, tuple) else one) for one in arguments]
    if image.format == "PPM" and any(isinstance(one, tuple) and one[-1] > 255 for one in arguments):
        return True
    return any(";16" in one for one in raw_modes)


def _eight_bits(image: Image.Image, name: str) -> tuple[NDArray[np.uint8], Image.Image | None]:
    """Pixels [H, W, C] and transparency of an image that is not of mode "I"."""
    if image.mode in ("RGBa", "La"):  # multiplied by alpha
        image = image.convert(image.mode.upper())
    grey = image.mode in ("1", "L", "LA")
    if not grey and image.mode not in ("RGB", "RGBA", "RGBX", "P", "PA"):
        raise InputError(f"{name}: its colours are {image.mode}; save it as RGB")
    alpha = None
    if "transparency" in image.info or image.mode in ("LA", "RGBA", "PA"):
        image = image.convert("LA" if grey else "RGBA")
        alpha = image.getchannel("A")
    wanted = "L" if grey else "RGB"
    if image.mode not in (wanted, f"{wanted}A"):
        image = image.convert(wanted)
    return _array(image)[:, :, : len(wanted)], alpha


def _sixteen_bits(image: Image.Image) -> NDArray[np.uint16]:
    """Greys of 16 bits a pixel, or of the 12 of a TIFF, from black to white: uint16 [H, W, 1]."""
    tags = getattr(image, "tag_v2", {})
    white = 2 ** tags.get(BITS, (16,))[0] - 1
    pixels = _array(image).clip(0, white)
    if white != 65_535:
        pixels = np.rint(pixels * np.float64(65_535 / white))
    pixels = pixels.astype(np.uint16, copy=False)
    return 65_535 - pixels if tags.get(PHOTOMETRIC) == 0 else pixels  # 0: counted from white


def _array(image: Image.Image) -> NDArray[Any]:
    """[H, W, C]; needs no memory besides the image and the array."""
    first = np.asarray(image.crop((0, 0, 1, 1)))
    pixels = np.empty((image.height, image.width, *first.shape[2:]), first.dtype.newbyteorder("="))
    for top in range(0, image.height, STRIP):
        bottom = min(top + STRIP, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _extras(image: Image.Image) -> dict[str, Any]:
    """See `Photo`."""
    found = {name: image.info[name] for name in ("icc_profile", "dpi", "comment") if image.info.get(name)}
    if exif := _exif(image):
        found["exif"] = exif
    if isinstance(image.info.get("xmp"), bytes):
        found["xmp"] = image.info["xmp"]
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        found["subsampling"] = JpegImagePlugin.get_sampling(image)
        found["progressive"] = bool(image.info.get("progressive"))
    if image.format == "TIFF":
        found["compression"] = image.info.get("compression")
    return found


def _exif(image: Image.Image) -> bytes:
    """As it is in the file, except for TIFF, whose own tags are among it; empty if there is none or it is damaged."""
    header = b"Exif\0\0"
    if isinstance(raw := image.info.get("exif"), bytes):
        return raw if raw.startswith(header) else header + raw
    try:
        kept = _kept(image.getexif())
        return kept.tobytes() if len(kept) else b""
    except Exception:  # damaged EXIF raises whatever it happens to
        return b""


def _kept(exif: Image.Exif) -> Image.Exif:
    """A copy with the tags `KEPT_TAGS` and `GROUPS`."""
    kept = Image.Exif()
    for tag in KEPT_TAGS:
        if tag in exif:
            kept[tag] = exif[tag]
    for tag in GROUPS:
        if inner := exif.get_ifd(tag):
            kept.get_ifd(tag).update(inner)
            kept[tag] = inner
    return kept


def check_target(photo: Photo, path: Path) -> None:
    """Compares a photograph with the format of the file in which it is to be written.

    Raises:
        InputError: the suffix names no format, or one that cannot hold the photograph.

    Warns:
        InputWarning: the format has no place for its orientation or its colour profile.
    """
    format = FORMATS.get(path.suffix.lower())
    if format is None:
        raise InputError(f"{path}: images are written as {', '.join(FORMATS)}; name one with output=")
    if photo.mode not in HELD.get(format, {photo.mode}):
        what = "16 bits" if photo.mode == "I;16" else "transparency"
        raise InputError(f"{path}: {format} cannot hold its {what}; name a .png or .tiff with output=")
    if format == "WEBP" and max(photo.pixels.shape) > WEBP_SIDE:
        raise InputError(f"{path}: WEBP holds at most {WEBP_SIDE} pixels a side; name a .png or .tiff with output=")
    if format == "JPEG" and any(len(photo.extras.get(name, b"")) > SEGMENT for name in ("exif", "comment", "xmp")):
        raise InputError(f"{path}: its EXIF is too long for JPEG; name a .png or .tiff with output=")
    if format in BARE and (lost := [name for name in ("exif", "icc_profile") if name in photo.extras]):
        text = f"{path}: {format} is written without {' and '.join(lost)}; colours and orientation may look different"
        warnings.warn(InputWarning(text), stacklevel=2)


def write_photo(photo: Photo, path: Path, quality: int = 95) -> None:
    """Writes a photograph in the format of the suffix. The file is complete or not there.

    Args:
        photo: as `check_target` accepts it for this path.
        path: its folder exists.
        quality: of JPEG, WebP and AVIF, 1..100; the other formats are written without loss.

    Raises:
        DiskError: the disk is full, or nothing can be written there.
    """
    format, extras = FORMATS[path.suffix.lower()], photo.extras
    options = {name: extras[name] for name in ("exif", "icc_profile", "dpi") if name in extras}
    xmp = extras.get("xmp")
    if format in ("JPEG", "WEBP", "AVIF"):
        options |= {"quality": quality} | ({"xmp": xmp} if xmp else {})
    if format == "JPEG":
        options |= {name: extras[name] for name in ("comment", "progressive") if name in extras}
        options["subsampling"] = extras.get("subsampling", 0)  # 0: 4:4:4
    elif format == "WEBP":
        options["exact"] = True  # colours of transparent pixels
    elif format == "PNG" and xmp:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode(errors="replace"))
    elif format == "TIFF":
        options["exif"] = tags = _tiff_tags(extras.get("exif", b""), xmp)
        compression = extras.get("compression", "tiff_lzw")
        if any(tag in tags for tag in GROUPS):
            compression = "raw"  # Pillow fails to compress a TIFF that has them
        options["compression"] = compression if compression in LOSSLESS else "tiff_lzw"
    with replacing(path) as file:
        photo.image().save(file, format=format, **options)


def _tiff_tags(exif: bytes, xmp: bytes | None) -> Image.Exif:
    loaded = Image.Exif()
    try:
        loaded.load(exif)
        kept = _kept(loaded)
    except Exception:  # see `_exif`
        kept = Image.Exif()
    if xmp:
        kept[XMP_TAG] = xmp
    return kept
