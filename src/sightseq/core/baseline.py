"""The kind of all baselines: what a neural result must beat."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Baseline(ABC):
    """fit(train) and predict(batch) on arrays by name: `input` [N, ...] as `features` gives it, `target` [N, ...]."""

    most: ClassVar[float] = math.inf
    """How many samples it looks at of a split; the first ones, where there are more."""

    def features(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """What it looks at of raw inputs [N, ...]: [N, ...]; given some at a time, for all may be too large."""
        return inputs

    def fit(self, train: Arrays) -> None:  # noqa: B027 (optional)
        """Learns from the training split, which is not read for a baseline without a `fit` of its own."""

    @abstractmethod
    def predict(self, batch: Arrays) -> NDArray[Any]:
        """An answer for each row [N, ...]; looks at `input` alone."""

    @abstractmethod
    def score(self, batch: Arrays) -> dict[str, float]:
        """Metrics of its answers, by the names that the task of the same data gives them."""
