"""A task as a function of plain tensors, including pre- and postprocessing: this is what is exported."""

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
"""Runs the graph once, in any runtime: inputs to outputs."""
Axes = dict[str, dict[int, str]]
"""The tensors by name, in order, each with its dimensions of variable size: index to name."""


class Graph(nn.Module, ABC):
    """Base class of graphs: tensors in, tensors out. The first output is the prediction.

    Attributes:
        inputs, outputs: see `Axes`.
        spec: the task's spec.
        info: how to format the result of `score`, the task's headline score.
        exact: attribute names of modules that stay in 32 bits in an int8 file, such as "front": a spectrum has a larger
            range than 8 bits.
    """

    inputs: Axes
    outputs: Axes
    spec: Spec
    info: ScoreInfo
    exact: tuple[str, ...] = ()

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.spec = task.spec
        self.info = task.scoreboard.infos["val"][task.headline]

    def parts(self) -> "dict[str, Graph]":
        """Return the graphs that are exported, each to its own file, by the name of the file.

        By default this graph as "model". A model whose parts run unequally often, such as an encoder and one step of a
        decoder, returns several.
        """
        return {"model": self}

    def metadata(self) -> dict[str, str]:
        """Return what a program needs to run the exported file; see `Spec.metadata`."""
        return self.spec.metadata()

    def calibration(self, batches: Iterable[Batch]) -> Iterator[dict[str, NDArray[Any]]] | None:
        """Return the inputs by name for each training batch; the ranges of an int8 file are computed from them.

        None (the default): the ranges are computed at each call, as for recurrent networks.
        """
        return None

    def amount(self, inputs: Arrays) -> tuple[float, str] | None:
        """Return how much one call on these inputs processes, and the unit, such as (0.25, "megapixel").

        `bench` prints the seconds per unit. None (the default): rows are the only unit.
        """
        return None

    def baseline_batch(self, inputs: Arrays) -> dict[str, NDArray[Any]] | None:
        """Return these inputs as a batch for `Baseline.predict`, so that `bench` measures the baselines too.

        None (the default): the baselines are fitted to data, and are not measured.
        """
        return None

    def web_page(self, batches: Iterable[Batch]) -> dict[str, Any] | None:
        """Return what a web page needs to make this graph's inputs and to name its outputs.

        The page is a folder in `export/web`, which `kind` names, such as "image"; it defines the other keys. None (the
        default): there is no page for such inputs.

        Args:
            batches: training batches, from which the page's inputs can be made to look like the training data.

        Raises:
            ExportError: there is a page, but it cannot make the inputs of this model.
        """
        return None

    def call(self, arrays: Arrays) -> Arrays:
        """Run the graph once in PyTorch."""
        with torch.inference_mode():
            outputs = self(*map(torch.from_numpy, arrays))
        return [tensor.numpy() for tensor in (outputs if isinstance(outputs, tuple) else (outputs,))]

    @abstractmethod
    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map the inputs, in order, to the outputs, in order."""

    @abstractmethod
    def example(self, batch: Batch, rows: int) -> Arrays:
        """Return the inputs of one call: `rows` rows of a batch, which are repeated if there are fewer."""

    @abstractmethod
    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield the predictions of `call` for batches, such as probabilities [..., classes], and the targets."""

    @abstractmethod
    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the task's headline score on these batches."""


def graph_of(task: Task) -> Graph:
    """Return the graph of a task, in evaluation mode.

    Raises:
        CheckpointError: the task has no graph.
    """
    kind = task.graph()
    if kind is None:
        raise CheckpointError(f"the model is a {type(task).__name__}, which cannot be exported: it has no graph")
    return kind(task).eval()
