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
from torch.nn import functional as F

from sightseq.audio.features import MFCC
from sightseq.audio.spec import AudioSpec
from sightseq.core.arrays import Ragged
from sightseq.core.baseline import Arrays
from sightseq.tasks.classification.baseline import Classifier

BATCH = 64  # sounds whose coefficients are computed at once
PAIRS = 2**19  # pairs of sounds whose distances are computed at once


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


class NearestByWarping(Classifier):
    """The label of the nearest training sound by dynamic time warping of MFCC: Sakoe and Chiba, 1978.

    All sounds are stretched to the same number of frames first, which costs no accuracy (Ratanamahatana and Keogh,
    2004: Everything you know about dynamic time warping is wrong). The mean of each coefficient over a sound is
    removed.

    Args:
        frames: number of frames of a stretched sound.
        band: how many frames the path may leave the diagonal.
        n_mfcc: number of coefficients.
        largest: maximum number of training sounds, chosen at random.
    """

    spec: AudioSpec

    def __init__(self, frames: int = 40, band: int = 5, n_mfcc: int = 13, largest: int = 2000) -> None:
        self.frames, self.band, self.n_mfcc, self.largest = frames, band, n_mfcc, largest

    def features(self, inputs: Any) -> NDArray[Any]:
        """Compute the stretched coefficients of sounds; [N, frames, n_mfcc]."""
        stretched = [
            F.interpolate((values - values.mean(0)).T[None], size=self.frames, mode="linear", align_corners=True)[0].T
            for values in cepstra(inputs, self.spec.rate, self.n_mfcc)
        ]
        return torch.stack(stretched).numpy()

    def fit(self, train: Arrays) -> None:
        rows = np.random.default_rng(0).permutation(len(train["target"]))[: self.largest]
        self.known, self.labels = torch.from_numpy(train["input"][rows]), train["target"][rows]

    def predict(self, batch: Arrays) -> NDArray[Any]:
        parts = torch.split(torch.from_numpy(batch["input"]), max(1, PAIRS // len(self.known)))
        nearest = [warping_distances(part, self.known, self.band).argmin(1) for part in parts]
        labels: NDArray[Any] = self.labels[torch.cat(nearest).numpy()]
        return labels


def warping_distances(one: Tensor, other: Tensor, band: int) -> Tensor:
    """Compute the dynamic-time-warping distance of each pair of two sets of sequences.

    A path goes from the first to the last frame of both, in steps of one frame in either or both; the distance is the
    smallest sum of Euclidean distances along a path.

    Args:
        one: sequences [N, T, D].
        other: sequences [M, T, D].
        band: how many frames the path may leave the diagonal.

    Returns:
        [N, M].
    """
    frames = one.shape[1]
    beyond = torch.full((len(one), len(other)), torch.inf)
    previous: dict[int, Tensor] = {-1: torch.zeros_like(beyond)}  # costs that end at (i - 1, j), by j
    for i in range(frames):
        current: dict[int, Tensor] = {}
        for j in range(max(0, i - band), min(frames, i + band + 1)):
            best = torch.minimum(previous.get(j, beyond), previous.get(j - 1, beyond))
            best = torch.minimum(best, current.get(j - 1, beyond))
            current[j] = best + torch.cdist(one[:, i], other[:, j])
        previous = current
    return previous[frames - 1]
