"""The export graph of a model of events."""

import math
from collections.abc import Iterable

from sightseq.core.graph import Call
from sightseq.core.loading import Batch
from sightseq.tasks.language_modeling.graph import LanguageStepGraph


class EventStepGraph(LanguageStepGraph):
    """One step of a model of events: see `LanguageStepGraph`."""

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the bits per event."""
        return math.log2(super().score(call, batches))
