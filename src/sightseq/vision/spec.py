"""Specs of image data."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.spec import LabelledSpec, Spec


@dataclass(frozen=True)
class PixelSpec(LabelledSpec):
    """Base of the specs of labelled images and videos.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        height, width: size of the network's input in pixels.
        classes: the name of each label, in the order of the logits.
        mean, std: per channel over the training split, on pixel values scaled to 0..1.
        counts: number of training samples of each class; empty if unknown.
        margin: extra pixels of height and width of prepared images, for random crops and shifts in training; otherwise
            the network's input is their centre.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: tuple[int, ...] = ()
    margin: int = 0

    @property
    def prepared(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of a prepared image, including the margin."""
        return self.channels, self.height + self.margin, self.width + self.margin

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels`, `num_classes` and `image_size` (height, width)."""
        return {
            "in_channels": self.channels,
            "num_classes": len(self.classes),
            "image_size": (self.height, self.width),
        }

    def summary(self) -> dict[str, Any]:
        """Return the number of classes."""
        return {"classes": len(self.classes)}


@dataclass(frozen=True)
class ImageSpec(PixelSpec):
    """Images with one label each.

    Attributes:
        subject: what a photograph is cropped to: "centre", or "face" (the largest face).
    """

    subject: Literal["centre", "face"] = "centre"

    def difference(self, other: Spec) -> str:
        """Compare shapes and classes; means and standard deviations of the pixels may differ."""
        if not isinstance(other, ImageSpec):
            return super().difference(other)
        if self.classes != other.classes:
            return f"it knows the classes {', '.join(self.classes)}, and the data has {', '.join(other.classes)}"
        shapes = [" x ".join(map(str, spec.prepared)) for spec in (self, other)]
        return "" if shapes[0] == shapes[1] else f"it was trained on images of {shapes[0]}, and these are {shapes[1]}"

    def metadata(self) -> dict[str, str]:
        """Return `labels`, and `preprocessing` with the shape, colours and crop of the images."""
        shape = dict(zip(("channels", "height", "width"), self.prepared, strict=True))
        preprocessing = {
            **shape,
            "colours": "RGB" if self.channels == 3 else "grey",
            "values": "bytes",
            "crop_to": self.subject,
        }
        return {"labels": json.dumps(self.classes, ensure_ascii=False), "preprocessing": json.dumps(preprocessing)}

    def to_example(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert an image [C, H, W] for a plot: to [H, W] for grey, [H, W, 3] for colour."""
        return image[0] if self.channels == 1 else image.transpose(1, 2, 0)
