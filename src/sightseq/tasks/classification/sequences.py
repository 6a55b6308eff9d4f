"""Single-label classification of sequences of vectors: wearable sensors, key points."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor

from sightseq.core.augmentation import make_augmentations
from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.errors import ConfigError
from sightseq.core.graph import Axes
from sightseq.core.loading import Batch
from sightseq.core.scores import Output, Score
from sightseq.series.augment import SequenceAugmentation
from sightseq.series.features import make_features
from sightseq.series.figures import LINES, Trace, batch_figure, traces_figure
from sightseq.series.sequence_spec import SequenceSpec
from sightseq.tasks.classification.sequence_saliency import step_weights
from sightseq.tasks.classification.task import ClassificationTask, expand_single_logit
from sightseq.tasks.classification.voting import VotingAccuracy

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

PLOTTED = 24  # sequences in `plot_batch`: six rows of four


class SequenceClassificationTask(ClassificationTask):
    """Classification of sequences: `input`, values [B, T, D], NaN where one is missing, and `length` [B] in steps.

    `recording` [B] says which rows are windows of the same recording.

    Args:
        features: `_target_` and arguments of the first layer: see `series.features`; None: `Standardise`.
        augment: augmentations by name, each a `_target_` with arguments: see `series.augment`.
        classification: see `ClassificationTask`. The network maps features [B, T, in_channels] and lengths to logits
            [B, num_classes]; it receives `in_channels` and `num_classes`.
    """

    net_kind: ClassVar[str] = "sequence"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "ignores_padding"})
    graph_inputs: ClassVar[Axes] = {"input": {0: "batch", 1: "steps"}, "length": {0: "batch"}}
    calibrated: ClassVar[bool] = False
    exact: ClassVar[tuple[str, ...]] = ("features",)
    columns: ClassVar[tuple[str, ...]] = ("accuracy", "voted", "f1", "loss")
    spec: SequenceSpec

    def __init__(
        self,
        *,
        features: dict[str, Any] | None = None,
        augment: dict[str, Any] | None = None,
        **classification: Any,
    ) -> None:
        super().__init__(**classification)
        self.features = make_features(features, self.spec)
        self.augmentations = make_augmentations(augment, channels=self.spec.channels, std=self.spec.std)
        for augmentation in self.augmentations:
            if not isinstance(augmentation, SequenceAugmentation):
                raise ConfigError(f"model.augment: {type(augmentation).__name__} is not an augmentation of sequences")

    @classmethod
    def example(cls) -> tuple[SequenceSpec, Batch]:
        """Six sequences of 8 to 30 steps with a missing value: waves of one of three frequencies in two channels."""
        spec = SequenceSpec(
            ("acc_x", "acc_y"),
            ("slow", "middle", "fast"),
            (0.1, -0.1),
            (0.7, 0.7),
            (2, 2, 2),
            20.0,
            steps=30,
            stride=15,
        )
        target, length = torch.arange(6) % 3, torch.tensor([12, 30, 8, 21, 25, 17])
        time = torch.arange(30) / 20
        generator = torch.Generator().manual_seed(0)
        phase = 2 * torch.pi * torch.rand(6, 1, 2, generator=generator)
        values = torch.sin(2 * torch.pi * (1.0 + 2 * target[:, None, None]) * time[:, None] + phase)
        values[0, 3, 0] = torch.nan
        values = values * (torch.arange(30) < length[:, None])[..., None]
        recording = torch.tensor([0, 1, 2, 0, 1, 2])
        batch = {"input": values, "length": length, "target": target, "recording": recording, "index": torch.arange(6)}
        return spec, batch

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `SequencePredictor`: tables or arrays to labels."""
        from sightseq.tasks.classification.predict_sequences import SequencePredictor

        return SequencePredictor

    def net_arguments(self) -> dict[str, Any]:
        """Replace `in_channels` by the number of features."""
        return {**super().net_arguments(), "in_channels": make_features(self.hparams["features"], self.spec).width}

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Add the accuracy of whole recordings, if they have several windows; the others count windows."""
        if stage == "train" or self.spec.stride is None:
            return super().scores(stage)
        reads = ("prediction", "target", "recording")
        return {
            **super().scores(stage),
            "voted": Score(VotingAccuracy(), "accuracy of recordings", reads, percent=True),
        }

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with augmented values."""
        for augmentation in self.augmentations:
            batch = augmentation(batch)
        return batch

    def training_differences(self) -> list[str]:
        """Add augmentation."""
        return [*(["augmentation"] if self.augmentations else []), *super().training_differences()]

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Map values [B, T, D] and their lengths [B] to logits [B, num_classes]."""
        return expand_single_logit(self.net(self.features(values, lengths), lengths))

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits [B, num_classes] of the sequences."""
        logits: Tensor = self(batch["input"], batch["length"])
        return logits

    def step(self, batch: Batch, stage: str) -> Output:
        """Add `recording` to the values: see `ClassificationTask`."""
        output = super().step(batch, stage)
        return replace(output, values={**output.values, "recording": batch["recording"]})

    def traces(self, rows: Batch) -> list[Trace]:
        """Return the sequences without padding, for figures; many channels are normalised, for one colour scale."""
        values = rows["input"].float().cpu()
        if len(self.spec.channels) > LINES:
            values = (values - torch.tensor(self.spec.mean)) / torch.tensor(self.spec.std)
        pairs = zip(values.numpy(), rows["length"].tolist(), strict=True)
        return [Trace(trace[:length], self.spec.channels, self.spec.rate) for trace, length in pairs]

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the sequences with their class names."""
        rows = {name: tensor[:PLOTTED] for name, tensor in batch.items()}
        return batch_figure(self.traces(rows), [self.spec.classes[label] for label in rows["target"].tolist()])

    def examples(self, title: str, rows: Batch, caption: str) -> Block:
        """Return a figure of the sequences."""
        labels = self.labels(rows)
        return FigureBlock(
            title,
            traces_figure(self.traces(rows), labels),
            caption=caption,
            columns=("prediction", "probability", "true class"),
            rows=labels,
        )

    def explanation(self, rows: Batch) -> Block | None:
        """Return the sequences with the steps that support the prediction."""
        lengths = rows["length"].to(self.device)
        features = self.features(rows["input"].to(self.device), lengths)
        weights = step_weights(self.net, features, lengths, rows["probabilities"].argmax(dim=1)).numpy()
        heats = [row[:length] for row, length in zip(weights, rows["length"].tolist(), strict=True)]
        caption = (
            "Darker: the times that support the prediction most (integrated gradients, Sundararajan et al., 2017). "
            "Samples chosen at random, then the most confident mistakes."
        )
        return FigureBlock(
            "When it happened", traces_figure(self.traces(rows), self.labels(rows), heats), caption=caption
        )
