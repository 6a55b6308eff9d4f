"""The baseline that the network must beat."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.baseline import Arrays, Baseline


class Brightness(Baseline):
    """Linear regression from the mean brightness of an image to its count."""

    def features(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return the mean brightness of images [N, 1, H, W]; [N]."""
        return images.mean((1, 2, 3))

    def fit(self, train: Arrays) -> None:
        """Fit the line by least squares."""
        self.line = np.polyfit(train["input"], train["target"], 1)

    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return the counts [N]."""
        counts: NDArray[Any] = np.polyval(self.line, batch["input"])
        return counts

    def score(self, batch: Arrays) -> dict[str, float]:
        """Return the mean absolute error."""
        return {"mae": float(np.abs(self.predict(batch) - batch["target"]).mean())}
