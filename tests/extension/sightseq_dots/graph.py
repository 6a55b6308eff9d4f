"""The exported model: images to counts."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sightseq_dots.task import CountingTask
from torch import Tensor

from sightseq.core.graph import Arrays, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch


class CountingGraph(Graph):
    """Maps `input` (uint8 [B, 1, H, W]) to `count` [B]."""

    def __init__(self, task: CountingTask) -> None:
        super().__init__(task)
        self.task, self.spec, self.info = task, task.spec, task.scoreboard.infos["val"]["mae"]
        self.labels = ["count"]
        self.inputs, self.outputs = {"input": {0: "batch"}}, {"count": {0: "batch"}}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the counts [B]."""
        counts: Tensor = self.task(inputs[0])
        return counts

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        return [np.resize(batch["input"].numpy(), (rows, *batch["input"].shape[1:]))]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yield predicted counts [B] and true counts [B], without padding rows."""
        for batch in batches:
            real = (batch["index"] != PAD_INDEX).numpy()
            (counts,) = call([batch["input"].numpy()])
            yield counts[real], batch["target"].numpy()[real]

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the mean absolute error."""
        errors = [np.abs(counts - truth) for counts, truth in self.read(call, batches)]
        return float(np.concatenate(errors).mean())
