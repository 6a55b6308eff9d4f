"""Tasks as functions of plain tensors, with all that stands before and after the network: what leaves the framework."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightseq.core.errors import CheckpointError
from sightseq.core.naming import ScoreInfo
from sightseq.core.order import FILLER, Batch
from sightseq.core.task import Task
from sightseq.decoding.sampling import single_tokens
from sightseq.tasks.classification.task import ClassificationTask
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.text.spec import LanguageSpec, TextSpec
from sightseq.vision.spec import ImageSpec

Arrays = list[NDArray[Any]]
Call = Callable[[Arrays], Arrays]
"""One step of the graph, by whatever runs it: inputs to outputs."""
Axes = dict[str, dict[int, str]]
"""Of each tensor by name, in order, the dimensions that may be of any size."""


class Graph(nn.Module, ABC):
    """The base: tensors in, probabilities first among what comes out.

    Attributes:
        inputs, outputs: see `Axes`.
        spec: of the task.
        labels: what each probability is of.
        info: how to print what `score` gives.
    """

    inputs: Axes
    outputs: Axes
    spec: ImageSpec | TextSpec | LanguageSpec
    labels: list[str]
    info: ScoreInfo

    def call(self, arrays: Arrays) -> Arrays:
        """One step by PyTorch itself."""
        with torch.inference_mode():
            found = self(*map(torch.from_numpy, arrays))
        return [tensor.numpy() for tensor in (found if isinstance(found, tuple) else (found,))]

    @abstractmethod
    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The inputs in order to the outputs in order."""

    @abstractmethod
    def example(self, batch: Batch, rows: int) -> Arrays:
        """The inputs of one step with so many rows of a batch, again and again if there are fewer."""

    @abstractmethod
    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """The probabilities [..., labels] that `call` gives for batches, and the targets [...]."""

    @abstractmethod
    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """The task's headline score of these batches."""


class Classifier(Graph):
    """`input` (images as bytes [B, C, H, W], or tokens [B, T] and their `length` [B]) to `probabilities`
    [B, num_classes]: normalised, and averaged over views, as in the test.
    """

    def __init__(self, task: ClassificationTask) -> None:
        super().__init__()
        self.task, self.spec, self.labels = task, task.spec, list(task.spec.classes)
        self.info = task.infos["val"][task.headline]
        self.inputs = {"input": {0: "batch"}}
        if isinstance(task.spec, TextSpec):
            self.inputs = {"input": {0: "batch", 1: "tokens"}, "length": {0: "batch"}}
        self.outputs = {"probabilities": {0: "batch"}}

    def forward(self, *inputs: Tensor) -> Tensor:
        """The inputs in order to the probabilities."""
        return self.task.predict_step(dict(zip(self.inputs, inputs, strict=True)))

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        return [np.resize(batch[name].numpy(), (rows, *batch[name].shape[1:])) for name in self.inputs]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """[B, num_classes] and [B]."""
        for batch in batches:
            real = (batch["index"] != FILLER).numpy()
            (probabilities,) = call([batch[name].numpy() for name in self.inputs])
            yield probabilities[real], batch["target"].numpy()[real]

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """The accuracy."""
        hits = [probabilities.argmax(-1) == target for probabilities, target in self.read(call, batches)]
        return float(np.concatenate(hits).mean())


class LanguageStep(Graph):
    """One step of a language model: `token` [B] and the state after those before it, to `probabilities`
    [B, vocab_size] of the next one, and the next state. The first state is zero.
    """

    def __init__(self, task: LanguageModelingTask) -> None:
        super().__init__()
        self.task, self.spec = task, task.spec
        self.info = task.infos["val"][task.headline]
        self.labels = [task.tokenizer.decode([number]) for number in range(task.spec.vocab_size)]
        _, state = task(torch.zeros(1, 1, dtype=torch.long))
        self.widths = [[part.shape[-1] for part in layer] for layer in state]
        names = [f"{part}{number}" for number, layer in enumerate(state) for _, part in zip(layer, "hc", strict=False)]
        states = {name: {1: "batch"} for name in names}
        self.inputs = {"token": {0: "batch"}, **states}
        self.outputs = {"probabilities": {0: "batch"}, **{f"next_{name}": axes for name, axes in states.items()}}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The inputs in order to the outputs in order."""
        token, *state = inputs
        parts = iter(state)
        logits, after = self.task(token[:, None], [tuple(next(parts) for _ in layer) for layer in self.widths])
        return logits[:, -1].softmax(dim=-1), *(part for layer in after for part in layer)

    def call(self, arrays: Arrays) -> Arrays:
        """As in generation."""
        with single_tokens():
            return super().call(arrays)

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        return [np.resize(batch["input"][:, 0].numpy(), rows), *self._begin(rows)]

    def _begin(self, rows: int) -> Arrays:
        return [np.zeros((1, rows, width), np.float32) for layer in self.widths for width in layer]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """[T, B, vocab_size] and [T, B]; the state is carried from batch to batch."""
        state: Arrays = []
        for batch in batches:
            state = state or self._begin(len(batch["input"]))
            found = []
            for token in batch["input"].numpy().T:
                probabilities, *state = call([np.ascontiguousarray(token), *state])
                found.append(probabilities)
            yield np.stack(found), batch["target"].numpy().T

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """The perplexity."""
        nats, count = 0.0, 0
        for probabilities, target in self.read(call, batches):
            real = target != FILLER
            nats -= float(np.log(np.take_along_axis(probabilities, target.clip(0)[..., None], -1)[..., 0][real]).sum())
            count += int(real.sum())
        return float(np.exp(nats / count))


def graph_of(task: Task) -> Graph:
    """The task as a graph.

    Raises:
        CheckpointError: it is of a kind that export does not know.
    """
    if isinstance(task, ClassificationTask):
        return Classifier(task).eval()
    if isinstance(task, LanguageModelingTask):
        return LanguageStep(task).eval()
    raise CheckpointError(f"the checkpoint holds a {type(task).__name__}, which export does not know")
