"""Non-neural baselines of the classification of videos."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from sightseq.core.baseline import Arrays
from sightseq.tasks.classification.baseline import HOG, Classifier

CELLS = 8  # along each axis of a frame


class MiddleFrame(HOG):
    """`HOG`, the baseline of images, on the middle frame alone."""

    def select(self, chunk: Arrays) -> NDArray[np.uint8]:
        """Return the middle frame [N, C, H, W] of N clips, `input` [N, T, C, H, W] and `length` [N]."""
        frames: NDArray[np.uint8] = chunk["input"][np.arange(len(chunk["length"])), chunk["length"] // 2]
        return frames


class FrameStatistics(Classifier):
    """A random forest (Breiman, 2001) on statistics over the frames of 8x8 grey cells.

    Of the brightness of each cell: mean, deviation, minimum and maximum over the frames, and the mean absolute change
    from frame to frame.

    Args:
        trees: number of trees.
        largest: maximum number of training videos, chosen at random.
    """

    def __init__(self, trees: int = 300, largest: int = 20_000) -> None:
        self.trees, self.largest = trees, largest

    def select(self, chunk: Arrays) -> list[NDArray[np.uint8]]:
        """Return the frames of each clip without padding."""
        return [clip[:length] for clip, length in zip(chunk["input"], chunk["length"], strict=True)]

    def features(self, clips: Any) -> NDArray[Any]:
        """Compute the statistics of N clips of frames [T, C, H, W]; [N, 5 * 64]."""
        rows = []
        for clip in clips:
            grey = clip.mean(1, dtype=np.float32)
            cells = np.stack([cv2.resize(frame, (CELLS, CELLS), interpolation=cv2.INTER_AREA) for frame in grey])
            change = np.abs(np.diff(cells, axis=0, prepend=cells[:1]))
            parts = [cells.mean(0), cells.std(0), cells.min(0), cells.max(0), change.mean(0)]
            rows.append(np.concatenate([part.ravel() for part in parts]))
        return np.stack(rows)

    def fit(self, train: Arrays) -> None:
        rows = np.random.default_rng(0).permutation(len(train["target"]))[: self.largest]
        forest = RandomForestClassifier(self.trees, random_state=0, n_jobs=-1)
        self.model = forest.fit(train["input"][rows], train["target"][rows])

    def predict(self, batch: Arrays) -> NDArray[Any]:
        labels: NDArray[Any] = self.model.predict(batch["input"])
        return labels
