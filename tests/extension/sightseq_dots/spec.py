"""What the data says of itself."""

from dataclasses import dataclass
from typing import Any

from sightseq.core.spec import Spec


@dataclass(frozen=True)
class CountingSpec(Spec):
    """Grey images with a number of things in each.

    Attributes:
        height, width: of the images, in pixels.
        mean, std: of the counts of the training split.
    """

    height: int
    width: int
    mean: float
    std: float

    def net_arguments(self) -> dict[str, Any]:
        """`in_channels` and `num_outputs`."""
        return {"in_channels": 1, "num_outputs": 1}

    def difference(self, other: Spec) -> str:
        """Images of another size; the counts may differ."""
        if not isinstance(other, CountingSpec):
            return super().difference(other)
        sizes = [f"{spec.height} x {spec.width}" for spec in (self, other)]
        return "" if sizes[0] == sizes[1] else f"it was trained on images of {sizes[0]}, and these are {sizes[1]}"
