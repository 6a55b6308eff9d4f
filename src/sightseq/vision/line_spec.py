"""Spec of images of lines of text with transcripts."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.spec import Spec
from sightseq.text.alphabet import Alphabet


@dataclass(frozen=True)
class LineSpec(Spec):
    """Images of one line of text each, with transcripts.

    All images have the same height; their width varies. Paper is 0 and ink is bright, so that padding is paper.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        height: in pixels.
        alphabet: the characters of the transcripts.
        mean, std: per channel over the training split, on pixel values scaled to 0..1.
        longest: width in pixels of the widest training image.
        straight: whether sloping lines are made horizontal: see `vision.lines.straighten`.
    """

    channels: int
    height: int
    alphabet: Alphabet
    mean: tuple[float, ...]
    std: tuple[float, ...]
    longest: int
    straight: bool = False

    def difference(self, other: Spec) -> str:
        """Compare channels and height: transcripts are encoded with the model's own alphabet."""
        if not isinstance(other, LineSpec):
            return super().difference(other)
        shapes = [f"{spec.channels} x {spec.height} x width" for spec in (self, other)]
        return "" if shapes[0] == shapes[1] else f"it was trained on images of {shapes[0]}, and these are {shapes[1]}"

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels`, `image_size` (height, None) and `num_classes`, the characters and two special ids."""
        return {
            "in_channels": self.channels,
            "image_size": (self.height, None),
            "num_classes": self.alphabet.size,
        }

    def summary(self) -> dict[str, Any]:
        """Return the number of characters and the height of the images."""
        return {"characters": len(self.alphabet), "height": f"{self.height} pixels"}

    def metadata(self) -> dict[str, str]:
        """Return `labels` (the text of each id, "" for the blank), and `preprocessing` with the form of the images."""
        preprocessing = {
            "channels": self.channels,
            "height": self.height,
            "colours": "RGB" if self.channels == 3 else "grey",
            "values": "bytes; paper is 0",
            "straight": self.straight,
        }
        return {
            "labels": json.dumps(self.alphabet.labels, ensure_ascii=False),
            "preprocessing": json.dumps(preprocessing),
        }

    def to_example(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert an image [C, H, W] for a plot, dark ink on white: [H, W] for grey, [H, W, 3] for colour."""
        inverted: NDArray[np.uint8] = 255 - image
        return inverted[0] if self.channels == 1 else inverted.transpose(1, 2, 0)
