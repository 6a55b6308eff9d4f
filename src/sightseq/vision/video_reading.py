"""Reading videos as the clips of a network's input; the same for training data and for `predict`."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightseq.core.windows import windows
from sightseq.vision.footage import Footage, VideoSource, opened_footage
from sightseq.vision.video_spec import VideoSpec

LONG = 12.0  # seconds; of longer segments, the key frame before the wanted frame is as good: it is the only one decoded
Frames = NDArray[np.uint8]
"""Frames of a clip [T, C, H, W], as a model takes them."""


class Grid(NamedTuple):
    """Evenly spaced times in a video, and the windows of them that are clips.

    Attributes:
        times: in seconds.
        rate: times per second.
        steps: times of a window.
    """

    times: NDArray[np.floating[Any]]
    rate: float
    steps: int


def read_clip(source: VideoSource, spec: VideoSpec, folder_rate: float = 25.0) -> Frames:
    """Read the frames of one clip [T, C, H, W] for a model with this spec; C, H and W are `spec.frame.prepared`.

    - Uniform sampling: the video is divided into `spec.frames` segments of equal duration, and the frame in the middle
      of each is read. T is smaller if the video has fewer frames.
    - Dense sampling: frames at `spec.rate`, of the middle of the video. T is smaller if the video is shorter.

    Frames are found by their time stamps, so a variable frame rate does not matter. They are turned upright, resized,
    and cropped to their centre.

    Args:
        source: see `opened_footage`.
        spec: spec of the model.
        folder_rate: frames per second of a folder of images.

    Raises:
        InputError, ConfigError: see `opened_footage`.
    """
    with opened_footage(source, folder_rate) as footage:
        times = sample_times(spec, footage.seconds)
        return _stacked(list(prepared_frames(footage, spec, times, footage.seconds / spec.frames)), spec)


def sample_times(spec: VideoSpec, seconds: float) -> NDArray[np.floating[Any]]:
    """Return the times of the frames of a clip, in seconds, in a video of this duration: see `read_clip`."""
    if spec.sampling == "uniform" or spec.rate is None:
        return (np.arange(spec.frames) + 0.5) * (seconds / spec.frames)
    count = min(spec.frames, max(1, round(seconds * spec.rate)))
    return max(0.0, (seconds - count / spec.rate) / 2) + np.arange(count) / spec.rate


def window_grid(spec: VideoSpec, seconds: float, window: float | None = None) -> Grid:
    """Return the grid of a video of this duration, read in windows; a single window has the times of `read_clip`.

    Args:
        spec: spec of the model.
        seconds: duration of the video.
        window: duration of a window in seconds; None: with dense sampling that of the model's clips, with uniform
            sampling the whole video.
    """
    if spec.sampling == "uniform" or spec.rate is None:
        rate = spec.frames / min(window or seconds, seconds)
        return Grid((np.arange(round(seconds * rate)) + 0.5) / rate, rate, spec.frames)
    steps = spec.frames if window is None else max(1, round(window * spec.rate))
    count = max(1, round(seconds * spec.rate))
    start = max(0.0, (seconds - count / spec.rate) / 2)
    return Grid(start + np.arange(count) / spec.rate, spec.rate, steps)


def read_windows(
    footage: Footage, spec: VideoSpec, grid: Grid, overlap: float
) -> Iterator[tuple[float, float, Frames]]:
    """Yield start and end in seconds, and the frames of each window; of a video file, one window is in memory.

    Args:
        footage: an open video.
        spec: spec of the model.
        grid: see `window_grid`.
        overlap: fraction of a window, in [0, 1), that the next one shares.

    Raises:
        InputError: the video is damaged; the windows before are yielded.
    """
    frames, held, first = prepared_frames(footage, spec, grid.times, 1 / grid.rate), list[Frames](), 0
    for start, end in windows(len(grid.times), grid.steps, max(1, round((1 - overlap) * grid.steps))):
        del held[: start - first]
        held += islice(frames, end - start - len(held))
        first = start
        yield start / grid.rate, min(end / grid.rate, footage.seconds), _stacked(held, spec)


def prepared_frames(
    footage: Footage, spec: VideoSpec, times: NDArray[np.floating[Any]], gap: float
) -> Iterator[Frames]:
    """Yield the frame [C, H, W] at each time: the same array while a frame is shown. `gap`: seconds between times."""
    tolerance = gap / 2 if spec.sampling == "uniform" and gap > LONG else 0.0
    before = pixels = None
    for frame in footage.frames(times, tolerance):
        if pixels is None or frame is not before:
            pixels = footage.pixels(frame, spec.frame.prepared)
        before = frame
        yield pixels


def _stacked(frames: list[Frames], spec: VideoSpec) -> Frames:
    """Stack frames; with uniform sampling each frame once."""
    if spec.sampling == "dense":
        return np.stack(frames)
    return np.stack([frame for number, frame in enumerate(frames) if number == 0 or frame is not frames[number - 1]])
