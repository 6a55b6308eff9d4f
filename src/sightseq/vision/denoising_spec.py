"""The spec of denoising data."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.spec import Spec


@dataclass(frozen=True)
class DenoisingSpec(Spec):
    """Spec of pairs of noisy and clean images.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        height, width: size of a training tile, in pixels.
        noise: configs of the kinds of noise by name: see `vision.noise.make_noise`; empty if the noisy images are
            files.
        levels: levels of the first noise at which each image is validated and tested. If empty, each image has one
            level, drawn from the range of the noise.
    """

    channels: int
    height: int
    width: int
    noise: dict[str, Any] = field(default_factory=dict, hash=False)
    levels: tuple[float, ...] = ()

    @property
    def colours(self) -> str:
        """Name of the colour mode: "grey" or "RGB"."""
        return "grey" if self.channels == 1 else "RGB"

    def difference(self, other: Spec) -> str:
        """Return why the channels do not fit, or ""; noise and sizes may differ."""
        if not isinstance(other, DenoisingSpec):
            return super().difference(other)
        if self.channels == other.channels:
            return ""
        return f"it was trained on {self.colours} images, but the data is {other.colours}"

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels` and `out_channels`."""
        return {"in_channels": self.channels, "out_channels": self.channels}

    def summary(self) -> dict[str, Any]:
        """Return colours and noise, such as {"colours": "grey", "noise": "Gaussian sigma=25"}."""
        noise = " + ".join(_describe(brick) for brick in self.noise.values())
        return {"colours": self.colours, "noise": noise or "from the noisy files"}

    def metadata(self) -> dict[str, str]:
        """Return `preprocessing`: colours and range of the values of an image. Height and width are free."""
        return {"preprocessing": json.dumps({"channels": self.channels, "colours": self.colours, "values": "0..1"})}

    def to_example(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert a uint8 or float image [C, H, W] for a plot: uint8, [H, W] for grey, [H, W, 3] for RGB.

        Floating-point values are clipped to 0..1 and rounded to bytes.
        """
        if image.dtype != np.uint8:
            image = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
        return image[0] if self.channels == 1 else image.transpose(1, 2, 0)


def _describe(brick: dict[str, Any]) -> str:
    """Describe the config of a noise, such as "Gaussian sigma=25"."""
    values = {name: value for name, value in brick.items() if name != "_target_"}
    arguments = {name: "..".join(map(str, v)) if isinstance(v, tuple | list) else v for name, v in values.items()}
    name = str(brick.get("_target_", "")).rpartition(".")[2]
    return " ".join([name, *(f"{key}={value}" for key, value in arguments.items())])
