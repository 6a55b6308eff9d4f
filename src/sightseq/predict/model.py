"""What all trained classifiers have in common when they are used."""

from typing import Any, TypeVar

import torch

from sightseq.core.errors import ConfigError
from sightseq.core.order import Batch
from sightseq.core.task import Task
from sightseq.tasks.classification import ClassificationTask

TOP = 5
Prediction = dict[str, Any]
AnyTask = TypeVar("AnyTask", bound=Task)


class Model:
    """A trained classifier; subclasses know how to read what it is given.

    Args:
        task: as `load_task` gives it.
        device: "cpu", "cuda", "mps", or "auto": the fastest that is there.

    Raises:
        ConfigError: the device is not there.
    """

    def __init__(self, task: ClassificationTask, device: str = "auto") -> None:
        self.task = on_device(task, device)
        self.classes = task.spec.classes

    @torch.inference_mode()
    def judge(self, batch: Batch) -> list[Prediction]:
        """What the model says of each row of a batch.

        Returns:
            For each row a dictionary: `label`, its `probability` (0..1), and `top`, the most probable labels with
            their probabilities.
        """
        batch = {name: tensor.to(self.task.device) for name, tensor in batch.items()}
        values, places = self.task.predict_step(batch).cpu().topk(min(TOP, len(self.classes)))
        tops = [
            [(self.classes[place], round(value, 6)) for place, value in zip(*row, strict=True)]
            for row in zip(places.tolist(), values.tolist(), strict=True)
        ]
        return [{"label": top[0][0], "probability": top[0][1], "top": [list(pair) for pair in top]} for top in tops]


def on_device(task: AnyTask, device: str) -> AnyTask:
    """The task there, ready to predict; "auto" is the fastest device there is.

    Raises:
        ConfigError: the device is not there.
    """
    if device == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        device = str(accelerator or "cpu")
    try:
        return task.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={device}: {str(error).splitlines()[0]}") from error


def verdict(found: Prediction) -> list[str]:
    """A prediction as cells of a table: the label, its probability, and the most probable ones."""
    others = "  ".join(f"{label} {100 * p:.1f}" for label, p in found["top"])
    return [found["label"], f"{100 * found['probability']:.1f} %", others]
