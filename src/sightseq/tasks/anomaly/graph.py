"""The export graph of a detector of anomalies."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Axes, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.tasks.anomaly.scores import ranking_scores
from sightseq.tasks.anomaly.task import AnomalyTask


class AnomalyGraph(Graph):
    """Maps windows `input` [B, T, D], NaN where a value is missing, and their `length` [B] to the `error` [B] of each.

    The score is the area under the ROC curve.
    """

    inputs: Axes = {"input": {0: "batch", 1: "steps"}, "length": {0: "batch"}}
    outputs: Axes = {"error": {0: "batch"}}
    exact = ("features",)

    def __init__(self, task: AnomalyTask) -> None:
        super().__init__(task)
        self.task = task

    def metadata(self) -> dict[str, str]:
        """Add `threshold`: a window with a larger error is an anomaly."""
        return {**super().metadata(), "threshold": f"{float(self.task.threshold):.6g}"}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the errors; the inputs are in the order of `self.inputs`."""
        return self.task.errors(dict(zip(self.inputs, inputs, strict=True)))

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        return [np.resize(batch[name].numpy(), (rows, *batch[name].shape[1:])) for name in self.inputs]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield errors [B] and whether each window is an anomaly [B], without padding rows."""
        for batch in batches:
            real = (batch["index"] != PAD_INDEX).numpy()
            (errors,) = call([batch[name].numpy() for name in self.inputs])
            yield errors[real], self.task.unusual[batch["target"]].numpy()[real]

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the area under the ROC curve."""
        errors, anomalies = map(np.concatenate, zip(*self.read(call, batches), strict=True))
        return ranking_scores(errors, anomalies)["auroc"]
