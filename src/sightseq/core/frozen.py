"""The part of a network that is not trained: its outputs are computed once for all samples and kept on disk.

Later epochs then neither read the inputs nor run this part, such as a pretrained encoder of images.
"""

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sightseq.core.loading import Batch

if TYPE_CHECKING:
    from sightseq.core.datamodule import DataModule
    from sightseq.core.task import Task

KEY = 16  # hexadecimal digits


@dataclass(frozen=True, eq=False)
class Frozen:
    """A part of a network that is not trained and reads each sample in the same way in every epoch.

    Attributes:
        module: all modules that `compute` runs.
        compute: maps a batch of stored samples, without augmentation, to the outputs of this part: tensors [B, ...] by
            name, which all later batches contain. It runs in eval mode, in 32 bits, without gradients.
        options: plain values that `compute` also depends on.
    """

    module: nn.Module
    compute: Callable[[Batch], Mapping[str, Tensor]]
    options: Mapping[str, Any] = field(default_factory=dict)

    def key(self) -> str:
        """Return a hash of the weights, of the classes of the modules with their code, and of the options."""
        code = {inspect.getmodule(self.compute), *(inspect.getmodule(type(module)) for module in self.module.modules())}
        files = [getattr(module, "__file__", None) for module in code if module and _is_own(module.__name__)]
        digest = hashlib.sha256(json.dumps([str(self.module), self.options]).encode())
        for file in sorted(filter(None, files)):
            digest.update(Path(file).read_bytes())
        for name, weight in self.module.state_dict().items():
            digest.update(f"{name} {weight.dtype} {list(weight.shape)}".encode())
            digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()[:KEY]


def precompute(task: "Task", data: "DataModule", device: torch.device) -> None:
    """Compute the outputs of the task's frozen part for all samples of the data, once; see `DataModule.add_columns`.

    Nothing happens if the task has no frozen part.

    Args:
        task: with its final frozen weights.
        data: prepared data.
        device: device that computes.
    """
    frozen = task.frozen
    if frozen is None:
        return

    def compute(batch: Batch) -> dict[str, Tensor]:
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            return {name: tensor.cpu() for name, tensor in frozen.compute(batch).items()}

    training = task.training
    task.to(device).eval()
    try:
        data.add_columns(compute, frozen.key())
    finally:
        task.train(training)


def _is_own(module: str) -> bool:
    """Whether the code of a module may change without a change of the version of torch or of the standard library."""
    return module.partition(".")[0] not in {"torch", "torchvision", *sys.stdlib_module_names} - {"__main__"}
