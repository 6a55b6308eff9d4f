"""Specs of labelled sequences of vectors: wearable sensors, key points."""

import json
from dataclasses import dataclass
from typing import Any

from sightseq.core.spec import LabelledSpec, Spec


@dataclass(frozen=True)
class SequenceSpec(LabelledSpec):
    """Sequences of vectors with one label each.

    Attributes:
        channels: name of each value of a vector, such as "acc_x".
        classes: the name of each label, in the order of the logits.
        mean, std: of each channel over the training split, in the units of the data; missing values are left out.
        counts: number of training samples of each class; empty if unknown.
        rate: steps per second, in Hz; None if the steps have no duration.
        steps: longest window, in steps.
        stride: steps between two windows of a longer recording; None if no recording of the data is longer.
        zero_missing: whether a value of 0 in a file is a missing one.
    """

    channels: tuple[str, ...]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: tuple[int, ...] = ()
    rate: float | None = None
    steps: int = 128
    stride: int | None = None
    zero_missing: bool = False

    def difference(self, other: Spec) -> str:
        """Compare channels and classes: recordings are resampled to the model's rate and cut to its windows."""
        if not isinstance(other, SequenceSpec):
            return super().difference(other)
        if self.classes != other.classes:
            return f"it knows the classes {', '.join(self.classes)}, and the data has {', '.join(other.classes)}"
        if self.channels != other.channels:
            return f"it reads the channels {', '.join(self.channels)}, and the data has {', '.join(other.channels)}"
        return ""

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels` and `num_classes`."""
        return {"in_channels": len(self.channels), "num_classes": len(self.classes)}

    def summary(self) -> dict[str, Any]:
        """Return the numbers of classes and channels."""
        return {"classes": len(self.classes), "channels": len(self.channels)}

    def metadata(self) -> dict[str, str]:
        """Return `labels`, and `preprocessing` with the channels, their rate and the windows."""
        names = ("channels", "rate", "steps", "stride", "zero_missing")
        preprocessing = {name: getattr(self, name) for name in names} | {"missing": "NaN", "values": "float32"}
        return {"labels": json.dumps(self.classes, ensure_ascii=False), "preprocessing": json.dumps(preprocessing)}
