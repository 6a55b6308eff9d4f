"""Base of all datasets with one label per sample: stratified splits and the order of the classes."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from sightseq.core.splits import SplitData


class LabelledData(SplitData):
    """Samples with one label each: `target` int64 [B]. A sample with the label -1 in the arrays is left out.

    Validation and test splits that are parts of another split are stratified: they have the same fraction of each
    class. Arguments: see `SplitData`.
    """

    def order_classes(self, names: set[str]) -> list[str]:
        """Return the classes in the order of their labels: that of `encoder` if it has them all, else alphabetical."""
        known = getattr(self.encoder, "classes", ())
        return list(known) if names <= set(known) else sorted(names)

    def strata(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the labels [N]."""
        labels: NDArray[Any] = arrays["target"]
        return labels
