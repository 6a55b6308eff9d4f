"""Non-neural baselines of the classification of sequences of vectors."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from sightseq.core.arrays import Ragged
from sightseq.core.baseline import Arrays
from sightseq.series.sequence_spec import SequenceSpec
from sightseq.tasks.classification.baseline import Classifier
from sightseq.tasks.classification.warping import WarpingNeighbour

BANDS = 4  # of the spectrum


class StatisticsForest(Classifier):
    """A random forest (Breiman, 2001) on statistics of each channel, the usual features of wearable sensors.

    Mean, standard deviation, minimum, maximum, quartiles, crossings of the mean per step, fraction of missing values,
    and the logarithm of the energy in bands of the spectrum; also the correlation of each channel with the next one.

    Args:
        trees: number of trees.
        largest: maximum number of training sequences, chosen at random.
    """

    spec: SequenceSpec

    def __init__(self, trees: int = 500, largest: int = 50_000) -> None:
        self.trees, self.largest = trees, largest

    def features(self, inputs: Any) -> NDArray[Any]:
        """Compute the statistics of sequences; [N, (9 + BANDS) * D + D - 1]."""
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


def rows_of(inputs: Ragged) -> Iterable[NDArray[np.float32]]:
    """Yield each sequence [T, D]."""
    return (inputs.row(number) for number in range(len(inputs)))


def statistics(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the statistics of a sequence [T, D]: see `StatisticsForest`. Those of a missing channel are 0."""
    values = values.astype(np.float64)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of channels that are always missing
        mean, std = np.nanmean(values, 0), np.nanstd(values, 0)
        quantiles = np.nanquantile(values, (0, 0.25, 0.5, 0.75, 1), axis=0)
    centred = np.nan_to_num(values - mean)
    crossings = np.diff(np.signbit(centred), axis=0).mean(0) if len(values) > 1 else np.zeros(len(mean))
    power = np.abs(np.fft.rfft(centred, axis=0)[1:]) ** 2 / len(values)
    energy = [np.log(band.sum(0) + 1e-6) for band in np.array_split(power, BANDS)]
    scale = np.maximum(np.sqrt((centred**2).mean(0)), 1e-12)
    correlation = (centred[:, :-1] * centred[:, 1:]).mean(0) / (scale[:-1] * scale[1:])
    parts = [mean, std, *quantiles, crossings, np.isnan(values).mean(0), *energy, correlation]
    found: NDArray[np.float64] = np.nan_to_num(np.concatenate(parts))
    return found
