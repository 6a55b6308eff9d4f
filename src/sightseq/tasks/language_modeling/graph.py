"""The export graph of a language model: one step as a function of plain tensors."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.decoding.step import single_tokens
from sightseq.tasks.language_modeling.task import LanguageModelingTask


class LanguageStepGraph(Graph):
    """One step of a language model: maps `token` [B] and the state after the tokens before it to `probabilities`
    [B, vocab_size] of the next token and the next state. The initial state is zero.
    """

    def __init__(self, task: LanguageModelingTask) -> None:
        super().__init__(task)
        self.task = task
        _, state = task(torch.zeros(1, 1, dtype=torch.long))
        self.widths = [[part.shape[-1] for part in layer] for layer in state]
        names = [f"{part}{number}" for number, layer in enumerate(state) for _, part in zip(layer, "hc", strict=False)]
        states = {name: {1: "batch"} for name in names}
        self.inputs = {"token": {0: "batch"}, **states}
        self.outputs = {"probabilities": {0: "batch"}, **{f"next_{name}": axes for name, axes in states.items()}}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `self.outputs`; the inputs are in the order of `self.inputs`."""
        token, *state = inputs
        parts = iter(state)
        logits, after = self.task(token[:, None], [tuple(next(parts) for _ in layer) for layer in self.widths])
        return logits[:, -1].softmax(dim=-1), *(part for layer in after for part in layer)

    def call(self, arrays: Arrays) -> Arrays:
        """Run one step by PyTorch, with the same kernels as generation."""
        with single_tokens():
            return super().call(arrays)

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        return [np.resize(batch["input"][:, 0].numpy(), rows), *self._begin(rows)]

    def _begin(self, rows: int) -> Arrays:
        return [np.zeros((1, rows, width), np.float32) for layer in self.widths for width in layer]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield probabilities [T, B, vocab_size] and targets [T, B]; the state is carried from batch to batch."""
        state: Arrays = []
        for batch in batches:
            state = state or self._begin(len(batch["input"]))
            steps = []
            for token in batch["input"].numpy().T:
                probabilities, *state = call([np.ascontiguousarray(token), *state])
                steps.append(probabilities)
            yield np.stack(steps), batch["target"].numpy().T

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the perplexity."""
        nats, count = 0.0, 0
        for probabilities, target in self.read(call, batches):
            real = target != PAD_INDEX
            nats -= float(np.log(np.take_along_axis(probabilities, target.clip(0)[..., None], -1)[..., 0][real]).sum())
            count += int(real.sum())
        return float(np.exp(nats / count))
