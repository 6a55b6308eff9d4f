"""Base class of all baselines, the models that a neural network must beat."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Baseline(ABC):
    """A model without a neural network, fitted and scored on NumPy arrays by name.

    The arrays are `input` [N, ...], as `features` returns it, and `target` [N, ...].
    """

    most: ClassVar[float] = math.inf
    """About how many samples of a split are used, from the first one; by default all."""

    def features(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Return the features [N, ...] of raw inputs [N, ...]; by default the inputs themselves.

        It is called with a part of a split at a time, as a whole split may not fit into memory.
        """
        return inputs

    def fit(self, train: Arrays) -> None:  # noqa: B027 (optional)
        """Fit the baseline to the training split. Without an override, the training split is not read."""

    @abstractmethod
    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return a prediction for each row, [N, ...]; uses only `input`."""

    @abstractmethod
    def score(self, batch: Arrays) -> dict[str, float]:
        """Return metrics of the predictions, under the names that the task uses for the same data."""
