"""The export graph of a classifier: a function of plain tensors."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.tasks.classification.task import ClassificationTask
from sightseq.text.spec import TextSpec


class ClassifierGraph(Graph):
    """Maps `input` (uint8 images [B, C, H, W], or token ids [B, T] with their `length` [B]) to `probabilities`
    [B, num_classes]. Includes pixel normalisation and the average over test-time views.
    """

    def __init__(self, task: ClassificationTask) -> None:
        super().__init__(task)
        self.task = task
        self.inputs = {"input": {0: "batch"}}
        if isinstance(task.spec, TextSpec):
            self.inputs = {"input": {0: "batch", 1: "tokens"}, "length": {0: "batch"}}
        self.outputs = {"probabilities": {0: "batch"}}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the probabilities; the inputs are in the order of `self.inputs`."""
        return self.task.predict_step(dict(zip(self.inputs, inputs, strict=True)))

    def calibration(self, batches: Iterable[Batch]) -> Iterator[dict[str, NDArray[Any]]] | None:
        """Yield batches of images; None for texts, whose networks are quantised dynamically (ranges at each call)."""
        if isinstance(self.spec, TextSpec):
            return None
        return ({name: batch[name].numpy() for name in self.inputs} for batch in batches)

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
