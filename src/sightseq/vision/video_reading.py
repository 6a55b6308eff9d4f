"""Reading videos as the clips of a network's input; the same for training data and for `predict`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.errors import InputError
from sightseq.core.extras import require
from sightseq.vision.image import SUFFIXES as IMAGES
from sightseq.vision.image import crop, open_image, to_pixels
from sightseq.vision.video_files import ROUNDING, opened_video
from sightseq.vision.video_spec import VideoSpec

LONG = 12.0  # seconds; of longer segments, the key frame before the wanted frame is as good: it is the only one decoded
NUMBER = re.compile(r"(\d+)")


def read_clip(source: Path, spec: VideoSpec, folder_rate: float = 25.0) -> NDArray[np.uint8]:
    """Read the frames of one clip [T, C, H, W] for a model with this spec; C, H and W are `spec.frame.prepared`.

    - Uniform sampling: the video is divided into `spec.frames` segments of equal duration, and the frame in the middle
      of each is read. T is smaller if the video has fewer frames.
    - Dense sampling: frames at `spec.rate`, of the middle of the video. T is smaller if the video is shorter.

    Frames are found by their time stamps, so a variable frame rate does not matter. They are turned upright, resized,
    and cropped to their centre.

    Args:
        source: a video file, or a folder of images, which are frames in the order of the numbers in their names.
        spec: spec of the model.
        folder_rate: frames per second of a folder of images.

    Raises:
        InputError: the source cannot be read, or has no frames.
        ConfigError: the extra `video` is not installed.
    """
    return np.stack(list(_sampled(source, spec, folder_rate)))


def _sampled(source: Path, spec: VideoSpec, folder_rate: float) -> Iterator[NDArray[np.uint8]]:
    if source.is_dir():
        files = frame_files(source)
        if not files:
            raise InputError(f"{source}: contains no images; name a folder of frames, or a video file")
        times = sample_times(spec, len(files) / folder_rate)
        places = np.minimum((times * folder_rate + ROUNDING).astype(np.int64), len(files) - 1)
        for place in np.unique(places) if spec.sampling == "uniform" else places:
            yield image_pixels(open_image(files[place]), spec)
    else:
        with opened_video(source) as video:
            convert = Converter(spec, video.pixel_aspect)
            times = sample_times(spec, video.seconds)
            gap = video.seconds / spec.frames
            tolerance = gap / 2 if spec.sampling == "uniform" and gap > LONG else 0.0
            before = None
            for frame in video.frames(times, tolerance):
                if frame is not before or spec.sampling == "dense":
                    yield convert(frame)
                before = frame


def sample_times(spec: VideoSpec, seconds: float) -> NDArray[np.floating[Any]]:
    """Return the times of the frames of a clip, in seconds, in a video of this duration: see `read_clip`."""
    if spec.sampling == "uniform" or spec.rate is None:
        return (np.arange(spec.frames) + 0.5) * (seconds / spec.frames)
    count = min(spec.frames, max(1, round(seconds * spec.rate)))
    return max(0.0, (seconds - count / spec.rate) / 2) + np.arange(count) / spec.rate


def frame_files(folder: Path) -> list[Path]:
    """Return the images directly in a folder, in the order of the numbers in their names: frame_2 before frame_10."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGES and file.name[0] != "."]
    return sorted(files, key=lambda file: [part.zfill(12) for part in NUMBER.split(file.name)])


def image_pixels(image: Image.Image, spec: VideoSpec) -> NDArray[np.uint8]:
    """Return the pixels [C, H, W] of an image as a frame."""
    channels, height, width = spec.frame.prepared
    return to_pixels(crop(image, height, width), channels)


class Converter:
    """Converts PyAV's frames to pixels [C, H, W]: upright, with square pixels, resized and centre-cropped.

    Args:
        spec: spec of the model.
        pixel_aspect: width of a pixel of the video divided by its height.
    """

    def __init__(self, spec: VideoSpec, pixel_aspect: float = 1.0) -> None:
        self.pixel_aspect = pixel_aspect
        self.channels, self.height, self.width = spec.frame.prepared
        self._reformatter: Any = require("av", "video").video.reformatter.VideoReformatter()  # keeps its tables

    def __call__(self, frame: Any) -> NDArray[np.uint8]:
        quarters = round(frame.rotation / 90) % 4  # that turn it upright, anticlockwise
        height, width = (self.height, self.width) if quarters % 2 == 0 else (self.width, self.height)
        wide = frame.width * self.pixel_aspect
        scale = max(height / frame.height, width / wide)
        size = {"height": max(height, round(scale * frame.height)), "width": max(width, round(scale * wide))}
        kind = "gray" if self.channels == 1 else "rgb24"
        image = self._reformatter.reformat(frame, format=kind, interpolation="BILINEAR", **size).to_ndarray()
        top, left = (size["height"] - height) // 2, (size["width"] - width) // 2
        pixels = image[top : top + height, left : left + width].reshape(height, width, self.channels)
        return np.ascontiguousarray(np.rot90(pixels, quarters).transpose(2, 0, 1))
