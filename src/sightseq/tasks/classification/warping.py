"""Dynamic time warping, and the nearest neighbour by it: a baseline for sequences of any kind."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sightseq.core.baseline import Arrays
from sightseq.tasks.classification.baseline import Classifier

PAIRS = 2**19  # pairs of sequences whose distances are computed at once


class WarpingNeighbour(Classifier):
    """The label of the nearest training sequence by dynamic time warping: Sakoe and Chiba, 1978.

    All sequences are stretched to the same number of frames first, which costs no accuracy (Ratanamahatana and Keogh,
    2004: Everything you know about dynamic time warping is wrong). A subclass defines `vectors`.

    Args:
        frames: number of frames of a stretched sequence.
        band: how many frames the path may leave the diagonal.
        largest: maximum number of training sequences, chosen at random.
    """

    def __init__(self, frames: int = 40, band: int = 5, largest: int = 2000) -> None:
        self.frames, self.band, self.largest = frames, band, largest

    @abstractmethod
    def vectors(self, inputs: Any) -> Iterable[Tensor]:
        """Return the vectors to compare, [T, D] for each input."""

    def features(self, inputs: Any) -> NDArray[Any]:
        """Compute the stretched vectors of inputs; [N, frames, D]."""
        stretched = [
            F.interpolate(values.T[None], size=self.frames, mode="linear", align_corners=True)[0].T
            for values in self.vectors(inputs)
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
