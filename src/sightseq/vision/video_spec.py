"""Specs of video data."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from sightseq.core.spec import Spec
from sightseq.vision.spec import ImageSpec, PixelSpec

Sampling = Literal["uniform", "dense"]
"""How the frames of a clip are chosen from a video.

- "uniform": the video is divided into as many segments as the clip has frames, and each gives one frame: Wang et al.,
  2016, Temporal Segment Networks (arXiv 1608.00859).
- "dense": successive frames at a fixed rate.
"""


@dataclass(frozen=True)
class VideoSpec(PixelSpec):
    """Videos with one label each.

    Attributes:
        frames: frames of a clip, T.
        sampling: see `Sampling`.
        rate: frames per second of a clip, for dense sampling; None for uniform sampling.
    """

    frames: int = 16
    sampling: Sampling = "uniform"
    rate: float | None = None

    @property
    def frame(self) -> ImageSpec:
        """The spec of a single frame."""
        return ImageSpec(
            self.channels, self.height, self.width, self.classes, self.mean, self.std, self.counts, self.margin
        )

    def difference(self, other: Spec) -> str:
        """Compare the shapes of frames, the classes and the sampling; a clip may have another number of frames."""
        if not isinstance(other, VideoSpec):
            return super().difference(other)
        sampled = [_sampled(spec) for spec in (self, other)]
        if sampled[0] != sampled[1]:
            return f"it was trained on {sampled[0]}, and these are {sampled[1]}"
        return self.frame.difference(other.frame)

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels`, `num_classes`, `image_size` (height, width) and `frames`."""
        return {**super().net_arguments(), "frames": self.frames}

    def metadata(self) -> dict[str, str]:
        """Return `labels`, `preprocessing` of a frame (see `ImageSpec`), and `sampling` of the frames."""
        sampling = {"frames": self.frames, "sampling": self.sampling, "rate": self.rate}
        return {**self.frame.metadata(), "sampling": json.dumps(sampling)}


def _sampled(spec: VideoSpec) -> str:
    if spec.sampling == "dense" and spec.rate:
        return f"{spec.rate:g} frames per second"
    return "frames spread over the whole video"
