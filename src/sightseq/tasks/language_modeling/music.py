"""Prediction of the next event of a piece of music."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from matplotlib.figure import Figure

from sightseq.core.augmentation import make_augmentations
from sightseq.core.loading import Batch
from sightseq.core.scores import MeanLoss, Score
from sightseq.decoding.sampling import Sampling, sample
from sightseq.music.events import EventCodec
from sightseq.music.figures import roll_figure
from sightseq.music.piece import NOTE, Piece
from sightseq.music.spec import MusicSpec
from sightseq.music.statistics import BAR
from sightseq.tasks.language_modeling.task import LanguageModelingTask, Perplexity, TopKAccuracy
from sightseq.tasks.music.report import BARS, TEMPERATURE
from sightseq.tasks.music.task import MusicTask
from sightseq.text.tokenizer import EOS_ID, UNKNOWN_ID

if TYPE_CHECKING:
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

EVENTS_PER_STEP = 16  # mean over a piece, at most: so that a model without shifts of time comes to an end


class BitsPerEvent(MeanLoss):
    """Loss in bits per event."""

    def compute(self) -> torch.Tensor:
        return super().compute() / math.log(2)


class MusicLanguageTask(MusicTask, LanguageModelingTask):
    """Language modelling of pieces as token ids: see `LanguageModelingTask`, which also reads the same data.

    Args:
        augment: augmentations by name, each a `_target_` with arguments, applied in this order to training batches:
            see `music.augment`. Each stream is changed in the same way throughout an epoch, as its state is carried.
        language: see `LanguageModelingTask`.
    """

    headline: ClassVar[str] = "bits_per_event"
    columns: ClassVar[tuple[str, ...]] = ("bits_per_event", "accuracy", "perplexity", "loss")
    size_unit: ClassVar[str | None] = "events"
    spec: MusicSpec
    keyboard = None  # events are not typed

    def __init__(self, *, augment: dict[str, Any] | None = None, **language: Any) -> None:
        super().__init__(**language)
        self.augmentations = make_augmentations(augment, codec=self.spec.codec)

    @classmethod
    def example(cls) -> tuple[MusicSpec, Batch]:
        """A window of sixteen events from four streams: the start of a scale from four different keys."""
        codec = EventCodec(grid="beats", steps=4, max_shift=8, velocities=0)
        notes = np.zeros(8, NOTE)
        notes["start"], notes["end"], notes["velocity"] = np.arange(8), np.arange(8) + 1, 80
        rows = []
        for tonic in (60, 62, 65, 67):
            notes["pitch"] = tonic + np.array([0, 2, 4, 5, 7, 9, 11, 12])
            rows.append(torch.from_numpy(codec.encode(Piece(notes))[:17]))
        tokens = torch.stack(rows)
        batch = {"input": tokens[:, :-1], "target": tokens[:, 1:]}
        batch |= {"fresh": torch.ones(4, dtype=torch.bool), "index": torch.arange(4) * 16}
        return MusicSpec.of(codec, tempo=100.0), batch

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `EventPredictor`: composes, or continues an opening."""
        from sightseq.tasks.language_modeling.music_predict import EventPredictor

        return EventPredictor

    @classmethod
    def graph(cls) -> "type[Graph]":
        """Return `EventStepGraph`: an event and a state to next-event probabilities and the next state."""
        from sightseq.tasks.language_modeling.music_graph import EventStepGraph

        return EventStepGraph

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return bits per event and perplexity; for validation and test also accuracy (top 1 and top 3)."""
        loss = ("loss_sum", "count")
        scores = {
            "bits_per_event": Score(BitsPerEvent(), "bits per event", loss),
            "perplexity": Score(Perplexity(), "perplexity", loss),
        }
        if stage != "train":
            ranks = ("rank", "target")
            scores["accuracy"] = Score(TopKAccuracy(1), "accuracy", ranks, percent=True)
            scores["top3"] = Score(TopKAccuracy(3), "top-3 accuracy", ranks, percent=True)
        return scores

    def augment(self, batch: Batch) -> Batch:
        """Apply the augmentations, whose random numbers depend on the epoch, the process and the row."""
        augmentation: Any
        for augmentation in self.augmentations:
            augmentation.begin_epoch(self.current_epoch, self.global_rank)
            batch = augmentation(batch)
        return batch

    def compose(
        self, opening: Sequence[int], samples: int, steps: int, sampling: Sampling, seed: int = 0
    ) -> list[list[int]]:
        """Continue an opening, or compose from nothing.

        Args:
            opening: token ids of the opening; may be empty.
            samples: number of pieces, composed in one batch.
            steps: time to add, in steps of the codec; the last token may exceed it. A piece may end before.
            sampling: how each event is chosen.
            seed: of the random numbers.

        Returns:
            The token ids that continue the opening in each sample, up to the end of the piece.
        """
        rows = torch.tensor([[EOS_ID, *opening]] * samples, device=self.device)
        settings = replace(sampling, forbidden=(*sampling.forbidden, UNKNOWN_ID))
        durations = self.spec.codec.durations
        pieces: list[list[int]] = [[] for _ in range(samples)]
        time = np.zeros(samples, np.int64)
        for tokens in sample(self, rows, EVENTS_PER_STEP * steps, settings, seed):
            added = tokens.cpu().numpy()
            time[added == EOS_ID] = steps
            for row in np.flatnonzero(time < steps).tolist():
                pieces[row].append(int(added[row]))
            time += durations[added]
            if (time >= steps).all():
                break
        return pieces

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the first stream."""
        piece = self.spec.codec.decode(batch["input"][0, 1:].tolist(), self.spec.tempo)
        return roll_figure(piece, title=f"1 of {len(batch['input'])} streams")

    def compose_pieces(self, count: int) -> list[Piece]:
        """See `MusicTask`."""
        steps = round(BARS * BAR / self.spec.codec.step(self.spec.tempo))
        rows = self.compose((), count, steps, Sampling(TEMPERATURE))
        return [self.spec.codec.decode(row, self.spec.tempo).excerpt(BARS * BAR) for row in rows]
