"""What a classifier must beat: on the raw inputs, without a network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sightseq.core.baseline import Arrays, Baseline


class Classifier(Baseline):
    """A baseline that answers with a label for each row [N]."""

    def score(self, batch: Arrays) -> dict[str, float]:
        """Accuracy, and precision, recall and F1 averaged over the classes."""
        true, guess = batch["target"], self.predict(batch)
        macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
        return {
            "accuracy": float(accuracy_score(true, guess)),
            "precision": float(precision_score(true, guess, **macro)),
            "recall": float(recall_score(true, guess, **macro)),
            "f1": float(f1_score(true, guess, **macro)),
        }


class Majority(Classifier):
    """Always the most frequent label of the training split."""

    def fit(self, train: Arrays) -> None:
        self.label = np.bincount(train["target"]).argmax()

    def predict(self, batch: Arrays) -> NDArray[Any]:
        return np.full(len(batch["input"]), self.label)


class SVM(Classifier):
    """A support-vector machine with a radial kernel on the pixels (Cortes and Vapnik, 1995).

    Args:
        C: the penalty of a training error.
        components: principal components it looks at; fewer are faster, None takes all pixels.
        largest: it learns from a random choice of so many images, since its time grows with their square.
    """

    def __init__(self, C: float = 10.0, components: int | None = 50, largest: int = 60_000) -> None:  # noqa: N803 (scikit-learn's name)
        self.C, self.components, self.largest = C, components, largest

    def fit(self, train: Arrays) -> None:
        x, y = train["input"].reshape(len(train["input"]), -1) / 255, train["target"]
        rows = np.random.default_rng(0).permutation(len(x))[: self.largest]
        steps: list[Any] = [SVC(C=self.C, gamma="scale", cache_size=1000)]
        if self.components and self.components < x.shape[1]:
            steps.insert(0, PCA(self.components, whiten=False, random_state=0))
        self.model = make_pipeline(*steps).fit(x[rows], y[rows])

    def predict(self, batch: Arrays) -> NDArray[Any]:
        labels: NDArray[Any] = self.model.predict(batch["input"].reshape(len(batch["input"]), -1) / 255)
        return labels
