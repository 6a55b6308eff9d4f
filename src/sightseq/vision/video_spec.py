"""Specs of video data."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from sightseq.core.spec import LabelledSpec, Spec
from sightseq.vision.spec import ImageSpec

Sampling = Literal["uniform", "dense"]
"""How the frames of a clip are chosen from a video.

- "uniform": the video is divided into as many segments as the clip has frames, and each gives one frame: Wang et al.,
  2016, Temporal Segment Networks (arXiv 1608.00859).
- "dense": successive frames at a fixed rate.
"""


@dataclass(frozen=True)
class VideoSpec(LabelledSpec):
    """Videos with one label each.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        height, width: size of the network's input in pixels.
        classes: the name of each label, in the order of the logits.
        mean, std: per channel over the training frames, on pixel values scaled to 0..1.
        counts: number of training videos of each class; empty if unknown.
        margin: extra pixels of height and width of prepared frames: see `ImageSpec`.
        frames: frames of a clip, T.
        sampling: see `Sampling`.
        rate: frames per second of a clip, for dense sampling; None for uniform sampling.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: tuple[int, ...] = ()
    margin: int = 0
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
        return {**self.frame.net_arguments(), "frames": self.frames}

    def summary(self) -> dict[str, Any]:
        """Return the number of classes."""
        return {"classes": len(self.classes)}

    def metadata(self) -> dict[str, str]:
        """Return `labels`, `preprocessing` of a frame (see `ImageSpec`), and `sampling` of the frames."""
        sampling = {"frames": self.frames, "sampling": self.sampling, "rate": self.rate}
        return {**self.frame.metadata(), "sampling": json.dumps(sampling)}


def _sampled(spec: VideoSpec) -> str:
    if spec.sampling == "dense" and spec.rate:
        return f"{spec.rate:g} frames per second"
    return "frames spread over the whole video"
