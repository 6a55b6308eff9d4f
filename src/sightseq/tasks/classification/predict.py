"""What all trained classifiers have in common when they are used."""

from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field, PositiveInt
from rich.table import Table

from sightseq.console import new_table
from sightseq.core.order import Batch
from sightseq.core.predictor import on_device
from sightseq.tasks.classification.task import ClassificationTask

TOP = 5
Prediction = dict[str, Any]


class Common(BaseModel):
    """What `sightseq predict` asks of every model, besides the checkpoint and the inputs."""

    format: Literal["table", "jsonl"]
    device: str
    trust: list[str]


class Settings(BaseModel):
    """The options of a classifier."""

    batch_size: PositiveInt = Field(64, description="inputs that go through the network at once")
    top: PositiveInt = Field(TOP, description="how many of the most probable labels are listed")


class Model:
    """A trained classifier; subclasses know how to read what it is given.

    Args:
        task: as `load_task` gives it.
        device: "cpu", "cuda", "mps", or "auto": the fastest that is there.

    Raises:
        ConfigError: the device is not there.
    """

    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, task: ClassificationTask, device: str = "auto") -> None:
        self.task = on_device(task, device)
        self.classes = task.spec.classes

    @torch.inference_mode()
    def judge(self, batch: Batch, top: int = TOP) -> list[Prediction]:
        """What the model says of each row of a batch.

        Returns:
            For each row a dictionary: `label`, its `probability` (0..1), and `top`, so many of the most probable
            labels (or all) with their probabilities, the most probable first.
        """
        batch = {name: tensor.to(self.task.device) for name, tensor in batch.items()}
        values, places = self.task.predict_step(batch).cpu().topk(min(top, len(self.classes)))
        best = [
            [(self.classes[place], round(value, 6)) for place, value in zip(*row, strict=True)]
            for row in zip(places.tolist(), values.tolist(), strict=True)
        ]
        return [{"label": row[0][0], "probability": row[0][1], "top": [list(pair) for pair in row]} for row in best]


def verdicts(what: str, top: int) -> Table:
    """An empty table of predictions: of files or texts, whose names are never cut."""
    table = new_table(what, "label", "probability", *([f"top {top}"] if top > 1 else []))
    for column in table.columns:
        column.overflow = "fold"
    return table


def verdict(found: Prediction) -> list[str]:
    """A prediction as cells of a table: the label, its probability, and the most probable ones if several are asked."""
    cells = [found["label"], f"{100 * found['probability']:.1f} %"]
    if len(found["top"]) > 1:
        cells.append("  ".join(f"{label} {100 * p:.1f}" for label, p in found["top"]))
    return cells
