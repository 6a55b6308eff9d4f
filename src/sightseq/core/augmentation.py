"""Augmentation of batches, on the device of the model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import nn

from sightseq.core.build import build
from sightseq.core.loading import Batch


class Augmentation(nn.Module, ABC):
    """Changes batches in training mode only."""

    def forward(self, batch: Batch) -> Batch:
        return {**batch, **self.transform(batch)} if self.training else batch

    @abstractmethod
    def transform(self, batch: Batch) -> Batch:
        """Return the entries of the batch that the augmentation changes."""


def make_augmentations(bricks: Mapping[str, Any] | None, **extra: Any) -> nn.ModuleList:
    """Build the augmentations in their order.

    Args:
        bricks: the augmentations by name, as in `model.augment` of the config: each a `_target_` with arguments, or
            None to leave it out.
        extra: arguments for those classes that take them, such as `image_size`.
    """
    used = {name: brick for name, brick in (bricks or {}).items() if brick}
    return nn.ModuleList(build(brick, nn.Module, f"model.augment.{name}", **extra) for name, brick in used.items())
