"""A task as a function of plain tensors, with all that stands before and after the network: what is exported."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightseq.core.errors import CheckpointError
from sightseq.core.loading import Batch
from sightseq.core.naming import ScoreInfo
from sightseq.core.spec import Spec
from sightseq.core.task import Task

Arrays = list[NDArray[Any]]
Call = Callable[[Arrays], Arrays]
"""One step of the graph, by whatever runs it: inputs to outputs."""
Axes = dict[str, dict[int, str]]
"""Of each tensor by name, in order, the dimensions that may be of any size."""


class Graph(nn.Module, ABC):
    """The base: tensors in, tensors out, the prediction first.

    Attributes:
        inputs, outputs: see `Axes`.
        spec: of the task.
        info: how to print what `score` returns: the task's headline score.
    """

    inputs: Axes
    outputs: Axes
    spec: Spec
    info: ScoreInfo

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.spec = task.spec
        self.info = task.scoreboard.infos["val"][task.headline]

    def metadata(self) -> dict[str, str]:
        """What a program needs that runs the file; see `Spec.metadata`."""
        return self.spec.metadata()

    def calibration(self, batches: Iterable[Batch]) -> Iterator[dict[str, NDArray[Any]]] | None:
        """The inputs by name for each batch of training, from which the ranges of an int8 file are computed.

        None (the default): ranges are found anew at each call, as for recurrent networks.
        """
        return None

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
    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """The predictions that `call` returns for batches, such as probabilities [..., classes], and the targets."""

    @abstractmethod
    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """The task's headline score of these batches."""


def graph_of(task: Task) -> Graph:
    """The task as a graph.

    Raises:
        CheckpointError: it has none.
    """
    kind = task.graph()
    if kind is None:
        raise CheckpointError(f"the model is a {type(task).__name__}, which cannot be exported: it has no graph")
    return kind(task).eval()
