"""Baselines of anomaly detection without a neural network: each gives every window an error."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from sightseq.core.baseline import Arrays, Baseline
from sightseq.series.sequence_spec import SequenceSpec
from sightseq.series.statistics import rows_of, statistics
from sightseq.tasks.anomaly.scores import event_f1, ranking_scores, unusual


class Detector(Baseline):
    """Base of the detectors. They are fitted to normal windows only: see `AnomalyTask`.

    Args:
        quantile: of the errors of these windows; gives the threshold of events.
    """

    spec: SequenceSpec

    def __init__(self, quantile: float = 0.99) -> None:
        self.quantile = quantile

    def features(self, inputs: Any) -> NDArray[Any]:
        """Return the statistics of the channels of each window."""
        return np.stack([statistics(row) for row in rows_of(inputs)])

    def fit(self, train: Arrays) -> None:
        normal = train["input"][~self._unusual(train)]
        self.learn(normal)
        self.threshold = float(np.quantile(self.errors(normal), self.quantile))

    @abstractmethod
    def learn(self, normal: NDArray[Any]) -> None:
        """Fit to the features of normal windows [N, F]."""

    @abstractmethod
    def errors(self, features: NDArray[Any]) -> NDArray[Any]:
        """Return how unusual windows are [N]."""

    def predict(self, batch: Arrays) -> NDArray[Any]:
        return self.errors(batch["input"])

    def score(self, batch: Arrays) -> dict[str, float]:
        error, anomaly = self.predict(batch), self._unusual(batch)
        event = event_f1(error, anomaly, batch["recording"], self.threshold)
        return {**ranking_scores(error, anomaly), "event_f1": event}

    def _unusual(self, arrays: Arrays) -> NDArray[np.bool_]:
        anomalies: NDArray[np.bool_] = np.array(unusual(self.spec))[arrays["target"]]
        return anomalies


class ZScores(Detector):
    """The mean squared z-score of the statistics of the channels."""

    def learn(self, normal: NDArray[Any]) -> None:
        self.mean, self.std = normal.mean(0), np.maximum(normal.std(0), 1e-6)

    def errors(self, features: NDArray[Any]) -> NDArray[Any]:
        squares: NDArray[Any] = (((features - self.mean) / self.std) ** 2).mean(1)
        return squares


class Isolation(Detector):
    """An isolation forest (Liu et al., 2008) on the statistics of the channels.

    Args:
        trees: number of trees.
        detector: see `Detector`.
    """

    def __init__(self, trees: int = 200, **detector: Any) -> None:
        super().__init__(**detector)
        self.trees = trees

    def learn(self, normal: NDArray[Any]) -> None:
        self.forest = IsolationForest(n_estimators=self.trees, random_state=0).fit(normal)

    def errors(self, features: NDArray[Any]) -> NDArray[Any]:
        scores: NDArray[Any] = -self.forest.score_samples(features)
        return scores


class PrincipalComponents(Detector):
    """The squared error of the reconstruction of a whole window from its principal components.

    Args:
        components: at most so many.
        detector: see `Detector`.
    """

    def __init__(self, components: int = 16, **detector: Any) -> None:
        super().__init__(**detector)
        self.components = components

    def features(self, inputs: Any) -> NDArray[Any]:
        """Return the standardised values of each window as one vector [T D]; 0, the mean, where one is missing."""
        found = np.zeros((len(inputs), self.spec.steps, len(self.spec.channels)))
        for place, row in zip(found, rows_of(inputs), strict=True):
            place[: len(row)] = np.nan_to_num((row - np.array(self.spec.mean)) / np.array(self.spec.std))
        return found.reshape(len(found), -1)

    def learn(self, normal: NDArray[Any]) -> None:
        self.pca = PCA(min(self.components, *normal.shape), random_state=0).fit(normal)

    def errors(self, features: NDArray[Any]) -> NDArray[Any]:
        rebuilt = self.pca.inverse_transform(self.pca.transform(features))
        squares: NDArray[Any] = ((features - rebuilt) ** 2).mean(1)
        return squares
