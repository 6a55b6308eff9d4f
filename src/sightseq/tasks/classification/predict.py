"""Base of the predictors of all classifiers."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from sightseq.core import predictor
from sightseq.core.blocks import Block, TableBlock
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.predictor import Predictor, Row
from sightseq.tasks.classification.task import ClassificationTask

TOP = 5


class Settings(predictor.Settings):
    """Options of `sightseq predict` for a classifier."""

    top: PositiveInt = Field(TOP, description="number of most probable labels to list")


class ClassPredictor(Predictor):
    """A trained classifier; subclasses read the inputs. Arguments and errors: see `Predictor`.

    The row of each input has `label`, its `probability` (0..1), and `top`: the most probable labels with their
    probabilities, in descending order (all labels if there are fewer than requested).
    """

    Settings: ClassVar[type[Settings]] = Settings
    runs_exported: ClassVar[bool] = True
    task: ClassificationTask

    @abstractmethod
    def batch(self, items: Sequence[Any]) -> Batch | None:
        """Return items that `read` returned as a batch; None if they are too long for one."""

    def shown(self, item: Any, rows: Sequence[Row]) -> list[Block]:
        """Return the probabilities, and what mattered for the label."""
        blocks: list[Block] = []
        for row in rows:
            times = f" of {row['start']:g} to {row['end']:g} s" if "start" in row else ""
            blocks.append(TableBlock(f"Label{times}", ["label", "probability"], row["top"], percent=["probability"]))
        if (batch := self.batch([item])) is not None:
            unknown = torch.full((1,), PAD_INDEX)
            block = self.task.explanation({**batch, "probabilities": self._probabilities(batch), "target": unknown})
            if block is not None:
                block.caption = re.split(r"(?<=[.]) (?=[A-Z])", block.caption)[0]  # without how samples were chosen
                blocks.append(block)
        return blocks

    def predict_batch(self, batch: Batch, top: int = TOP) -> list[Row]:
        """Return the row of each sample; the tensors of the batch may be on any device."""
        return self.ranked(self._probabilities(batch), top)

    def ranked(self, predictions: Tensor, top: int = TOP) -> list[Row]:
        """Return the row of each sample, given the probabilities [N, num_classes] of all classes."""
        classes = self.task.spec.classes
        probabilities, indices = predictions.topk(min(top, len(classes)))
        best = [
            [(classes[index], round(probability, 6)) for index, probability in zip(*row, strict=True)]
            for row in zip(indices.tolist(), probabilities.tolist(), strict=True)
        ]
        return [{"label": row[0][0], "probability": row[0][1], "top": [list(pair) for pair in row]} for row in best]

    def _probabilities(self, batch: Batch) -> Tensor:
        """Return probabilities [B, num_classes] on the CPU."""
        if self.exported:
            (found,) = self.exported([batch[name].numpy() for name in self.task.graph_inputs])
            return torch.from_numpy(found)
        return self.task.predict_step({name: tensor.to(self.task.device) for name, tensor in batch.items()}).cpu()

    def cells(self, row: Row) -> dict[str, str]:
        """Return the label, its probability, and the most probable labels if several are listed."""
        cells = {"label": row["label"], "probability": f"{100 * row['probability']:.1f} %"}
        if (top := len(row["top"])) > 1:
            cells[f"top {top}"] = "  ".join(f"{label} {100 * p:.1f}" for label, p in row["top"])
        return cells
