"""What all datasets with one label for each sample have in common: their splits and the order of their classes."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from sightseq.core.splits import SplitData


class LabelledData(SplitData):
    """Samples with one label each: `target` int64 [B], -1 in the arrays where a sample has none and is left out.

    What validates and tests has an equal share of each class; arguments as `SplitData`.
    """

    def order_classes(self, names: set[str]) -> list[str]:
        """The classes in the order of their labels: that of `encoder`, if it has them all, else of the alphabet."""
        known = getattr(self.encoder, "classes", ())
        return list(known) if names <= set(known) else sorted(names)

    def strata(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """The labels."""
        labels: NDArray[Any] = arrays["target"]
        return labels
