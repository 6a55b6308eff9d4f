"""Prediction of the next frame of a piano roll."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from sightseq.core.augmentation import make_augmentations
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.scores import MeanLoss, Output, Score
from sightseq.music.figures import roll_figure
from sightseq.music.piece import Piece
from sightseq.music.roll import from_roll
from sightseq.music.spec import RollSpec
from sightseq.music.statistics import BAR
from sightseq.nets.recurrent import State
from sightseq.tasks.music.report import BARS, TEMPERATURE
from sightseq.tasks.music.task import MusicTask

if TYPE_CHECKING:
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

READ = 64  # frames of an opening per step


class FrameAccuracy(Metric):
    """TP / (TP + FP + FN) over all keys of all frames (Bay et al., 2009: Evaluation of Multiple-F0 Estimation and
    Tracking Systems). 1 if no key sounds and none is predicted.

    Reads `decoded` and `target` [B, T, K] of 0 and 1, and `real` [B, T], false for padding.
    """

    full_state_update = False
    higher_is_better = True
    correct: Tensor
    either: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("correct", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("either", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, decoded: Tensor, target: Tensor, real: Tensor) -> None:
        decoded, target = decoded[real] > 0, target[real] > 0
        self.correct += (decoded & target).sum()
        self.either += (decoded | target).sum()

    def compute(self) -> Tensor:
        return torch.where(self.either > 0, self.correct / self.either.clamp(min=1), 1.0)


class PianoRollTask(MusicTask):
    """Prediction of the keys that sound in each frame, given all frames before it.

    A batch has `target` [B, T, K], the frames of each piece; `input` [B, T, K], the frame before each of them (zeros
    before the first frame of a piece); and `length` [B], in frames. Both are uint8 of 0 and 1.

    `nll` is the negative log-likelihood of a frame in nats, summed over its keys and averaged over all frames of all
    pieces: the negative of the log-likelihood in Boulanger-Lewandowski et al., 2012 (arXiv 1206.6392). The first frame
    of a piece, before which nothing is known, counts like any other. Bai et al., 2018 (arXiv 1803.01271), whose loss is
    otherwise the same, leave it out: their figures are a little lower.

    `accuracy` is that of Bay et al., 2009. Each frame is decoded given the true frames before it: a key sounds if its
    probability exceeds 0.5; a joint network decides key by key from the highest, and reads its own decisions.

    Args:
        augment: augmentations by name, each a `_target_` with arguments, applied in this order to training batches:
            see `music.augment`.
        task: see `Task`. The network maps the frames before, a state and the frames themselves to logits and the next
            state: see `nets.piano_roll`; it receives `keys`.
    """

    net_kind: ClassVar[str] = "piano_roll"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "ignores_padding", "causal", "stateful"})
    monitor: ClassVar[str] = "val/nll"
    headline: ClassVar[str] = "nll"
    columns: ClassVar[tuple[str, ...]] = ("nll", "accuracy")
    size_unit: ClassVar[str | None] = "frames"
    spec: RollSpec
    net: Any

    def __init__(self, *, augment: dict[str, Any] | None = None, **task: Any) -> None:
        super().__init__(**task)
        self.augmentations = make_augmentations(augment)

    @classmethod
    def example(cls) -> tuple[RollSpec, Batch]:
        """Four pieces of up to eight frames, in which three voices move by small steps."""
        generator = torch.Generator().manual_seed(0)
        length = torch.tensor([6, 8, 7, 5])
        steps = torch.randint(-2, 3, (4, 8, 3), generator=generator)
        keys = torch.tensor([30, 37, 44]) + steps.cumsum(1)
        target = torch.zeros(4, 8, 88, dtype=torch.uint8).scatter(2, keys, 1)
        target *= (torch.arange(8) < length[:, None])[..., None]
        before = F.pad(target[:, :-1], (0, 0, 1, 0))
        return RollSpec(1.0, 100.0, 3), {
            "input": before,
            "target": target,
            "length": length,
            "index": torch.arange(4),
        }

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `RollPredictor`: composes, continues an opening, or harmonises a melody."""
        from sightseq.tasks.piano_roll.predict import RollPredictor

        return RollPredictor

    @classmethod
    def graph(cls) -> "type[Graph]":
        """Return `PianoRollGraph`: a frame and a state to the probabilities of the next frame and the next state."""
        from sightseq.tasks.piano_roll.graph import PianoRollGraph

        return PianoRollGraph

    def plain(self) -> nn.Module:
        """Return `RollModel`."""
        from sightseq.tasks.piano_roll.plain import RollModel

        return RollModel(self.net)

    def size(self, batch: Batch) -> int:
        """Return the number of frames."""
        return int(real_frames(batch).sum())

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return the negative log-likelihood; for validation and test also the accuracy."""
        scores = {"nll": Score(MeanLoss(), "NLL (nats)", ("loss_sum", "count"))}
        if stage != "train":
            scores["accuracy"] = Score(FrameAccuracy(), "accuracy", ("decoded", "target", "real"), percent=True)
        return scores

    def augment(self, batch: Batch) -> Batch:
        """Apply the augmentations."""
        augmentation: Any
        for augmentation in self.augmentations:
            batch = augmentation(batch)
        return batch

    def forward(self, frames: Tensor, state: State | None = None, target: Tensor | None = None) -> tuple[Tensor, State]:
        """Map frames [B, T, K], the state before them and the frames after each to logits [B, T, K] and the next state.

        A joint network reads `target` [B, T, K]: for each key, the keys above it; None: none of them sounds.
        """
        logits, after = self.net(frames.float(), state, None if target is None else target.float())
        return logits.float(), after

    def step(self, batch: Batch, stage: str) -> Output:
        """Compute the negative log-likelihood of the frames."""
        logits, _ = self(batch["input"], None, batch["target"])
        loss = F.binary_cross_entropy_with_logits(logits, batch["target"].float(), reduction="none").sum(2)
        real = real_frames(batch)
        return Output(loss[real].sum(), real.sum(), {"target": batch["target"], "real": real, "nll": loss})

    def decode(self, batch: Batch, stage: str) -> Mapping[str, Tensor]:
        """Decode each frame given the true frames before it: `decoded` uint8 [B, T, K]."""
        features, _ = self.net.features(batch["input"].float())
        frames = self.net.head.sample(features.flatten(0, 1), temperature=0.0)
        return {"decoded": frames.unflatten(0, batch["target"].shape[:2]).byte()}

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """Return the negative log-likelihood of each frame in nats [B, T]; 0 for padding."""
        values = self.step(batch, "test").values
        return values["nll"].masked_fill(~values["real"], 0.0)

    @torch.inference_mode()
    def compose(
        self, opening: Tensor, count: int, temperature: float = 1.0, seed: int = 0, given: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Continue openings, or compose from nothing; one step of work per frame.

        Args:
            opening: frames [B, T, K] of 0 and 1; T may be 0.
            count: number of frames to compose.
            temperature: divides the logits; 0 takes the more probable value of each key.
            seed: of the random numbers.
            given: keys that are fixed in the composed frames [B, count, K]: 0, 1, or -1 for a key that is drawn.

        Yields:
            The next frame of each row, uint8 [B, K].
        """
        generator = torch.Generator(self.device).manual_seed(seed)
        frames = F.pad(opening.to(self.device).float(), (0, 0, 1, 0))  # nothing sounds before the first frame
        state = None
        for part in torch.split(frames, READ, 1):  # all features of a long opening may not fit into memory
            features, state = self.net.features(part, state)
        for number in range(count):
            fixed = None if given is None else given[:, number].to(self.device)
            frame = self.net.head.sample(features[:, -1], temperature, generator, fixed)
            yield frame.byte()
            if number + 1 < count:
                features, state = self.net.features(frame[:, None], state)

    def compose_pieces(self, count: int) -> list[Piece]:
        """See `MusicTask`."""
        nothing, frames = torch.zeros(count, 0, self.spec.keys), round(BARS * BAR / self.spec.step)
        rolls = torch.stack(list(self.compose(nothing, frames, TEMPERATURE)), dim=1).cpu().numpy()
        return [self.to_piece(roll) for roll in rolls]

    def to_piece(self, roll: NDArray[np.uint8]) -> Piece:
        """Return the piece of a roll [T, K], with the step and the tempo of the data."""
        return from_roll(roll, self.spec.step, self.spec.tempo)

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the first piece."""
        return roll_figure(self.to_piece(batch["target"][0].cpu().numpy()), title=f"1 of {len(batch['target'])} pieces")


def real_frames(batch: Batch) -> Tensor:
    """Return whether each frame of a batch is no padding, bool [B, T]."""
    target = batch["target"]
    before_end = torch.arange(target.shape[1], device=target.device) < batch["length"][:, None]
    return before_end & (batch["index"] != PAD_INDEX)[:, None]
