"""Non-neural baselines of recognition: transcripts of speech and of lines of writing."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sightseq.core.arrays import ArrayDataset
from sightseq.core.baseline import Arrays, Baseline
from sightseq.text.edits import edit_distance, error_rate, text_statistics

CANDIDATES, OTHERS = 100, 300  # transcripts that are compared where all would be too many
INK = 64  # grey levels above the paper, from which on a pixel is ink
GLYPH = 16  # pixels a side of a glyph
COMPONENTS = 50  # principal components of the glyphs
WIDE = 1.5  # widths of a typical glyph, from which on a piece is several glyphs


class TranscriptBaseline(Baseline):
    """Base of the baselines that predict a transcript for each input; [N] strings."""

    def inputs(self, dataset: ArrayDataset) -> NDArray[Any]:
        """Return what a split is predicted from, [N, ...]; by default nothing."""
        return np.zeros((len(dataset), 0))

    def read(self, dataset: ArrayDataset) -> Arrays:
        """Return the inputs and the transcripts of a split."""
        return {"input": self.inputs(dataset), "target": dataset.arrays["target"][dataset.rows]}

    def score(self, batch: Arrays) -> dict[str, float]:
        """Return character and word error rate, and the fraction of exact matches: see `text.edits`."""
        statistics = text_statistics(self.predict(batch).tolist(), batch["target"].tolist())
        return {
            "cer": error_rate(statistics["characters"]),
            "wer": error_rate(statistics["words"]),
            "exact": float(statistics["exact"].float().mean()),
        }


class FrequentTranscript(TranscriptBaseline):
    """The most frequent training transcript; of several, the one nearest to the others.

    The nearest has the fewest edits of characters to 300 training transcripts, of at most 100 that are compared.
    """

    def fit(self, train: Arrays) -> None:
        counts = Counter(train["target"].tolist())
        most = max(counts.values())
        candidates = some(sorted(text for text, count in counts.items() if count == most), CANDIDATES)
        others = some(train["target"].tolist(), OTHERS)
        if len(candidates) > 1:
            candidates.sort(key=lambda text: sum(edit_distance(text, other) for other in others))
        self.text = candidates[0]

    def predict(self, batch: Arrays) -> NDArray[Any]:
        return np.full(len(batch["input"]), self.text, object)


class GlyphSVM(TranscriptBaseline):
    """Lines of writing, cut at columns without ink; a support-vector machine names each piece.

    It is trained on the lines that have as many pieces as characters. A piece wider than 1.5 times a typical glyph is
    cut into equal parts; a gap as wide as those between words becomes a space. Joined writing cannot be read like this:
    if no training line can be used, all are cut into equal parts, one for each character.

    Args:
        C: penalty of a training error.
        largest: maximum number of training glyphs, chosen at random; training time grows with its square.
    """

    def __init__(self, C: float = 10.0, largest: int = 10_000) -> None:  # noqa: N803 (scikit-learn's name)
        self.C, self.largest = C, largest

    def inputs(self, dataset: ArrayDataset) -> NDArray[Any]:
        """Return the images of a split, [N] arrays uint8 [H, W]."""
        images = np.empty(len(dataset), object)
        for number, row in enumerate(dataset.rows):
            images[number] = dataset.arrays["input"].row(row)[:, :, 0].T
        return images

    def fit(self, train: Arrays) -> None:
        lines = [(image, pieces_of(image), text) for image, text in zip(train["input"], train["target"], strict=True)]
        used = [(image, cuts, text) for image, cuts, text in lines if len(cuts) == len(text.replace(" ", ""))]
        labels = "".join(text.replace(" ", "") for _, _, text in used)
        if len(set(labels)) < 2:
            used = [
                (image, equal_parts(0, image.shape[1], len(text.replace(" ", ""))), text) for image, _, text in lines
            ]
            labels = "".join(text.replace(" ", "") for _, _, text in used)
        self.width = float(np.median([end - start for _, cuts, _ in used for start, end in cuts]))
        self.gap = space_width([(cuts, text) for _, cuts, text in used])
        glyphs = np.concatenate([draw_glyphs(image, cuts) for image, cuts, _ in used])
        rows = np.random.default_rng(0).permutation(len(glyphs))[: self.largest]
        steps: list[Any] = [SVC(C=self.C, gamma="scale", cache_size=1000)]
        if min(len(rows), glyphs.shape[1]) > COMPONENTS:
            steps.insert(0, PCA(COMPONENTS, random_state=0))
        self.only = labels[0] if len(set(labels)) == 1 else None
        if self.only is None:
            self.model = make_pipeline(*steps).fit(glyphs[rows], np.array(list(labels))[rows])

    def predict(self, batch: Arrays) -> NDArray[Any]:
        lines = [self._cut(image) for image in batch["input"]]
        glyphs = [draw_glyphs(image, cuts) for image, (cuts, _) in zip(batch["input"], lines, strict=True) if cuts]
        found = self.model.predict(np.concatenate(glyphs)) if glyphs and self.only is None else None
        texts, place = [], 0
        for cuts, spaces in lines:
            letters = [self.only] * len(cuts) if found is None else found[place : place + len(cuts)].tolist()
            texts.append("".join(" " * space + letter for space, letter in zip(spaces, letters, strict=True)))
            place += len(cuts)
        return np.array(texts, object)

    def _cut(self, image: NDArray[np.uint8]) -> tuple[list[tuple[int, int]], list[bool]]:
        """Return the columns of each glyph of a line, and whether a space is before it."""
        cuts: list[tuple[int, int]] = []
        spaces: list[bool] = []
        for start, end in pieces_of(image):
            spaces.append(bool(cuts) and start - cuts[-1][1] >= self.gap)
            count = round((end - start) / self.width) if end - start > WIDE * self.width else 1
            parts = equal_parts(start, end, count)
            cuts += parts
            spaces += [False] * (len(parts) - 1)
        return cuts, spaces


def pieces_of(image: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the first and the last column (exclusive) of each run of columns with ink, of an image [H, W]."""
    ink = np.concatenate([[False], image.max(0, initial=0) >= INK, [False]])
    edges = np.flatnonzero(ink[1:] != ink[:-1])
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def equal_parts(start: int, end: int, count: int) -> list[tuple[int, int]]:
    """Return `count` neighbouring ranges of about equal width, at least one column each, that cover start to end."""
    edges = np.linspace(start, end, count + 1).round().astype(int)
    starts = edges[:-1].clip(max=end - 1)
    return [(int(a), max(int(b), int(a) + 1)) for a, b in zip(starts, edges[1:], strict=True)]


def space_width(lines: Sequence[tuple[list[tuple[int, int]], str]]) -> float:
    """Return the smallest gap in columns that is a space: between the medians of gaps in words and between words.

    Args:
        lines: pieces of each line, one for each character that is no space, and its text.
    """
    gaps: dict[bool, list[int]] = {True: [], False: []}
    for cuts, text in lines:
        after_space = [text[place - 1] == " " for place, letter in enumerate(text) if letter != " " and place]
        between = [second[0] - first[1] for first, second in pairwise(cuts)]
        for gap, is_space in zip(between, after_space[-len(between) :] if between else [], strict=True):
            gaps[is_space].append(gap)
    if not gaps[True]:
        return float("inf")
    return float(np.median(gaps[True]) + (np.median(gaps[False]) if gaps[False] else 0)) / 2


def draw_glyphs(image: NDArray[np.uint8], cuts: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """Return pieces of an image [H, W] as glyphs in 0..1, [len(cuts), GLYPH * GLYPH].

    They are scaled to the height of a glyph, and centred, or compressed if they are wider.
    """
    glyphs = np.zeros((len(cuts), GLYPH, GLYPH), np.float32)
    for glyph, (start, end) in zip(glyphs, cuts, strict=True):
        width = min(max(round((end - start) * GLYPH / len(image)), 1), GLYPH)
        small = Image.fromarray(np.ascontiguousarray(image[:, start:end])).resize((width, GLYPH), Image.Resampling.BOX)
        left = (GLYPH - width) // 2
        glyph[:, left : left + width] = np.asarray(small) / 255
    return glyphs.reshape(len(cuts), -1)


def some(texts: list[str], count: int) -> list[str]:
    """Return at most `count` texts, evenly spaced."""
    return [texts[place] for place in np.linspace(0, len(texts) - 1, min(count, len(texts))).astype(int)]
