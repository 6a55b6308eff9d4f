"""Non-neural baselines of piano rolls."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import ArrayDataset
from sightseq.core.baseline import Arrays, Baseline
from sightseq.music.piece import Piece
from sightseq.music.roll import from_roll
from sightseq.music.spec import RollSpec

PIECES = 100  # that are read at a time
HELD_OUT = 10  # one tenth of the training pieces is held out to fit the weight of each order
ROUNDS = 30  # of expectation maximisation
START = b"\xff"  # each byte of the frame that stands before the first one of a piece


class RollBaseline(Baseline):
    """Base of the baselines that predict the next frame.

    A split has `input` uint8 [N, K], the frame before each of N frames (zeros at the start of a piece), `target` uint8
    [N, K], the frames, and `start` bool [N], true for the first frame of a piece.

    Attributes:
        training: the split that was fitted first, which is the training split.
    """

    most: ClassVar[float] = 2_000_000
    spec: RollSpec
    training: Arrays | None = None

    def read(self, dataset: ArrayDataset) -> Arrays:
        """Return the frames of all pieces, one piece after another."""
        targets, starts, count = [], [], 0
        for chunk in dataset.chunks(PIECES):
            rolls = chunk["target"]
            start = np.zeros(len(rolls.values), bool)
            start[rolls.ends - rolls.lengths] = True
            targets.append(rolls.values)
            starts.append(start)
            count += len(start)
            if count >= self.most:
                break
        target, start = np.concatenate(targets), np.concatenate(starts)
        before = np.concatenate([target[:1] * 0, target[:-1]])
        before[start] = 0
        return {"input": before, "target": target, "start": start}

    def fit(self, train: Arrays) -> None:
        """Fit to the frames; keep the first split."""
        if self.training is None:
            self.training = train
        self.fit_frames(train)

    def training_pieces(self, most: int) -> Sequence[Piece]:
        """Return the first training pieces, at most `most`."""
        if self.training is None:
            return []
        rolls = np.split(self.training["target"], np.flatnonzero(self.training["start"])[1:])
        return [from_roll(roll, self.spec.step, self.spec.tempo) for roll in rolls[:most]]

    @abstractmethod
    def fit_frames(self, train: Arrays) -> None:
        """Fit to the frames of a split."""

    @abstractmethod
    def log_probabilities(self, batch: Arrays) -> NDArray[np.float64]:
        """Return the natural logarithm of the probability of each frame [N], given those before it."""

    def score(self, batch: Arrays) -> dict[str, float]:
        """Return the negative log-likelihood in nats per frame, also as the loss, and the accuracy."""
        nll = float(-self.log_probabilities(batch).mean())
        predicted, true = self.predict(batch) > 0.5, batch["target"] > 0
        accuracy = float((predicted & true).sum() / max((predicted | true).sum(), 1))
        return {"loss": nll, "nll": nll, "accuracy": accuracy}


class KeyBaseline(RollBaseline):
    """Base of the baselines whose keys are independent; `predict` returns their probabilities [N, K]."""

    def log_probabilities(self, batch: Arrays) -> NDArray[np.float64]:
        chance = self.predict(batch)
        log_chance: NDArray[np.float64] = np.log(np.where(batch["target"] > 0, chance, 1 - chance)).sum(1)
        return log_chance


class Marginals(KeyBaseline):
    """How often each key sounds in the training frames (plus one frame with it and one without it)."""

    def fit_frames(self, train: Arrays) -> None:
        self.chance = rate(train["target"])

    def predict(self, batch: Arrays) -> NDArray[Any]:
        return np.broadcast_to(self.chance, batch["input"].shape)


class RepeatFrame(KeyBaseline):
    """Each key stays as it is in the frame before: how often it does so in the training frames."""

    def fit_frames(self, train: Arrays) -> None:
        before = train["input"] > 0
        self.begins, self.stays = (rate(train["target"], read) for read in (~before, before))

    def predict(self, batch: Arrays) -> NDArray[Any]:
        return np.where(batch["input"] > 0, self.stays, self.begins)


class MarkovFrames(RollBaseline):
    """Markov model over whole frames: the relative frequency of a frame after the last `order` frames, interpolated
    with those of all lower orders (Jelinek and Mercer, 1980) and with `RepeatFrame`, which also knows unseen frames.

    It predicts the most frequent frame after the longest context that occurs in the training pieces; after an unknown
    frame, that frame again.

    Args:
        order: number of frames of the context, at least 1.
    """

    def __init__(self, order: int = 2) -> None:
        if order < 1:
            raise ValueError(f"order={order} must be at least 1")
        self.order, self.keys = order, RepeatFrame()

    def fit_frames(self, train: Arrays) -> None:
        piece = train["start"].cumsum()
        held_out = piece % HELD_OUT == 0
        if held_out.all() or not held_out.any():
            held_out = np.arange(len(piece)) >= len(piece) - len(piece) // HELD_OUT
        self._count({name: column[~held_out] for name, column in train.items()})
        parts = self._parts({name: column[held_out] for name, column in train.items()})
        weights = np.full((len(parts), 1), 1 / len(parts))
        for _ in range(ROUNDS):  # expectation maximisation
            posterior = weights * parts
            weights = (posterior / posterior.sum(0)).mean(1, keepdims=True)
        self.weights = weights
        self._count(train)

    def log_probabilities(self, batch: Arrays) -> NDArray[np.float64]:
        chance: NDArray[np.float64] = np.log((self.weights * self._parts(batch)).sum(0))
        return chance

    def predict(self, batch: Arrays) -> NDArray[Any]:
        predicted = batch["input"].copy()
        for length in range(1, self.order + 1):
            for row, gram in enumerate(_grams(batch, length + 1)):
                if frame := self.likeliest[length].get(gram[: -len(gram) // (length + 1)]):
                    predicted[row] = np.unpackbits(np.frombuffer(frame, np.uint8), count=predicted.shape[1])
        return predicted

    def _count(self, train: Arrays) -> None:
        self.keys.fit_frames(train)
        self.counts = [Counter(_grams(train, length + 1)) for length in range(self.order + 1)]
        self.contexts, self.likeliest = [], []
        for length, counts in enumerate(self.counts):
            contexts: Counter[bytes] = Counter()
            likeliest: dict[bytes, tuple[int, bytes]] = {}
            for gram, count in counts.items():
                cut = len(gram) * length // (length + 1)
                contexts[gram[:cut]] += count
                likeliest[gram[:cut]] = max(likeliest.get(gram[:cut], (0, b"")), (count, gram[cut:]))
            self.contexts.append(contexts)
            self.likeliest.append({context: frame for context, (_, frame) in likeliest.items()})

    def _parts(self, batch: Arrays) -> NDArray[np.float64]:
        """Return the probability of each frame by `RepeatFrame` and by each order from 0; [order + 2, N]."""
        parts = [np.exp(self.keys.log_probabilities(batch))]
        for length in range(self.order + 1):
            grams = _grams(batch, length + 1)
            found = np.array([self.counts[length][gram] for gram in grams], float)
            total = np.array(
                [self.contexts[length][gram[: len(gram) * length // (length + 1)]] for gram in grams], float
            )
            # After an unseen context, use the probability of the shorter order.
            parts.append(np.where(total > 0, found / total.clip(min=1), parts[-1]))
        return np.stack(parts)


def rate(frames: NDArray[np.uint8], read: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return how often each key sounds in frames [N, K], by Laplace's rule; `read` [N, K] selects what is counted."""
    if read is None:
        read = np.ones(frames.shape, bool)
    sounding: NDArray[np.float64] = (((frames > 0) & read).sum(0) + 1) / (read.sum(0) + 2)
    return sounding


def _grams(batch: Arrays, length: int) -> Sequence[bytes]:
    """Return each frame with those before it, `length` in all, as bytes of equal length (eight keys a byte)."""
    packed = np.packbits(batch["target"], axis=1)
    frames, before = [frame.tobytes() for frame in packed], START * packed.shape[1]
    grams, recent = [], [before] * length
    for frame, start in zip(frames, batch["start"].tolist(), strict=True):
        recent = [*([before] * (length - 1) if start else recent[1:]), frame]
        grams.append(b"".join(recent))
    return grams
