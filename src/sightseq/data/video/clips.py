"""Base of all datasets of labelled videos: samples and batches their cached frames, and computes their spec."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset, Ragged
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.core.splits import Rows
from sightseq.data.image.images import channel_statistics
from sightseq.data.labelled import LabelledData
from sightseq.vision.video_spec import VideoSpec

MEASURED = 4000  # training frames that give mean and standard deviation, evenly spaced


class VideoDataset(ArrayDataset):
    """Clips of the videos of one split.

    A batch has `input` uint8 [B, T, C, H, W], padded with zeros; `length` int64 [B], the frames of each clip that are
    not padding; `target` and `index` int64 [B]; and the other columns that are not `unread`.

    Args:
        arrays: `input`, a `Ragged` of frames [F, C, H, W]; `target` int64 [N]; ...
        rows, source: see `ArrayDataset`.
        frames: frames of a clip, T.
    """

    unread = frozenset({"group"})

    def __init__(self, arrays: Mapping[str, Any], rows: Rows, source: str, frames: int) -> None:
        super().__init__(arrays, rows, source)
        self.frames = frames
        self.lengths = None  # all clips have T frames, but those of very short videos

    def batch(self, indices: Tensor) -> Batch:
        """Return the clips of these videos; the index -1 is a padding row."""
        rows = self.rows[indices.clamp(min=0).numpy()]
        videos: Ragged = self.arrays["input"]
        clips = np.zeros((len(rows), self.frames, *videos.values.shape[1:]), np.uint8)
        lengths = np.zeros(len(rows), np.int64)
        for clip, row in enumerate(rows):
            video = videos.row(row)
            positions = middles(len(video), self.frames)
            clips[clip, : len(positions)] = video[positions]
            lengths[clip] = len(positions)
        others = self.arrays.keys() - self.unread - {"input"}
        batch = {name: torch.from_numpy(self.arrays[name][rows]) for name in sorted(others)}
        batch |= {"input": torch.from_numpy(clips), "length": torch.from_numpy(lengths)}
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return batch


def middles(count: int, segments: int) -> Rows:
    """Return the middle frame of each segment of a video of `count` frames; all frames if there are fewer of them."""
    segments = min(segments, count)
    return (2 * np.arange(segments) + 1) * count // (2 * segments)


class VideoData(LabelledData):
    """Videos with one label each; a batch is described by `VideoDataset`.

    A subclass's `process` saves the frames of each video as a row of the ragged column `input`, uint8 [F, C, H, W], and
    its label as `target`. If it also saves `group` (the source of a video, or who acts in it), no group is in two of
    the splits that are drawn here.

    Args:
        frames: frames of a clip.
        common: see `LabelledData`.
    """

    example_spec: VideoSpec = VideoSpec(3, 112, 112, ("a", "b"), (0.5,) * 3, (0.25,) * 3)

    def __init__(self, *, frames: int = 16, **common: Any) -> None:
        super().__init__(**common)
        if frames < 1:
            raise ConfigError(f"data.frames={frames}: a clip must have at least 1 frame")
        self.frames = frames
        self.example_spec = replace(self.example_spec, frames=frames)

    def spec_key(self) -> dict[str, Any]:
        """Options that change the spec."""
        return {"frames": self.frames}

    def groups(self, arrays: Mapping[str, Any]) -> NDArray[Any] | None:
        """Return the group of each video [N]; None if they are unknown."""
        return arrays.get("group")

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> VideoSpec:
        """Compute shape, classes, class counts, and mean and standard deviation per channel of the training frames."""
        videos: Ragged = train.arrays["input"]
        starts, lengths = (videos.ends - videos.lengths)[train.rows], videos.lengths[train.rows]
        stops = np.cumsum(lengths)
        chosen = np.unique(np.linspace(0, stops[-1] - 1, MEASURED).round().astype(np.int64))
        video = np.searchsorted(stops, chosen, side="right")
        mean, std = channel_statistics(videos.values, starts[video] + chosen - (stops - lengths)[video])
        _, channels, height, width = videos.values.shape
        classes = tuple(about["classes"])
        counts = np.bincount(train.arrays["target"][train.rows], minlength=len(classes))
        return VideoSpec(channels, height, width, classes, mean, std, tuple(counts.tolist()), frames=self.frames)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Return the splits with clips in their batches."""
        return {split: VideoDataset(d.arrays, d.rows, d.source, self.frames) for split, d in datasets.items()}
