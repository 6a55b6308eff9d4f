"""What a classifier of texts must beat."""

from typing import Any

from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sightseq.baselines.classification import Classifier
from sightseq.core.baseline import Arrays


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
