"""Non-neural baselines of the classification of sounds, on mel-frequency cepstral coefficients (MFCC)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from sightseq.audio.features import MFCC
from sightseq.audio.spec import AudioSpec
from sightseq.core.arrays import Ragged
from sightseq.core.baseline import Arrays
from sightseq.tasks.classification.baseline import Classifier
from sightseq.tasks.classification.warping import WarpingNeighbour

BATCH = 64  # sounds whose coefficients are computed at once


def cepstra(sounds: Ragged, rate: int, count: int) -> Iterator[Tensor]:
    """Yield the first `count` cepstral coefficients of each sound [T, count]."""
    transform = MFCC(rate, count).eval()
    for start in range(0, len(sounds), BATCH):
        waves, lengths = sounds.padded(np.arange(start, min(start + BATCH, len(sounds))))
        with torch.inference_mode():
            features, frames = transform(torch.from_numpy(waves), torch.from_numpy(lengths))
        yield from (row[0, :, :length].T for row, length in zip(features, frames.tolist(), strict=True))


class CepstrumSVM(Classifier):
    """A support-vector machine with a radial kernel on mean and deviation of the MFCC and of their differences.

    Args:
        C: penalty of a training error.
        n_mfcc: number of coefficients.
        largest: maximum number of training sounds, chosen at random; training time grows with its square.
    """

    spec: AudioSpec

    def __init__(self, C: float = 10.0, n_mfcc: int = 20, largest: int = 20_000) -> None:  # noqa: N803 (scikit-learn's name)
        self.C, self.n_mfcc, self.largest = C, n_mfcc, largest

    def features(self, inputs: Any) -> NDArray[Any]:
        """Compute the statistics of sounds; [N, 4 * n_mfcc]."""
        rows = []
        for values in cepstra(inputs, self.spec.rate, self.n_mfcc):
            changes = values.diff(dim=0, prepend=values[:1])
            rows.append(torch.cat([f for x in (values, changes) for f in (x.mean(0), x.std(0, correction=0))]))
        return torch.stack(rows).numpy()

    def fit(self, train: Arrays) -> None:
        rows = np.random.default_rng(0).permutation(len(train["target"]))[: self.largest]
        model = make_pipeline(StandardScaler(), SVC(C=self.C, gamma="scale", cache_size=1000))
        self.model = model.fit(train["input"][rows], train["target"][rows])

    def predict(self, batch: Arrays) -> NDArray[Any]:
        labels: NDArray[Any] = self.model.predict(batch["input"])
        return labels


class NearestByWarping(WarpingNeighbour):
    """The label of the nearest training sound by dynamic time warping of MFCC: see `WarpingNeighbour`.

    Args:
        n_mfcc: number of coefficients.
        neighbour: see `WarpingNeighbour`.
    """

    spec: AudioSpec

    def __init__(self, n_mfcc: int = 13, **neighbour: Any) -> None:
        super().__init__(**neighbour)
        self.n_mfcc = n_mfcc

    def vectors(self, inputs: Any) -> Iterator[Tensor]:
        """Yield the coefficients of each sound, without their mean."""
        return (values - values.mean(0) for values in cepstra(inputs, self.spec.rate, self.n_mfcc))
