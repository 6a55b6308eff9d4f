"""Base of all datasets of labelled images: computes their spec."""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import ArrayDataset
from sightseq.core.splits import Rows
from sightseq.data.labelled import LabelledData
from sightseq.vision.spec import ImageSpec

VALUES = 2**24  # pixel values converted at a time


class ImageData(LabelledData):
    """8-bit images [C, H, W] with one label each: `input` uint8 [B, C, H, W]. Arguments: see `LabelledData`."""

    example_spec: ImageSpec = ImageSpec(3, 64, 64, ("a", "b"), (0.5,) * 3, (0.25,) * 3)
    subject: ClassVar[Literal["centre", "face"]] = "centre"
    """What `predict` crops a photograph to: see `ImageSpec`."""

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> ImageSpec:
        """Compute shape, classes, class counts, and mean and standard deviation per channel of the training images."""
        _, channels, height, width = train.arrays["input"].shape
        mean, std = channel_statistics(train.arrays["input"], train.rows)
        labels = train.arrays["target"][train.rows]
        margin = about.get("margin", 0)
        return ImageSpec(
            channels=channels,
            height=height - margin,
            width=width - margin,
            classes=tuple(about["classes"]),
            mean=mean,
            std=std,
            counts=tuple(np.bincount(labels, minlength=len(about["classes"])).tolist()),
            margin=margin,
            subject=self.subject,
        )


def channel_statistics(images: NDArray[np.uint8], rows: Rows) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel of some images [N, C, H, W], on pixel values scaled to 0..1."""
    _, channels, height, width = images.shape
    # Sums of pixels and of their squares, in chunks: the array may be larger than memory.
    total, squares = np.zeros(channels), np.zeros(channels)
    size = max(1, VALUES // (channels * height * width))
    for chunk in np.array_split(rows, -(-len(rows) // size)):
        pixels = images[chunk].astype(np.float64) / 255
        total += pixels.sum((0, 2, 3))
        squares += (pixels**2).sum((0, 2, 3))
    count = len(rows) * height * width
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-8))
    return tuple(mean.round(6).tolist()), tuple(std.round(6).tolist())


def synthetic_images(count: int, classes: int, size: int, channels: int, seed: int) -> tuple[NDArray[np.uint8], Rows]:
    """Noisy stripes [N, C, size, size] whose direction is the label [N]: learnable in a few steps."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    angle = (np.pi * labels / classes)[:, None, None, None]
    y, x = np.mgrid[:size, :size] / size
    phase = generator.uniform(0, 2 * np.pi, (count, channels, 1, 1))
    waves = np.sin(4 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    noise = generator.normal(0, 0.2, waves.shape)
    return ((waves + noise + 2) / 4 * 255).clip(0, 255).astype(np.uint8), labels.astype(np.int64)
