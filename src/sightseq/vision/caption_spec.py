"""Spec of images with captions."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import CheckpointError
from sightseq.core.spec import Spec
from sightseq.text.tokens_spec import Tokens


@dataclass(frozen=True)
class CaptionSpec(Spec):
    """Images with one or more captions each.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        height, width: size of the network's input in pixels.
        mean, std: per channel over the training images, on pixel values scaled to 0..1.
        text: tokens of the captions.
        margin: extra pixels of height and width of prepared images: see `ImageSpec`.
    """

    subject: ClassVar[Literal["centre"]] = "centre"
    """What an image is cropped to: see `ImageSpec`."""
    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    text: Tokens
    margin: int = 0

    def __post_init__(self) -> None:
        if self.text.max_tokens < 2:
            raise CheckpointError("the spec has max_tokens below 2: one token and EOS")

    @property
    def prepared(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of a prepared image, including the margin."""
        return self.channels, self.height + self.margin, self.width + self.margin

    def difference(self, other: Spec) -> str:
        """Compare shapes and languages: captions are encoded with the model's own tokenizer."""
        if not isinstance(other, CaptionSpec):
            return super().difference(other)
        if self.text.language != other.text.language:
            return f"its captions are in {self.text.language}, and those of the data in {other.text.language}"
        shapes = [" x ".join(map(str, spec.prepared)) for spec in (self, other)]
        return "" if shapes[0] == shapes[1] else f"it was trained on images of {shapes[0]}, and these are {shapes[1]}"

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels`, `image_size` (height, width) and `vocab_size`."""
        return {
            "in_channels": self.channels,
            "image_size": (self.height, self.width),
            "vocab_size": self.text.vocab_size,
        }

    def summary(self) -> dict[str, Any]:
        """Return the size of the vocabulary."""
        return {"vocabulary": f"{self.text.vocab_size:,}"}

    def metadata(self) -> dict[str, str]:
        """Return `language`, `tokenizer`, and `preprocessing` with shape, colours and crop of the images."""
        shape = dict(zip(("channels", "height", "width"), self.prepared, strict=True))
        preprocessing = {
            **shape,
            "colours": "RGB" if self.channels == 3 else "grey",
            "values": "bytes",
            "crop_to": self.subject,
            "max_tokens": self.text.max_tokens,
        }
        return {
            "language": json.dumps(self.text.language),
            "preprocessing": json.dumps(preprocessing),
            "tokenizer": self.text.tokenizer,
        }

    def to_example(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert an image [C, H, W] for a plot: to [H, W] for grey, [H, W, 3] for colour."""
        return image[0] if self.channels == 1 else image.transpose(1, 2, 0)
