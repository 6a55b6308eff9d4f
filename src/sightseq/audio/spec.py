"""Specs of sounds."""

import json
from dataclasses import dataclass
from typing import Any

from sightseq.core.spec import LabelledSpec, Spec


@dataclass(frozen=True)
class AudioSpec(LabelledSpec):
    """Audio clips with one label each.

    Attributes:
        rate: samples per second of the waveforms, in Hz.
        classes: the name of each label, in the order of the logits.
        mean, std: over all log-mel features of the training split: see `audio.features.LogMel`.
        counts: number of training samples of each class; empty if unknown.
        seconds: longest clip; of a longer one, its middle is used, or overlapping windows in prediction.
    """

    rate: int
    classes: tuple[str, ...]
    mean: float
    std: float
    counts: tuple[int, ...] = ()
    seconds: float = 10.0

    def difference(self, other: Spec) -> str:
        """Compare the classes only: sounds are resampled to the model's rate."""
        if not isinstance(other, AudioSpec):
            return super().difference(other)
        if self.classes == other.classes:
            return ""
        return f"it knows the classes {', '.join(self.classes)}, and the data has {', '.join(other.classes)}"

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels` (1: the spectrogram) and `num_classes`."""
        return {"in_channels": 1, "num_classes": len(self.classes)}

    def summary(self) -> dict[str, Any]:
        """Return the number of classes and the samples per second."""
        return {"classes": len(self.classes), "Hz": self.rate}

    def metadata(self) -> dict[str, str]:
        """Return `labels`, and `preprocessing` with the rate, channels and longest clip."""
        preprocessing = {"rate": self.rate, "channels": 1, "values": "int16", "seconds": self.seconds}
        return {"labels": json.dumps(self.classes, ensure_ascii=False), "preprocessing": json.dumps(preprocessing)}
