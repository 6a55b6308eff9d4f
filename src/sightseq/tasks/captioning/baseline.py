"""Non-neural baselines of captioning: captions of training images."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from sightseq.core.arrays import ArrayDataset
from sightseq.core.baseline import CHUNK, Arrays, Baseline, concatenate
from sightseq.core.errors import ConfigError
from sightseq.text.caption_scores import caption_scores
from sightseq.text.consensus import CiderD
from sightseq.text.ptb import ptb_tokens

THUMBNAIL = 16  # pixels a side
SOME = 1000  # captions that are compared where all would be too many
QUERIES = 256  # images whose distances to all training images are computed at a time


class CaptionBaseline(Baseline):
    """Base of the baselines that predict a caption for each image, [N] strings, tokenised (see `text.ptb`).

    A split has `input` [N, D], a description of each image, and `captions` [N], all its captions as lines.

    Attributes:
        training: all captions of the training split.
        texts: the captions that were scored last.
    """

    training: frozenset[str] | None = None
    texts: list[str]

    def describe(self, images: Arrays) -> NDArray[np.float32]:
        """Return a description of each stored image [N, D]; by default empty."""
        return np.zeros((len(images["captions"]), 0), np.float32)

    def read(self, dataset: ArrayDataset) -> Arrays:
        """Return the descriptions and the captions of all images of a split."""
        chunks = [(self.describe(chunk), normalised(chunk["captions"])) for chunk in dataset.chunks(CHUNK)]
        names = ("input", "captions")
        return {name: concatenate(parts) for name, parts in zip(names, zip(*chunks, strict=True), strict=True)}

    def fit(self, train: Arrays) -> None:
        """Fit to the captions; the first split is the training split, the second one also has the validation split."""
        captions = [caption.split("\n") for caption in train["captions"]]
        if self.training is None:
            self.training = frozenset(caption for several in captions for caption in several)
        self.fit_captions(train["input"], captions)

    @abstractmethod
    def fit_captions(self, images: NDArray[np.float32], captions: list[list[str]]) -> None:
        """Fit to the descriptions of N images [N, D] and the captions of each."""

    def score(self, batch: Arrays) -> dict[str, float]:
        """Return the scores of the predicted captions: see `text.caption_scores`."""
        self.texts = self.predict(batch).tolist()
        return caption_scores(self.texts, [caption.split("\n") for caption in batch["captions"]])


class FrequentCaption(CaptionBaseline):
    """The most frequent training caption; of several, the one with the highest consensus with all captions.

    The consensus is the mean CIDEr-D with 1,000 captions.
    """

    def fit_captions(self, images: NDArray[np.float32], captions: list[list[str]]) -> None:
        counts: dict[str, int] = {}
        for caption in (one for several in captions for one in several):
            counts[caption] = counts.get(caption, 0) + 1
        most = max(counts.values())
        candidates = some([caption for caption, count in counts.items() if count == most])
        others = some([one for several in captions for one in several])
        vectors = CiderD(captions).vectors([*candidates, *others])
        consensus = vectors[: len(candidates)].similarity(vectors[len(candidates) :]).mean(1)
        self.caption = candidates[int(consensus.argmax())]

    def predict(self, batch: Arrays) -> NDArray[Any]:
        return np.full(len(batch["input"]), self.caption, object)


class NearestImage(CaptionBaseline):
    """A caption of the nearest training images.

    Images are compared by the mean of their `features` over all positions, normalised to length 1 (their distance then
    ranks images like the cosine similarity); without `features`, by thumbnails of 16x16 pixels.

    Args:
        neighbours: number of nearest images.
        consensus: predict the caption, of all those of the neighbours, with the highest mean CIDEr-D with the others
            (Devlin et al., 2015, arXiv 1505.04467). False: the first caption of the nearest image.
    """

    def __init__(self, neighbours: int = 50, consensus: bool = True) -> None:
        if neighbours < 1:
            raise ConfigError(f"baseline: neighbours={neighbours} must be at least 1")
        self.neighbours, self.consensus = neighbours, consensus

    def describe(self, images: Arrays) -> NDArray[np.float32]:
        """Return the mean features, or the thumbnails [N, D]."""
        if "features" in images:
            return np.stack([unit(views[0].mean(0, dtype=np.float32)) for views in images["features"]])
        pixels = torch.from_numpy(np.asarray(images["input"])).float() / 255
        return F.adaptive_avg_pool2d(pixels, THUMBNAIL).flatten(1).numpy()

    def fit_captions(self, images: NDArray[np.float32], captions: list[list[str]]) -> None:
        self.images = images
        self.ends = np.cumsum([len(several) for several in captions])
        self.starts = np.concatenate([[0], self.ends[:-1]])
        self.flat: list[str] = [one for several in captions for one in several]
        self.vectors = CiderD(captions).vectors(self.flat) if self.consensus else None

    def predict(self, batch: Arrays) -> NDArray[Any]:
        starts = range(0, len(batch["input"]), QUERIES)
        nearest = np.concatenate([self._nearest(batch["input"][start : start + QUERIES]) for start in starts])
        return np.array([self._choose(images) for images in nearest], object)

    def _nearest(self, images: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the nearest training images of each image [N, K], the nearest first."""
        distances = np.square(self.images).sum(1) - 2 * images @ self.images.T  # but for a constant of each row
        count = min(self.neighbours, len(self.images))
        return np.argsort(distances, axis=1, kind="stable")[:, :count]

    def _choose(self, images: NDArray[np.int64]) -> str:
        """Return a caption of these training images."""
        if self.vectors is None:
            return self.flat[int(self.starts[images[0]])]
        rows = np.concatenate([np.arange(self.starts[image], self.ends[image]) for image in images])
        vectors = self.vectors[rows]
        similarity = vectors.similarity(vectors)
        np.fill_diagonal(similarity, 0)
        return self.flat[int(rows[similarity.mean(1).argmax()])]


def normalised(captions: NDArray[Any]) -> NDArray[Any]:
    """Return the captions [N], each several lines, as Penn Treebank tokens."""
    return np.array(["\n".join(map(ptb_tokens, lines.split("\n"))) for lines in captions], object)


def some(texts: list[str]) -> list[str]:
    """Return at most `SOME` texts, evenly spaced."""
    return [texts[place] for place in np.linspace(0, len(texts) - 1, min(SOME, len(texts))).astype(int)]


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a vector of length 1, or of length 0 if it is 0."""
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
