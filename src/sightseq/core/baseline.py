"""Base class of all baselines, the models that a neural network must beat."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import ArrayDataset
from sightseq.core.spec import Spec

Arrays = dict[str, NDArray[Any]]
CHUNK = 1024  # samples at a time


class Baseline(ABC):
    """A model without a neural network, fitted and scored on NumPy arrays by name.

    The arrays are `input` [N, ...], as `features` returns it, and `target` [N, ...].
    """

    most: ClassVar[float] = math.inf
    """About how many samples of a split are used, from the first one; by default all."""

    spec: Spec
    """Spec of the data, set before anything else is called."""

    def features(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Return the features [N, ...] of raw inputs [N, ...]; by default the inputs themselves.

        It is called with a part of a split at a time, as a whole split may not fit into memory.
        """
        return inputs

    def select(self, chunk: Arrays) -> Any:
        """Return what `features` gets of a part of a split, by default its column `input`."""
        return chunk["input"]

    def read(self, dataset: ArrayDataset) -> Arrays:
        """Return the arrays of a split for `fit` and `score`: by default the first `most` samples with their features.

        A baseline that keeps only results, or reads only some samples, may override it.
        """
        chunks: list[Arrays] = []
        count = 0
        for chunk in dataset.chunks(CHUNK):
            chunks.append(chunk | {"input": self.features(self.select(chunk))})
            count += len(chunk["input"])
            if count >= self.most:
                break
        return {name: concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def fit(self, train: Arrays) -> None:  # noqa: B027 (optional)
        """Fit the baseline to the training split. Without an override, the training split is not read."""

    @abstractmethod
    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return a prediction for each row, [N, ...]; uses only `input`."""

    @abstractmethod
    def score(self, batch: Arrays) -> dict[str, float]:
        """Return metrics of the predictions, under the names that the task uses for the same data."""


def concatenate(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Join arrays [N, ...] along the first axis; if their other axes differ, pad those at the end with 0."""
    if len({part.shape[1:] for part in parts}) > 1:
        shape = np.max([part.shape[1:] for part in parts], axis=0)
        parts = [np.pad(part, [(0, 0), *((0, int(side)) for side in shape - part.shape[1:])]) for part in parts]
    return np.concatenate(parts)
