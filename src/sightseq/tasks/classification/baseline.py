"""Non-neural baselines of classification, on the raw inputs."""

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
    """Base of the baselines that predict one label for each row; [N]."""

    def score(self, batch: Arrays) -> dict[str, float]:
        """Return the accuracy, and precision, recall and F1 averaged over the classes (macro)."""
        true, guess = batch["target"], self.predict(batch)
        macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
        return {
            "accuracy": float(accuracy_score(true, guess)),
            "precision": float(precision_score(true, guess, **macro)),
            "recall": float(recall_score(true, guess, **macro)),
            "f1": float(f1_score(true, guess, **macro)),
        }


class Majority(Classifier):
    """Always predict the most frequent label of the training split."""

    def features(self, inputs: Any) -> NDArray[Any]:
        """Return [N, 0]: the inputs are not used."""
        return np.empty((len(inputs), 0))

    def fit(self, train: Arrays) -> None:
        self.label = np.bincount(train["target"]).argmax()

    def predict(self, batch: Arrays) -> NDArray[Any]:
        return np.full(len(batch["input"]), self.label)


class SVM(Classifier):
    """A support-vector machine with a radial kernel on the pixels (Cortes and Vapnik, 1995).

    Args:
        C: penalty of a training error.
        components: principal components used as input; fewer are faster, None uses all pixels.
        largest: maximum number of training images, chosen at random; training time grows with its square.
    """

    def __init__(self, C: float = 10.0, components: int | None = 50, largest: int = 60_000) -> None:  # noqa: N803 (scikit-learn's name)
        self.C, self.components, self.largest = C, components, largest

    def features(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Scale images [N, C, H, W] to 0..1 and flatten them; [N, C * H * W]."""
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
        C, components, largest: see `SVM`; the principal components are those of the histograms.
    """

    def __init__(self, C: float = 10.0, components: int | None = 200, largest: int = 60_000) -> None:  # noqa: N803 (scikit-learn's name)
        super().__init__(C, components, largest)

    def features(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Compute the histograms of images [N, C, H, W]; [N, 1764]."""
        import cv2  # a slow import that the other baselines do not need

        # Blocks of 2x2 cells of 8x8 pixels, 9 orientations: 7 * 7 * 4 * 9 = 1764 values per image.
        describe = cv2.HOGDescriptor((64, 64), (16, 16), (8, 8), (8, 8), 9)
        grey = (image.mean(0).astype(np.uint8) for image in images)
        return np.stack([describe.compute(cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)) for image in grey])


class TfIdf(Classifier):
    """Logistic regression on TF-IDF weights of the words of a text and of their n-grams.

    Args:
        C: inverse of the L2 regularisation strength.
        max_ngram: length of the longest n-gram, in words; 2 for pairs.
        min_df: number of texts in which an n-gram must occur to be used.
    """

    def __init__(self, C: float = 10.0, max_ngram: int = 2, min_df: int = 2) -> None:  # noqa: N803 (scikit-learn's name)
        self.C, self.max_ngram, self.min_df = C, max_ngram, min_df

    def fit(self, train: Arrays) -> None:
        # The pattern keeps single letters and punctuation. Sublinear: the tenth "good" adds less than the first.
        words = TfidfVectorizer(
            ngram_range=(1, self.max_ngram), min_df=self.min_df, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"
        )
        self.model = make_pipeline(words, LogisticRegression(C=self.C, max_iter=1000)).fit(
            train["input"], train["target"]
        )

    def predict(self, batch: Arrays) -> NDArray[Any]:
        labels: NDArray[Any] = self.model.predict(batch["input"])
        return labels
