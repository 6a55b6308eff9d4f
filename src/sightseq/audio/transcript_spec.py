"""Spec of recordings with transcripts."""

import json
from dataclasses import dataclass
from typing import Any

from sightseq.core.spec import Spec
from sightseq.text.alphabet import Alphabet


@dataclass(frozen=True)
class TranscriptSpec(Spec):
    """Recordings with one transcript each.

    Attributes:
        rate: samples per second of the waveforms.
        alphabet: the characters of the transcripts.
        mean, std: of the logarithmic mel features over the training split.
        longest: seconds of the longest training recording.
    """

    rate: int
    alphabet: Alphabet
    mean: float
    std: float
    longest: float

    def difference(self, other: Spec) -> str:
        """Return no difference between recordings: they are resampled, and encoded with the model's own alphabet."""
        return "" if isinstance(other, TranscriptSpec) else super().difference(other)

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels` (1) and `num_classes`, the characters and the two special ids."""
        return {"in_channels": 1, "num_classes": self.alphabet.size}

    def summary(self) -> dict[str, Any]:
        """Return the number of characters and the sampling rate."""
        return {"characters": len(self.alphabet), "sampling rate": f"{self.rate:,} Hz"}

    def metadata(self) -> dict[str, str]:
        """Return `labels` (the text of each id, "" for the blank), and `preprocessing` with the sampling rate."""
        return {
            "labels": json.dumps(self.alphabet.labels, ensure_ascii=False),
            "preprocessing": json.dumps({"rate": self.rate, "channels": 1, "values": "int16"}),
        }
