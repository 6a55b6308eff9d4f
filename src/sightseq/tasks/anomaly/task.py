"""Detection of unusual windows of sequences."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from sightseq.core.arrays import ArrayDataset
from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.reservoir import Reservoir
from sightseq.core.scores import Output, Score
from sightseq.core.task import Task
from sightseq.series.features import Standardise
from sightseq.series.figures import Trace, batch_figure
from sightseq.series.sequence_spec import SequenceSpec
from sightseq.tasks.anomaly.figures import errors_figure
from sightseq.tasks.anomaly.scores import EventF1, Ranking, Windows, unusual

if TYPE_CHECKING:
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

PLOTTED, SHOWN = 24, 12  # sequences in `plot_batch` and in the report
COLUMNS = ("index", "error", "anomaly", "recording")


class AnomalyTask(Task):
    """Finds windows [B, T, D] that are unlike those of the training: an autoencoder reconstructs them badly.

    The error of a window is the mean squared difference of its standardised values. The classes of which the training
    split has no window are the anomalies: see `data.anomalies`. They are read in scores alone: the best epoch is the
    one with the lowest loss on the other validation windows. A window is reported if its error is above `threshold`, a
    quantile of the errors of the training windows in the last epoch. Malhotra et al., 2016 (arXiv 1607.00148).

    Args:
        quantile: in 0..1, gives the threshold.
        task: see `Task`. The network maps standardised values [B, T, D], 0 where one is missing, and lengths to their
            reconstruction; it receives `in_channels`.
    """

    net_kind: ClassVar[str] = "anomaly"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "ignores_padding"})
    monitor: ClassVar[str] = "val/loss"
    headline: ClassVar[str] = "auroc"
    columns: ClassVar[tuple[str, ...]] = ("auroc", "average_precision", "event_f1", "loss")
    spec: SequenceSpec
    threshold: Tensor
    unusual: Tensor

    def __init__(self, *, quantile: float = 0.99, **task: Any) -> None:
        super().__init__(**task)
        if not 0 < quantile < 1:
            raise ConfigError(f"model.quantile={quantile}: must be between 0 and 1")
        if self.spec.counts and not any(unusual(self.spec)):
            raise ConfigError(
                "the training split has windows of all classes; name those to detect, such as "
                f"data.anomalies=[{self.spec.classes[-1]}]"
            )
        self.quantile = quantile
        self.features = Standardise(self.spec.mean, self.spec.std, mask=False)
        self.register_buffer("unusual", torch.tensor(unusual(self.spec)), persistent=False)
        self.register_buffer("threshold", torch.tensor(torch.inf))
        self._worst = Reservoir(SHOWN)

    @classmethod
    def example(cls) -> tuple[SequenceSpec, Batch]:
        """Six windows of 5 to 8 steps in two channels: four that stay where they are, two that jump."""
        classes = ("anomaly", "normal")
        spec = SequenceSpec(("acc_x", "acc_y"), classes, (0.0, 0.0), (1.0, 1.0), (0, 4), 10.0, steps=8, stride=4)
        target, length = torch.tensor([1, 1, 0, 1, 1, 0]), torch.tensor([8, 6, 7, 8, 5, 8])
        generator = torch.Generator().manual_seed(0)
        level = torch.randn(6, 1, 2, generator=generator)
        jumps = torch.randn(6, 8, 2, generator=generator) * (target == 0)[:, None, None]
        values = (level + jumps).masked_fill((torch.arange(8) >= length[:, None])[..., None], 0)
        values[1, 2, 0] = torch.nan
        return spec, {
            "input": values,
            "length": length,
            "target": target,
            "recording": torch.arange(6) // 2 * 2 + (target == 0),
            "index": torch.arange(6),
        }

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `AnomalyPredictor`: tables or arrays to what is unusual in them."""
        from sightseq.tasks.anomaly.predict import AnomalyPredictor

        return AnomalyPredictor

    @classmethod
    def graph(cls) -> "Callable[[Any], Graph]":
        """Return `AnomalyGraph`: windows to errors."""
        from sightseq.tasks.anomaly.graph import AnomalyGraph

        return AnomalyGraph

    def net_arguments(self) -> dict[str, Any]:
        """Return `in_channels`."""
        return {"in_channels": len(self.spec.channels)}

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return how well errors rank windows for validation and test, and F1 at the threshold for the test.

        Those of training only collect the errors for the threshold, which is thus known after validation.
        """
        windows = {"windows": Score(Windows(), None, COLUMNS)}
        if stage == "train":
            return windows
        found = {
            "auroc": Score(Ranking("auroc"), "area under the ROC curve", COLUMNS, percent=True),
            "average_precision": Score(Ranking("average_precision"), "average precision", COLUMNS, percent=True),
            **windows,
        }
        if stage == "test":
            found["event_f1"] = Score(EventF1(), "F1 of recordings", (*COLUMNS, "threshold"), percent=True)
        return found

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the squared error of each step of windows [B, T, D] with lengths [B]: [B, T], 0 at padding.

        It is the mean over the channels whose value is known.
        """
        known = ~values.isnan() & (torch.arange(values.shape[1], device=values.device) < lengths[:, None])[..., None]
        features = self.features(values, lengths)
        squares = (self.net(features, lengths) - features).square() * known
        means: Tensor = squares.sum(2) / known.sum(2).clamp(min=1)
        return means

    def errors(self, batch: Batch) -> Tensor:
        """Return the error of each window [B]: the mean over its steps."""
        steps: Tensor = self(batch["input"], batch["length"])
        return steps.sum(1) / batch["length"]

    def step(self, batch: Batch, stage: str) -> Output:
        """Compute the mean error of the normal windows, and the error of each."""
        error, anomaly = self.errors(batch), self.unusual[batch["target"]]
        normal = ~anomaly & (batch["index"] != PAD_INDEX)
        values = {
            "index": batch["index"],
            "error": error.detach(),
            "anomaly": anomaly,
            "recording": batch["recording"],
            "threshold": self.threshold,
        }
        return Output((error * normal).sum(), normal.sum(), values)

    def on_validation_epoch_end(self) -> None:
        """Compute the threshold from the training windows of this epoch, if there are any."""
        trained = self._windows("train")
        if len(trained.rows):
            self.threshold.fill_(float(trained.compute()[:, 1].quantile(self.quantile)))
        super().on_validation_epoch_end()

    def _windows(self, stage: str) -> Windows:
        return cast(Windows, self.scoreboard.metrics(stage)["windows"])

    def counts(self, dataset: ArrayDataset) -> Mapping[str, int]:
        """Count the windows of each class."""
        target = np.asarray(dataset.arrays["target"])[dataset.rows]
        return dict(
            zip(self.spec.classes, map(int, np.bincount(target, minlength=len(self.spec.classes))), strict=True)
        )

    # Report.

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Keep the windows with the largest errors."""
        error = output.values["error"]
        self._worst.add(torch.where(batch["index"] != PAD_INDEX, error, -1.0), {**batch, "error": error})

    def reset_examples(self) -> None:
        """Discard the windows that `collect_examples` has kept."""
        self._worst.clear()

    def details(self, stage: str) -> dict[str, Any]:
        """Return the threshold."""
        return {"threshold": float(self.threshold)}

    def blocks(self, stage: str) -> list[Block]:
        """Return the errors of all windows with the threshold, and the windows with the largest errors."""
        windows = self._windows(stage).compute()
        caption = (
            "Each dot is a window, in the order of the data. A window above the line is reported: the "
            f"{100 * self.quantile:g} % quantile of the errors of training windows."
        )
        figure = errors_figure(windows[:, 1].numpy(), windows[:, 2].numpy() > 0, float(self.threshold))
        blocks: list[Block] = [FigureBlock("Error of each window", figure, caption=caption)]
        if rows := self._worst.rows():
            names = [
                f"{self.spec.classes[label]}, error {error:.3g}"
                for label, error in zip(rows["target"].tolist(), rows["error"].tolist(), strict=True)
            ]
            blocks.append(FigureBlock("Windows with the largest errors", batch_figure(self._traces(rows), names)))
        return blocks

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot windows with their class names."""
        rows = {name: tensor[:PLOTTED] for name, tensor in batch.items()}
        return batch_figure(self._traces(rows), [self.spec.classes[label] for label in rows["target"].tolist()])

    def _traces(self, rows: Batch) -> list[Trace]:
        """Return the windows without padding."""
        pairs = zip(rows["input"].float().cpu().numpy(), rows["length"].tolist(), strict=True)
        return [Trace(values[:length], self.spec.channels, self.spec.rate) for values, length in pairs]
