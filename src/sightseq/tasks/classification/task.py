"""Single-label classification, the base for all kinds of input."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from sightseq.core.arrays import ArrayDataset
from sightseq.core.blocks import Block, FigureBlock, TableBlock
from sightseq.core.errors import ConfigError
from sightseq.core.graph import Axes
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.reservoir import Reservoir
from sightseq.core.scores import Output, Score
from sightseq.core.spec import LabelledSpec
from sightseq.core.task import Task
from sightseq.tasks.classification.calibration import CalibrationError
from sightseq.tasks.classification.figures import confusion_matrix_figure, reliability_figure

SHOWN = 25  # samples of each kind in the report
EXPLAINED = 6  # samples of each kind with an explanation, such as a heat map

if TYPE_CHECKING:
    from sightseq.core.graph import Graph


class ClassificationTask(Task):
    """Cross-entropy over the classes of the spec; a subclass defines how a batch is passed to the network.

    A network with a single output z [B, 1] is read as the logits [0, z] of two classes: see `expand_single_logit`.

    Args:
        class_weights: "balanced" weights each sample's loss by the inverse frequency of its class; in training only.
        label_smoothing: fraction of the target, in [0, 1), that is spread evenly over all classes; in training only
            (Szegedy et al., 2016, arXiv 1512.00567).
        task: see `Task`.
    """

    monitor: ClassVar[str] = "val/accuracy"
    headline: ClassVar[str] = "accuracy"
    columns: ClassVar[tuple[str, ...]] = ("accuracy", "f1", "loss")
    graph_inputs: ClassVar[Axes] = {"input": {0: "batch"}}
    """Tensors of a batch that the model reads; an exported file has these inputs."""
    calibrated: ClassVar[bool] = True
    """Whether the ranges of an int8 file are computed from training batches; False: at each call, as for recurrent
    networks."""
    exact: ClassVar[tuple[str, ...]] = ()
    """Modules that stay in 32 bits in an int8 file."""
    spec: LabelledSpec
    class_weights: Tensor | None

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        class_weights: Literal["balanced"] | None = None,
        **task: Any,
    ) -> None:
        super().__init__(**task)
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"model.label_smoothing={label_smoothing}: a fraction lies in [0, 1)")
        self.label_smoothing = label_smoothing
        weights = None
        if class_weights:
            counts = torch.tensor(self.spec.counts or [1] * len(self.spec.classes)).clamp(min=1)
            weights = counts.sum() / (len(counts) * counts)  # the mean over all samples is 1
        self.register_buffer("class_weights", weights, persistent=False)
        self._worst, self._random = Reservoir(SHOWN), Reservoir(SHOWN)

    @classmethod
    def graph(cls) -> "Callable[[Any], Graph]":
        """Return `Classifier`: inputs to probabilities."""
        from sightseq.tasks.classification.graph import ClassifierGraph

        return ClassifierGraph

    # Defined by the subclass for each kind of input.

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Return the logits [B, num_classes] of a batch; used in training."""

    def log_probabilities(self, batch: Batch) -> Tensor:
        """Return log-probabilities [B, num_classes] of a batch; used in validation, test and prediction."""
        return self.logits(batch).log_softmax(dim=1)

    @abstractmethod
    def examples(self, title: str, rows: Batch, caption: str) -> Block:
        """Return the report block of these samples with their predictions (see `labels`)."""

    @abstractmethod
    def explanation(self, rows: Batch) -> Block | None:
        """Return the report block of what in these samples supports the predictions; None if not available."""

    # Common to all kinds of input.

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return accuracy for training; all scores for validation and test."""
        classes = len(self.spec.classes)
        # The metrics run at every step, and the data is already checked when it is read: no second validation here.
        common: dict[str, Any] = {"num_classes": classes, "ignore_index": PAD_INDEX, "validate_args": False}
        scores = {"accuracy": Score(MulticlassAccuracy(average="micro", **common), "accuracy", percent=True)}
        if stage == "train":
            return scores
        for top in (3, 5):
            if classes > top:
                metric = MulticlassAccuracy(average="micro", top_k=top, **common)
                scores[f"top{top}"] = Score(metric, f"top-{top} accuracy", percent=True)
        return scores | {
            "precision": Score(MulticlassPrecision(average="macro", **common), "precision", percent=True),
            "recall": Score(MulticlassRecall(average="macro", **common), "recall", percent=True),
            "f1": Score(MulticlassF1Score(average="macro", **common), "F1", percent=True),
            "calibration_error": Score(CalibrationError(), "calibration error", percent=True),
            "confusion": Score(MulticlassConfusionMatrix(**common), None),
        }

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """Return probabilities [B, num_classes]."""
        return self.log_probabilities(batch).exp()

    def step(self, batch: Batch, stage: str) -> Output:
        """Compute the loss of one batch, in validation and test from the average over test-time views."""
        real, target = batch["index"] >= 0, batch["target"]
        training = stage == "train"
        scores = self.logits(batch) if training else self.log_probabilities(batch)
        loss_target = batch.get("soft_target", target)
        weights = self.class_weights if training else None
        losses = F.cross_entropy(
            scores, loss_target, weights, reduction="none", label_smoothing=self.label_smoothing if training else 0.0
        )
        count = real.sum()
        if weights is not None:
            count = (real * (weights[target] if loss_target is target else loss_target @ weights)).sum()
        predictions = scores.detach() if training else scores.exp()
        return Output(
            (losses * real).sum(), count, {"prediction": predictions, "target": torch.where(real, target, PAD_INDEX)}
        )

    def counts(self, dataset: ArrayDataset) -> Mapping[str, int]:
        """Count the samples of each class; a sample with several classes (targets [N, num_classes]) counts in each."""
        target = np.asarray(dataset.arrays["target"])[dataset.rows]
        counts = target.sum(axis=0) if target.ndim > 1 else np.bincount(target, minlength=len(self.spec.classes))
        return dict(zip(self.spec.classes, map(int, counts), strict=True))

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Keep the most confident mistakes and some random samples."""
        probabilities, target = output.values["prediction"], output.values["target"]
        rows = {**batch, "target": target, "probabilities": probabilities}
        confidence, guess = probabilities.max(dim=1)
        wrong = (guess != target) & (target != PAD_INDEX)
        self._worst.add(torch.where(wrong, confidence, -1.0), rows)
        # Multiplicative hash of the sample id: random samples, but the same in every run.
        key = (batch["index"] * 2654435761 % 2**32).float()
        self._random.add(torch.where(target != PAD_INDEX, key, -1.0), rows)

    def reset_examples(self) -> None:
        """Discard the samples that `collect_examples` has kept."""
        self._worst.clear()
        self._random.clear()

    def details(self, stage: str) -> dict[str, Any]:
        """Return the confusion matrix (rows: true class) and the precision, recall, F1 and support of each class."""
        matrix = self.scoreboard.metrics(stage)["confusion"].compute().cpu().float()
        hits, guessed, true = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
        precision, recall = hits / guessed.clamp(min=1), hits / true.clamp(min=1)
        f1 = 2 * hits / (guessed + true).clamp(min=1)
        per_class = {
            name: {"precision": p, "recall": r, "f1": f, "support": int(n)}
            for name, p, r, f, n in zip(
                self.spec.classes, precision.tolist(), recall.tolist(), f1.tolist(), true.tolist(), strict=True
            )
        }
        return {"per_class": per_class, "confusion": matrix.long().tolist()}

    def blocks(self, stage: str) -> list[Block]:
        """Return confusion matrix, scores of each class, calibration, samples, mistakes and explanations."""
        names = self.spec.classes
        metrics = self.scoreboard.metrics(stage)
        matrix = metrics["confusion"].compute().cpu().numpy()
        calibration = cast(CalibrationError, metrics["calibration_error"])
        per_class = self.details(stage)["per_class"]
        scores = ("precision", "recall", "f1", "support")
        blocks: list[Block] = [
            FigureBlock(
                "Confusion matrix",
                confusion_matrix_figure(matrix, names),
                caption="Rows: true class; columns: prediction.",
                columns=("true class", "prediction", "samples"),
                rows=[
                    (true, guess, int(count))
                    for true, row in zip(names, matrix, strict=True)
                    for guess, count in zip(names, row, strict=True)
                ],
            ),
            TableBlock(
                f"Each class, on the {'test' if stage == 'test' else 'validation'} data",
                ["class", "precision", "recall", "F1", "support"],
                [[name, *(row[score] for score in scores)] for name, row in per_class.items()],
                percent=("precision", "recall", "F1"),
            ),
            FigureBlock(
                "Calibration",
                reliability_figure(*calibration.bins()),
                caption="Accuracy at each predicted confidence; a calibrated model lies on the diagonal.",
            ),
        ]
        for title, reservoir, caption in (
            ("Sample predictions", self._random, "Samples chosen at random."),
            ("Most confident mistakes", self._worst, "Wrong predictions with the highest confidence."),
        ):
            if rows := reservoir.rows():
                blocks.append(self.examples(title, rows, caption))
        if (rows := self._some_of_each()) and (block := self.explanation(rows)):
            blocks.append(block)
        return blocks

    def training_differences(self) -> list[str]:
        """Add label smoothing."""
        smoothing = [f"label smoothing of {self.label_smoothing} (in the loss)"] if self.label_smoothing else []
        return [*smoothing, *super().training_differences()]

    def labels(self, rows: Batch) -> list[tuple[str, float, str]]:
        """Return (predicted class, its probability, true class) for each sample; "" for the true class of target -1."""
        names = [*self.spec.classes, ""]
        confidence, guess = rows["probabilities"].max(dim=1)
        triples = zip(guess.tolist(), confidence.tolist(), rows["target"].tolist(), strict=True)
        return [(names[g], c, names[t]) for g, c, t in triples]

    def _some_of_each(self) -> Batch:
        """Return a few random samples, then the most confident mistakes."""
        some, worst = self._random.rows(), {name: rows[:EXPLAINED] for name, rows in self._worst.rows().items()}
        if worst:
            others = ~torch.isin(some["index"], worst["index"])
            some = {name: rows[others] for name, rows in some.items()}
        return {name: torch.cat([rows[:EXPLAINED], worst.get(name, rows[:0])]) for name, rows in some.items()}


def expand_single_logit(output: Tensor) -> Tensor:
    """Return logits [B, num_classes] as float32; a single output z [B, 1] becomes the two logits [0, z] [B, 2]."""
    output = output.float()
    return torch.cat([torch.zeros_like(output), output], dim=1) if output.shape[1] == 1 else output
