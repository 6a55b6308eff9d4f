"""Writing videos with a caption drawn in."""

import math
import os
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sightseq.core.errors import ConfigError
from sightseq.core.extras import require
from sightseq.core.files import disk_errors
from sightseq.core.fonts import families
from sightseq.core.plots import short
from sightseq.vision.footage import Footage

SMALLEST, LARGEST = 320, 1280  # pixels of the longer side of what is written
CODECS = ("libx264", "libopenh264", "mpeg4")  # the first that FFmpeg has is used
CLOCK = 1000  # ticks of a time stamp per second; MPEG-4 allows at most 65535
Caption = tuple[str, float]
"""A label and its probability in 0..1, drawn as a bar."""


def write_captioned(footage: Footage, path: Path, caption: Callable[[float], Caption]) -> None:
    """Write a video as MP4, with a caption at the bottom of each frame: H.264 if FFmpeg has an encoder, without sound.

    Frames keep their times. They are upright, in square pixels; if their longer side is not within `SMALLEST` and
    `LARGEST` pixels, they are resized. Only few frames are in memory.

    Args:
        footage: the video.
        path: the file, which is complete or absent.
        caption: called with the time of each frame in seconds.

    Raises:
        InputError: the video is damaged.
        ConfigError: this FFmpeg has no encoder for the file.
        DiskError: the disk is full.
    """
    av = require("av", "video")
    codec = next((name for name in CODECS if name in av.codecs_available), None)
    if codec is None:
        raise ConfigError(f"output={path}: this FFmpeg has none of the encoders {', '.join(CODECS)}; install av again")
    part = path.with_name(f".{path.stem}.part.mp4")
    stream: Any = None
    shape = (3, 0, 0)
    try:
        with disk_errors(path), av.open(f"file:{part}", "w", options={"movflags": "faststart"}) as container:
            last = -1
            for time, frame in footage.all():
                if stream is None:
                    shape = (3, *_size(*footage.size(frame)))
                    stream = container.add_stream(codec, rate=Fraction(30))
                    stream.height, stream.width, stream.pix_fmt = *shape[1:], "yuv420p"
                    stream.codec_context.time_base = Fraction(1, CLOCK)
                    stream.bit_rate = 0 if codec == "libx264" else 4_000_000  # x264 keeps a constant quality
                pixels = np.ascontiguousarray(footage.pixels(frame, shape).transpose(1, 2, 0))
                _draw(pixels, *caption(time))
                picture = av.VideoFrame.from_ndarray(pixels)
                last = max(last + 1, round(time * CLOCK))  # damaged files have equal times
                picture.pts, picture.time_base = last, Fraction(1, CLOCK)
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _size(height: int, width: int) -> tuple[int, int]:
    """Return height and width in even numbers of pixels, as the codecs need."""
    longest = max(height, width)
    scale = min(max(longest, SMALLEST), LARGEST) / longest
    return max(2, 2 * round(scale * height / 2)), max(2, 2 * round(scale * width / 2))


def _draw(pixels: NDArray[np.uint8], label: str, probability: float) -> None:
    """Draw a caption into a frame [H, W, 3]."""
    height, width = pixels.shape[:2]
    picture, weight = _band(height, width, label, round(probability, 2))
    bottom = pixels[height - len(picture) :]
    bottom[:] = (bottom * (1 - weight) + picture).astype(np.uint8)


@lru_cache(maxsize=64)
def _band(height: int, width: int, label: str, probability: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the caption as pixels [h, W, 3], already multiplied by their opacity, and the opacity [h, W, 1]."""
    tall = min(height, max(20, round(0.09 * min(height, width))))
    band = Image.new("RGBA", (width, tall), (0, 0, 0, 160))
    draw = ImageDraw.Draw(band)
    line = max(3, tall // 10)  # the bar of the probability
    font = ImageFont.truetype(findfont(FontProperties(family=families(label)[-1:])), round(0.55 * tall))
    number = f"{100 * probability:.0f} %"
    middle, margin = (tall - line) / 2, tall // 4
    space = width - 3 * margin - draw.textlength(number, font)
    label = short(label, max(2, math.floor(space / max(1.0, draw.textlength("n", font)))))
    draw.text((margin, middle), label, "white", font, anchor="lm")
    draw.text((width - margin, middle), number, "white", font, anchor="rm")
    draw.rectangle((0, tall - line, width, tall), (80, 80, 80, 200))
    draw.rectangle((0, tall - line, round(width * probability), tall), (230, 159, 0, 255))
    pixels = np.asarray(band, np.float32)
    weight = pixels[..., 3:] / np.float32(255)
    return pixels[..., :3] * weight, weight
