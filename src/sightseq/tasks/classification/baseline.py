"""What a classifier must beat: on the raw inputs, without a network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
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

    def features(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """[N, C, H, W] to numbers in 0..1 [N, C * H * W]."""
        return images.reshape(len(images), -1) / 255

    def fit(self, train: Arrays) -> None:
        rows = np.random.default_rng(0).permutation(len(train["target"]))[: self.largest]
        x, y = train["input"][rows], train["target"][rows]
        steps: list[Any] = [SVC(C=self.C, gamma="scale", cache_size=1000)]
        if self.components and self.components < min(x.shape):
            steps.insert(0, PCA(self.components, whiten=False, random_state=0))
        self.model = make_pipeline(*steps).fit(x, y)

    def predict(self, batch: Arrays) -> NDArray[Any]:
        labels: NDArray[Any] = self.model.predict(batch["input"])
        return labels


class HOG(SVM):
    """A support-vector machine on histograms of oriented gradients (Dalal and Triggs, 2005) of 64x64 grey pixels.

    Args:
        C, components, largest: see `SVM`; the components are those of the histograms.
    """

    def __init__(self, C: float = 10.0, components: int | None = 200, largest: int = 60_000) -> None:  # noqa: N803 (scikit-learn's name)
        super().__init__(C, components, largest)

    def features(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """[N, C, H, W] to [N, 1764]."""
        import cv2  # only where photographs are, for it takes a while

        # Blocks of 2x2 cells of 8x8 pixels, 9 directions: 7 * 7 * 4 * 9 = 1764 numbers an image.
        describe = cv2.HOGDescriptor((64, 64), (16, 16), (8, 8), (8, 8), 9)
        grey = (image.mean(0).astype(np.uint8) for image in images)
        return np.stack([describe.compute(cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)) for image in grey])


class TfIdf(Classifier):
    """Logistic regression on the words of a text and their pairs, rare ones weighing more (TF-IDF).

    Args:
        C: the inverse of the penalty on large weights.
        max_ngram: longest run of words that is counted; 2 for pairs.
        min_df: in how many texts a run must be to count.
    """

    def __init__(self, C: float = 10.0, max_ngram: int = 2, min_df: int = 2) -> None:  # noqa: N803 (scikit-learn's name)
        self.C, self.max_ngram, self.min_df = C, max_ngram, min_df

    def fit(self, train: Arrays) -> None:
        # "not", "no" and single letters are words too; sublinear: the tenth "good" says less than the first.
        words = TfidfVectorizer(
            ngram_range=(1, self.max_ngram), min_df=self.min_df, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"
        )
        self.model = make_pipeline(words, LogisticRegression(C=self.C, max_iter=1000)).fit(
            train["input"], train["target"]
        )

    def predict(self, batch: Arrays) -> NDArray[Any]:
        labels: NDArray[Any] = self.model.predict(batch["input"])
        return labels
