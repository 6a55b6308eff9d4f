"""Generated videos, and writing them as files."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.extras import require

DIRECTIONS = np.array([[1, 0], [0, -1], [0, 1], [-1, 0], [1, 1], [-1, -1]])  # down and right


def moving_squares(label: int, frames: int, size: int, seed: int) -> NDArray[np.uint8]:
    """Draw a video [T, size, size, 3] of a square on a grey ground, whose direction is the label, 0..5."""
    generator = np.random.default_rng(seed)
    video = np.empty((frames, size, size, 3), np.uint8)
    video[:] = generator.integers(60, 100, 3)
    side, colour = size // 4, generator.integers(150, 255, 3, np.uint8)
    start = generator.integers(0, size, 2)
    for number, image in enumerate(video):
        rows, columns = (
            (first + step * number * size // 16 + np.arange(side)) % size
            for first, step in zip(start, DIRECTIONS[label], strict=True)
        )
        image[np.ix_(rows, columns)] = colour
    return video


def write_video(path: Path, frames: NDArray[np.uint8], rate: int = 12, codec: str = "libx264", **options: Any) -> None:
    """Write frames [T, H, W, 3] as a video file, in the container of its suffix; H and W are even.

    Args:
        path: the file; its folder is created.
        frames: RGB.
        rate: frames per second.
        codec: name of FFmpeg's encoder.
        options: attributes of PyAV's stream, such as `gop_size`.
    """
    av = require("av", "video")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for name, value in options.items():
            setattr(stream, name, value)
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())


def write_frames(folder: Path, frames: NDArray[np.uint8], pattern: str = "{:05}.jpg") -> None:
    """Write frames [T, H, W, 3] as images of a folder, which is created; they are numbered from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(frames, 1):
        Image.fromarray(pixels).save(folder / pattern.format(number))
