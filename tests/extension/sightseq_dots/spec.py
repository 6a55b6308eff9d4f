"""The spec: what the data determines."""

from dataclasses import dataclass
from typing import Any

from sightseq.core.spec import Spec


@dataclass(frozen=True)
class CountingSpec(Spec):
    """Grey images with a count of objects in each.

    Attributes:
        height, width: image size in pixels.
        mean, std: mean and standard deviation of the counts in the training split.
    """

    height: int
    width: int
    mean: float
    std: float

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels` and `num_outputs`."""
        return {"in_channels": 1, "num_outputs": 1}

    def difference(self, other: Spec) -> str:
        """Describe a difference in image size; the counts may differ."""
        if not isinstance(other, CountingSpec):
            return super().difference(other)
        sizes = [f"{spec.height} x {spec.width}" for spec in (self, other)]
        return "" if sizes[0] == sizes[1] else f"it was trained on images of {sizes[0]}, and these are {sizes[1]}"
