"""Non-neural baselines of the classification of sequences of vectors."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from sightseq.core.baseline import Arrays
from sightseq.series.sequence_spec import SequenceSpec
from sightseq.series.statistics import rows_of, statistics
from sightseq.tasks.classification.baseline import Classifier
from sightseq.tasks.classification.warping import WarpingNeighbour


class StatisticsForest(Classifier):
    """A random forest (Breiman, 2001) on statistics of each channel: see `series.statistics`.

    Args:
        trees: number of trees.
        largest: maximum number of training sequences, chosen at random.
    """

    spec: SequenceSpec

    def __init__(self, trees: int = 500, largest: int = 50_000) -> None:
        self.trees, self.largest = trees, largest

    def features(self, inputs: Any) -> NDArray[Any]:
        """Compute the statistics of sequences."""
        return np.stack([statistics(row) for row in rows_of(inputs)])

    def fit(self, train: Arrays) -> None:
        rows = np.random.default_rng(0).permutation(len(train["target"]))[: self.largest]
        forest = RandomForestClassifier(self.trees, n_jobs=-1, random_state=0)
        self.model = forest.fit(train["input"][rows], train["target"][rows])

    def predict(self, batch: Arrays) -> NDArray[Any]:
        labels: NDArray[Any] = self.model.predict(batch["input"])
        return labels


class SequenceWarping(WarpingNeighbour):
    """The label of the nearest training sequence by dynamic time warping: see `WarpingNeighbour`.

    Channels are normalised; a missing value is the mean.
    """

    spec: SequenceSpec

    def vectors(self, inputs: Any) -> Iterable[Tensor]:
        """Yield the normalised values of each sequence."""
        mean, std = np.array(self.spec.mean, np.float32), np.array(self.spec.std, np.float32)
        return (torch.from_numpy(np.nan_to_num((row - mean) / std)) for row in rows_of(inputs))
