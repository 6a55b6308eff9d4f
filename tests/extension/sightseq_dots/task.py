"""The learning problem: loss, scores and report."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from matplotlib.figure import Figure
from sightseq_dots.spec import CountingSpec
from torch import Tensor

from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.graph import Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.predictor import Predictor
from sightseq.core.reservoir import Reservoir
from sightseq.core.scores import MeanLoss, Output, Score
from sightseq.core.task import Task
from sightseq.vision.figures import batch_figure

SHOWN = 25  # images in the report


class AbsoluteError(MeanLoss):
    """Mean absolute error of counts. Reads `prediction`, `target` and `index` [B]; padding rows are ignored."""

    def update(self, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        real = index != PAD_INDEX
        super().update((prediction - target)[real].abs().sum(), real.sum())


class CountingTask(Task):
    """Counting of objects in an image, with the squared error of the standardised count as loss.

    Args:
        task: see `Task`. The network maps images [B, 1, H, W] in 0..1 to [B, 1].
    """

    net_kind: ClassVar[str] = "counting"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows"})
    monitor: ClassVar[str] = "val/mae"
    headline: ClassVar[str] = "mae"
    columns: ClassVar[tuple[str, ...]] = ("mae", "loss")
    spec: CountingSpec

    def __init__(self, **task: Any) -> None:
        super().__init__(**task)
        self._worst = Reservoir(SHOWN)

    @classmethod
    def example(cls) -> tuple[CountingSpec, Batch]:
        """Six random images with the counts 1 to 6."""
        images = torch.randint(0, 256, (6, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        batch = {"input": images, "target": torch.arange(1, 7).float(), "index": torch.arange(6)}
        return CountingSpec(16, 16, 3.5, 1.7), batch

    @classmethod
    def predictor(cls) -> type[Predictor]:
        """Return `CountingPredictor`: image files to counts."""
        from sightseq_dots.predict import CountingPredictor

        return CountingPredictor

    @classmethod
    def graph(cls) -> type[Graph]:
        """Return `CountingGraph`: images to counts."""
        from sightseq_dots.graph import CountingGraph

        return CountingGraph

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images [B, 1, H, W] to counts [B]."""
        standardised = self.net(images.float() / 255)[:, 0].float()
        return self.spec.mean + self.spec.std * standardised

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """Return the counts [B]."""
        counts: Tensor = self(batch["input"])
        return counts

    def step(self, batch: Batch, stage: str) -> Output:
        """Compute the squared error, summed over the images."""
        real, target = batch["index"] != PAD_INDEX, batch["target"]
        prediction = self(batch["input"])
        losses = ((prediction - target) / self.spec.std) ** 2
        values = {"prediction": prediction.detach(), "target": target, "index": batch["index"]}
        return Output((losses * real).sum(), real.sum(), values)

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return the mean absolute error."""
        return {"mae": Score(AbsoluteError(), "mean absolute error", ("prediction", "target", "index"))}

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the images with their counts."""
        images = batch["input"][:SHOWN, 0].cpu().numpy()
        return batch_figure(list(images), [f"{count:.0f}" for count in batch["target"][:SHOWN].tolist()])

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Keep the images with the largest errors."""
        error = (output.values["prediction"] - output.values["target"]).abs()
        rows = {"input": batch["input"], **output.values}
        self._worst.add(torch.where(batch["index"] != PAD_INDEX, error, -1.0), rows)

    def reset_examples(self) -> None:
        """Discard the images that `collect_examples` has kept."""
        self._worst.clear()

    def blocks(self, stage: str) -> list[Block]:
        """Return a figure of the images with the largest errors."""
        rows = self._worst.rows()
        if not rows:
            return []
        pairs = zip(rows["prediction"].tolist(), rows["target"].tolist(), strict=True)
        labels = [f"{guess:.1f}, truth {truth:.0f}" for guess, truth in pairs]
        figure = batch_figure(list(rows["input"][:, 0].numpy()), labels)
        return [FigureBlock("Largest errors", figure, caption="The counts that are furthest from the truth.")]
