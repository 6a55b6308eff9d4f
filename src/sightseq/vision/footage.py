"""Videos of any kind as frames by their time: video files, folders of images, and arrays."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import InputError
from sightseq.core.extras import require
from sightseq.vision.files import ImageSource, as_source
from sightseq.vision.image import SUFFIXES as IMAGES
from sightseq.vision.image import crop, open_image, to_pixels
from sightseq.vision.video_files import ROUNDING, SUFFIXES, VideoFile, opened_video

VideoSource = str | Path | Sequence[ImageSource] | NDArray[np.uint8]
"""A video file, a folder of images, images, or an array uint8 [T, H, W] or [T, H, W, 3]."""
NUMBER = re.compile(r"(\d+)")


class Footage(ABC):
    """An open video. Times are in seconds after its first frame.

    Attributes:
        seconds: duration.
    """

    seconds: float

    @abstractmethod
    def frames(self, times: Iterable[float], tolerance: float = 0.0) -> Iterator[Any]:
        """Yield the frame that is shown at each time: see `VideoFile.frames`.

        A frame is an object to be passed to the other methods. While a frame is shown, it is the same object.
        """

    @abstractmethod
    def all(self) -> Iterator[tuple[float, Any]]:
        """Yield the time of every frame, and the frame. Only few are in memory."""

    @abstractmethod
    def size(self, frame: Any) -> tuple[int, int]:
        """Return height and width of a frame in square pixels, upright."""

    @abstractmethod
    def pixels(self, frame: Any, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Return a frame as pixels [C, H, W] of this shape: upright, resized and centre-cropped; C is 1 or 3."""


@contextmanager
def opened_footage(source: VideoSource, rate: float = 25.0) -> Iterator[Footage]:
    """Open a video.

    Args:
        source: a video file; or images, or a folder of images in the order of the numbers in their names.
        rate: frames per second of images.

    Raises:
        InputError: the source cannot be read, or has no frames; or reading fails within the block.
        ConfigError: the extra `video` is not installed.
    """
    if not isinstance(source, str | Path):
        if not len(source):
            raise InputError("a video must have at least one frame")
        yield Images([as_source(image) for image in source], rate)
    elif (path := Path(source)).is_dir():
        files = frame_files(path)
        if not files:
            raise InputError(f"{path}: contains no images; name a folder of frames, or a video file")
        yield Images(files, rate)
    else:
        with opened_video(path) as video:
            yield Encoded(video)


class Images(Footage):
    """Images that are the frames of a video.

    Args:
        images: files, or PIL images.
        rate: frames per second.
    """

    def __init__(self, images: Sequence[Any], rate: float) -> None:
        self.images, self.rate, self.seconds = images, rate, len(images) / rate

    def frames(self, times: Iterable[float], tolerance: float = 0.0) -> Iterator[Any]:
        for time in times:
            yield self.images[min(int(time * self.rate + ROUNDING), len(self.images) - 1)]

    def all(self) -> Iterator[tuple[float, Any]]:
        return ((number / self.rate, image) for number, image in enumerate(self.images))

    def size(self, frame: Any) -> tuple[int, int]:
        image = open_image(frame)
        return image.height, image.width

    def pixels(self, frame: Any, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        return to_pixels(crop(open_image(frame), *shape[1:]), shape[0])


class Encoded(Footage):
    """A video file: its frames are those of PyAV."""

    def __init__(self, video: VideoFile) -> None:
        self.video, self.seconds = video, video.seconds
        self._reformatter: Any = require("av", "video").video.reformatter.VideoReformatter()  # keeps its tables

    def frames(self, times: Iterable[float], tolerance: float = 0.0) -> Iterator[Any]:
        return self.video.frames(times, tolerance)

    def all(self) -> Iterator[tuple[float, Any]]:
        return self.video.decoded()

    def size(self, frame: Any) -> tuple[int, int]:
        height, width = frame.height, round(frame.width * self.video.pixel_aspect)
        return (width, height) if _quarters(frame) % 2 else (height, width)

    def pixels(self, frame: Any, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        channels, *upright = shape
        quarters = _quarters(frame)
        height, width = upright if quarters % 2 == 0 else reversed(upright)
        wide = frame.width * self.video.pixel_aspect
        scale = max(height / frame.height, width / wide)
        size = {"height": max(height, round(scale * frame.height)), "width": max(width, round(scale * wide))}
        kind = "gray" if channels == 1 else "rgb24"
        image = self._reformatter.reformat(frame, format=kind, interpolation="BILINEAR", **size).to_ndarray()
        top, left = (size["height"] - height) // 2, (size["width"] - width) // 2
        pixels = image[top : top + height, left : left + width].reshape(height, width, channels)
        return np.ascontiguousarray(np.rot90(pixels, quarters).transpose(2, 0, 1))


def _quarters(frame: Any) -> int:
    """Return how many quarter turns, anticlockwise, put a frame upright."""
    quarters: int = round(frame.rotation / 90) % 4
    return quarters


def frame_files(folder: Path) -> list[Path]:
    """Return the images directly in a folder, in the order of the numbers in their names: frame_2 before frame_10."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGES and file.name[0] != "."]
    return sorted(files, key=lambda file: [part.zfill(12) for part in NUMBER.split(file.name)])


def find_videos(folder: Path) -> Iterator[Path]:
    """Yield all video files below a folder, and all folders below it that contain images and no video files."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        names = sorted(name for name in files if name[0] != ".")
        videos = [Path(place, name) for name in names if Path(name).suffix.lower() in SUFFIXES]
        if not videos and Path(place) != folder and any(Path(name).suffix.lower() in IMAGES for name in names):
            videos = [Path(place)]
        yield from videos
