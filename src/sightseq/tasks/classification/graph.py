"""The export graph of a classifier: a function of plain tensors."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.tasks.classification.task import ClassificationTask

# Calibration keeps the activations of all layers in memory: for MobileNetV2 and 4 images of 224 x 224, export needs
# 2.8 GB; for 32 images it was killed on a machine with 12 GB free.
CALIBRATED_ROWS = 4


class ClassifierGraph(Graph):
    """Maps the tensors of a batch that the task reads (`ClassificationTask.graph_inputs`) to `probabilities`
    [B, num_classes]. Includes the preparation of the inputs and the average over test-time views.
    """

    def __init__(self, task: ClassificationTask) -> None:
        super().__init__(task)
        self.task = task
        self.inputs, self.exact = task.graph_inputs, task.exact
        self.outputs = {"probabilities": {0: "batch"}}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the probabilities; the inputs are in the order of `self.inputs`."""
        return self.task.predict_step(dict(zip(self.inputs, inputs, strict=True)))

    def calibration(self, batches: Iterable[Batch]) -> Iterator[dict[str, NDArray[Any]]] | None:
        """Yield the inputs of a few rows at a time; None if the task is not `calibrated`."""
        if not self.task.calibrated:
            return None
        return (
            {name: batch[name][start : start + CALIBRATED_ROWS].numpy() for name in self.inputs}
            for batch in batches
            for start in range(0, len(batch["index"]), CALIBRATED_ROWS)
        )

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        return [np.resize(batch[name].numpy(), (rows, *batch[name].shape[1:])) for name in self.inputs]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield probabilities [B, num_classes] and targets [B], without padding rows."""
        for batch in batches:
            real = (batch["index"] != PAD_INDEX).numpy()
            (probabilities,) = call([batch[name].numpy() for name in self.inputs])
            yield probabilities[real], batch["target"].numpy()[real]

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the accuracy."""
        hits = [probabilities.argmax(-1) == target for probabilities, target in self.read(call, batches)]
        return float(np.concatenate(hits).mean())
