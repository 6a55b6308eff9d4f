"""How a person uses a trained model: raw inputs to plain rows in human units."""

from abc import ABC
from typing import ClassVar, TypeVar

import torch
from pydantic import BaseModel

from sightseq.core.errors import ConfigError
from sightseq.core.task import Task

AnyTask = TypeVar("AnyTask", bound=Task)


class Predictor(ABC):
    """A trained task on a device, ready to predict.

    Args:
        task: as `load_task` gives it.
        device: "cpu", "cuda", "mps", or "auto": the fastest that is there.

    Raises:
        ConfigError: the device is not there.
    """

    Settings: ClassVar[type[BaseModel]]
    """The options that `sightseq predict` takes for such a model, besides those of all models."""

    def __init__(self, task: Task, device: str = "auto") -> None:
        self.task = on_device(task, device)


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
