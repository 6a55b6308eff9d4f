"""Base of all datasets of labelled videos: computes their spec."""

from dataclasses import replace
from typing import Any

import numpy as np

from sightseq.core.arrays import ArrayDataset
from sightseq.core.errors import ConfigError
from sightseq.data.grouped import GroupedData
from sightseq.data.image.images import channel_statistics
from sightseq.vision.video_spec import VideoSpec

MEASURED = 1000, 4  # training videos that give mean and standard deviation, evenly spaced, and frames of each


class VideoData(GroupedData):
    """Videos with one label each: `input` uint8 [B, T, C, H, W], padded with zeros, and `length` int64 [B] in frames.

    A subclass's `process` saves these columns and `target`. If it also saves `group` (the film that a video is cut
    from, or who acts in it), no group is in two of the splits that are drawn here.

    Args:
        frames: frames of a clip, T; a video with fewer frames is padded.
        common: see `GroupedData`.
    """

    example_spec: VideoSpec = VideoSpec(3, 112, 112, ("a", "b"), (0.5,) * 3, (0.25,) * 3)

    def __init__(self, *, frames: int = 16, **common: Any) -> None:
        super().__init__(**common)
        if frames < 1:
            raise ConfigError(f"data.frames={frames}: a clip must have at least 1 frame")
        self.frames = frames
        self.example_spec = replace(self.example_spec, frames=frames)

    @property
    def prepared(self) -> VideoSpec:
        """A spec with the options of the cached clips; shapes, classes and statistics are examples."""
        return self.example_spec

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> VideoSpec:
        """Compute shape, classes, class counts, and mean and standard deviation per channel of the training frames."""
        clips, lengths = train.arrays["input"], train.arrays["length"]
        _, frames, channels, height, width = clips.shape
        videos, each = MEASURED
        rows = train.rows[np.unique(np.linspace(0, len(train) - 1, videos).round().astype(np.int64))]
        chosen = [clips[row][np.unique(np.arange(each) * lengths[row] // each)] for row in rows]
        images = np.concatenate(chosen)
        mean, std = channel_statistics(images, np.arange(len(images)))
        classes, margin = tuple(about["classes"]), about.get("margin", 0)
        counts = np.bincount(train.arrays["target"][train.rows], minlength=len(classes))
        return replace(
            self.prepared,
            channels=channels,
            height=height - margin,
            width=width - margin,
            classes=classes,
            mean=mean,
            std=std,
            counts=tuple(counts.tolist()),
            margin=margin,
            frames=frames,
        )
