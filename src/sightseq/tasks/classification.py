"""One label for each sample."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)
from torchmetrics.utilities import dim_zero_cat

from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.core.order import FILLER, Batch
from sightseq.core.plots import confusion_matrix_figure, reliability_figure
from sightseq.core.plots_images import batch_figure, examples_figure, saliency_figure
from sightseq.core.report import Section
from sightseq.core.reservoir import Reservoir
from sightseq.core.spec import ImageSpec
from sightseq.core.task import Output, Task
from sightseq.nets.pixels import Pixels, centre, to_unit
from sightseq.tasks.saliency import heat_maps

SHOWN = 25  # samples of each kind in the report
EXPLAINED = 6  # of these, with heat maps


class ClassificationTask(Task):
    """Cross-entropy over the classes of the spec.

    The network maps [B, C, H, W] to logits [B, num_classes]; one of a single output [B, 1] is read as the
    logits [0, z] of two classes.

    Args:
        spec, net, optimizer, scheduler: see `Task`. The network is given `in_channels`, `num_classes` and
            `image_size` (height, width), as far as it names them.
        augment: augmentations by name, each a `_target_` with arguments, applied in this order to training batches.
            Each maps images to images, or, if it mixes them, to (images, partner, share): see `vision.augment.Mix`.
        class_weights: "balanced" weighs a sample's loss by how rare its class is, in training alone.
        label_smoothing: share of the target that is spread evenly over all classes, in training alone
            (Szegedy et al., 2016, arXiv 1512.00567).
        test_time_flips: predict with the mean probabilities of each image and its mirror image.
        test_time_crops: sides of the squares about the centre that are looked at, as shares (0, 1] of those of the
            image with its margin; the mean of their probabilities predicts. None: the centre, at the network's size.
    """

    monitor: ClassVar[str] = "val/accuracy"
    monitor_mode: ClassVar[str] = "max"
    headline: ClassVar[str] = "accuracy"
    spec: ImageSpec
    class_weights: Tensor | None

    def __init__(
        self,
        spec: dict[str, Any],
        net: dict[str, Any],
        optimizer: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
        augment: dict[str, Any] | None = None,
        label_smoothing: float = 0.0,
        class_weights: Literal["balanced"] | None = None,
        test_time_flips: bool = False,
        test_time_crops: Sequence[float] | None = None,
    ) -> None:
        super().__init__(spec, net, optimizer, scheduler)
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"model.label_smoothing={label_smoothing}: a share lies in [0, 1)")
        if test_time_crops is not None and not (test_time_crops and all(0 < share <= 1 for share in test_time_crops)):
            raise ConfigError(f"model.test_time_crops={test_time_crops}: shares lie in (0, 1]; null for none")
        self.label_smoothing = label_smoothing
        self.test_time_flips, self.test_time_crops = test_time_flips, test_time_crops
        # Pretrained weights bring the constants that they were trained with.
        constants = getattr(self.net, "constants", None) or (self.spec.mean, self.spec.std)
        self.pixels = Pixels(*constants)
        size = {"image_size": (self.spec.height, self.spec.width)}
        self.augmentations = nn.ModuleList(
            build(brick, nn.Module, f"model.augment.{name}", **size) for name, brick in (augment or {}).items() if brick
        )
        weights = None
        if class_weights:
            counts = torch.tensor(self.spec.counts or [1] * len(self.spec.classes)).clamp(min=1)
            weights = counts.sum() / (len(counts) * counts)  # the mean over all samples is 1
        self.register_buffer("class_weights", weights, persistent=False)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's overloads
        self._worst, self._random = Reservoir(SHOWN), Reservoir(SHOWN)

    def make_metrics(self, stage: str) -> Mapping[str, Metric]:
        """Accuracy, and for validation and test all the others."""
        classes = len(self.spec.classes)
        # The metrics run on the hot path: what they would check is checked where the data is read.
        common: dict[str, Any] = {"num_classes": classes, "ignore_index": FILLER, "validate_args": False}
        metrics: dict[str, Metric] = {"accuracy": MulticlassAccuracy(average="micro", **common)}
        if stage == "train":
            return metrics
        for top in (3, 5):
            if classes > top:
                metrics[f"top{top}"] = MulticlassAccuracy(average="micro", top_k=top, **common)
        return metrics | {
            "precision": MulticlassPrecision(average="macro", **common),
            "recall": MulticlassRecall(average="macro", **common),
            "f1": MulticlassF1Score(average="macro", **common),
            "calibration_error": MulticlassCalibrationError(n_bins=15, **common),
            "confusion": MulticlassConfusionMatrix(**common),
        }

    def augment(self, batch: Batch) -> Batch:
        """The batch with its images augmented, as floats in 0..1, of the size that the network sees.

        Where images were mixed, `shares` [B, num_classes] says what each consists of.
        """
        images, mixed = to_unit(batch["input"]), dict[str, Tensor]()
        for augmentation in self.augmentations:
            found = augmentation(images)
            if isinstance(found, Tensor):
                images = found
                continue
            images, partner, share = found
            shares = mixed.get("shares", F.one_hot(batch["target"], len(self.spec.classes)).float())
            mixed["shares"] = torch.lerp(shares[partner], shares, share[:, None])
        return {**batch, **mixed, "input": centre(images, self.spec.height, self.spec.width)}

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] bytes, or floats in 0..1, of which the centre is seen, to logits [B, num_classes]."""
        images = centre(images, self.spec.height, self.spec.width)
        logits: Tensor = self.net(self.pixels(images)).float()
        if logits.shape[1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        return logits

    def log_probabilities(self, images: Tensor) -> Tensor:
        """[B, C, H, W] to [B, num_classes], averaged over the views of each image that the test uses."""
        views = [self._crop(images, share) for share in self.test_time_crops] if self.test_time_crops else [images]
        if self.test_time_flips:
            views += [view.flip(-1) for view in views]
        found = torch.stack([self(view).log_softmax(dim=1) for view in views])
        return found.logsumexp(dim=0) - math.log(len(views))

    def _crop(self, images: Tensor, share: float) -> Tensor:
        part = centre(to_unit(images), *(round(share * side) for side in images.shape[-2:]))
        return F.interpolate(part, (self.spec.height, self.spec.width), mode="bilinear", antialias=True)

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """Probabilities [B, num_classes]."""
        return self.log_probabilities(batch["input"]).exp()

    def step(self, batch: Batch, stage: str) -> Output:
        """In training the network's own logits; in validation and test the average over views."""
        real, target = batch["index"] >= 0, batch["target"]
        training = stage == "train"
        scores = self(batch["input"]) if training else self.log_probabilities(batch["input"])
        aim = batch.get("shares", target)
        weights = self.class_weights if training else None
        losses = F.cross_entropy(
            scores, aim, weights, reduction="none", label_smoothing=self.label_smoothing if training else 0.0
        )
        count = real.sum()
        if weights is not None:
            count = (real * (weights[target] if aim is target else aim @ weights)).sum()
        predictions = scores.detach() if training else scores.exp()
        return Output((losses * real).sum(), count, predictions, torch.where(real, target, FILLER))

    def picture(self, batch: Batch) -> Figure:
        """The images with the names of their classes; of mixed ones, with the shares of both."""
        images = (batch["input"][:SHOWN].clamp(0, 1) * 255).round().byte().cpu().numpy()
        names = [self.spec.classes[label] for label in batch["target"][:SHOWN].tolist()]
        for place, shares in enumerate(batch.get("shares", batch["target"][:0])[:SHOWN]):
            parts = [f"{self.spec.classes[label]} {shares[label]:.0%}" for label in shares.nonzero().flatten().tolist()]
            names[place] = " + ".join(parts)
        return batch_figure([self.spec.to_example(image) for image in images], names)

    def observe(self, batch: Batch, output: Output) -> None:
        """Keeps the most confident mistakes and some random samples."""
        rows = {"index": batch["index"], "input": batch["input"], "target": output.targets}
        rows |= {"probabilities": output.predictions}
        confidence, guess = output.predictions.max(dim=1)
        wrong = (guess != output.targets) & (output.targets != FILLER)
        self._worst.add(torch.where(wrong, confidence, -1.0), rows)
        # A multiplicative hash of the index: random, but the same samples in every run.
        key = (batch["index"] * 2654435761 % 2**32).float()
        self._random.add(torch.where(output.targets != FILLER, key, -1.0), rows)

    def forget(self) -> None:
        """Empties what `observe` has kept."""
        self._worst.clear()
        self._random.clear()

    def details(self, stage: str) -> dict[str, Any]:
        """The confusion matrix (rows: true class) and precision, recall, F1 and support of each class."""
        matrix = self.stage_metrics(stage)["confusion"].compute().cpu().float()
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

    def sections(self, stage: str) -> list[Section]:
        """Confusion matrix, calibration, sample predictions, the most confident mistakes, and where it looked."""
        names = self.spec.classes
        metrics = self.stage_metrics(stage)
        matrix = metrics["confusion"].compute().cpu().numpy()
        calibration: Any = metrics["calibration_error"]
        sections = [
            Section(
                "Confusion matrix", confusion_matrix_figure(matrix, names), "Rows: true class; columns: prediction."
            ),
            Section(
                "Calibration",
                reliability_figure(
                    dim_zero_cat(calibration.confidences).cpu(), dim_zero_cat(calibration.accuracies).cpu()
                ),
                "How often the model is right at each confidence it claims; the diagonal is honest.",
            ),
        ]
        for title, reservoir, caption in (
            ("Sample predictions", self._random, "Samples chosen at random."),
            ("Most confident mistakes", self._worst, "Where the model was surest and wrong."),
        ):
            if rows := reservoir.rows():
                inputs = [self.spec.to_example(image) for image in rows["input"].numpy()]
                sections.append(Section(title, examples_figure(inputs, self._labels(rows)), caption))
        return [*sections, *self._saliency()]

    def _labels(self, rows: Batch) -> list[tuple[str, float, str]]:
        """Of each sample the prediction, its probability and the truth."""
        names = self.spec.classes
        confidence, guess = rows["probabilities"].max(dim=1)
        found = zip(guess.tolist(), confidence.tolist(), rows["target"].tolist(), strict=True)
        return [(names[g], c, names[t]) for g, c, t in found]

    def _saliency(self) -> list[Section]:
        """Heat maps of some random samples and of the surest mistakes; nothing where maps would say nothing."""
        some, worst = self._random.rows(), {name: rows[:EXPLAINED] for name, rows in self._worst.rows().items()}
        if worst:
            others = ~torch.isin(some["index"], worst["index"])
            some = {name: rows[others] for name, rows in some.items()}
        rows = {name: torch.cat([rows[:EXPLAINED], worst.get(name, rows[:0])]) for name, rows in some.items()}
        if not rows:
            return []
        images = centre(rows["input"], self.spec.height, self.spec.width)
        heat = heat_maps(self, images, rows["probabilities"].argmax(dim=1))
        if heat is None:
            return []
        inputs = [self.spec.to_example(image) for image in images.numpy()]
        caption = (
            "Bright: the regions that spoke most for the prediction (Grad-CAM, Selvaraju et al., 2017). "
            "Samples chosen at random, then the most confident mistakes."
        )
        figure = saliency_figure(inputs, list(heat.numpy()), self._labels(rows))
        return [Section("Where it looked", figure, caption)]
