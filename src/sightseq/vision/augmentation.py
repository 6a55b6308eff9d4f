"""What all augmentations of batches of images have in common: what they change, and what moves with the pixels.

Photographs come with a margin (see `ImageSpec`), whose centre is taken in the end: see `take_centre`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch

SPATIAL = ("input", "mask", "target")
"""Entries of a batch that move with the pixels where they have the images' height and width: [B, H, W] or
[B, C, H, W]. Floats are interpolated. Integers and booleans are classes: the nearest pixel is taken, and beyond the
image they are -1, which counts nowhere, or 0 where they have no sign."""

Move = Callable[[Tensor, bool], Tensor]


def make_augmentations(bricks: Mapping[str, Any] | None, **extra: Any) -> nn.ModuleList:
    """Augmentations in their order, each from a `_target_` with arguments, or None: without it.

    Args:
        bricks: by name, as `model.augment` of the config.
        extra: arguments for those that name them: `image_size`, `num_classes`.
    """
    found = {name: brick for name, brick in (bricks or {}).items() if brick}
    return nn.ModuleList(build(brick, nn.Module, f"model.augment.{name}", **extra) for name, brick in found.items())


def spatial(batch: Batch) -> list[str]:
    """The names of the entries that are there of `SPATIAL`."""
    size = batch["input"].shape[-2:]
    return [name for name in SPATIAL if name in batch and batch[name].ndim > 2 and batch[name].shape[-2:] == size]


def take_centre(batch: Batch, height: int, width: int) -> Batch:
    """The batch with the middle of its larger images, and of what moves with them."""
    h, w = batch["input"].shape[-2:]
    rows, columns = (slice((have - want) // 2, (have - want) // 2 + want) for have, want in ((h, height), (w, width)))
    return {**batch, **{name: batch[name][..., rows, columns] for name in spatial(batch)}}


class Augmentation(nn.Module, ABC):
    """Changes batches in training alone."""

    def forward(self, batch: Batch) -> Batch:
        return {**batch, **self.changed(batch)} if self.training else batch

    @abstractmethod
    def changed(self, batch: Batch) -> Batch:
        """The entries that are no longer what they were."""


class Movement(Augmentation):
    """Moves pixels, and what belongs to them: see `SPATIAL`."""

    @abstractmethod
    def draw(self, images: Tensor) -> Move:
        """Draws random numbers for images [B, C, H, W].

        Returns:
            A function that moves maps [B, C', H, W] of floats; where its second argument is true, each pixel takes the
            value of the nearest.
        """

    def changed(self, batch: Batch) -> Batch:
        """The entries of `SPATIAL`, all moved alike.

        Raises:
            ConfigError: there are boxes, which it cannot move.
        """
        if "boxes" in batch:
            raise ConfigError(f"model.augment: {type(self).__name__} moves images and masks, not boxes; leave it out")
        move = self.draw(batch["input"])
        return {name: _moved(batch[name], move) for name in spatial(batch)}


def _moved(entry: Tensor, move: Move) -> Tensor:
    maps = entry if entry.ndim == 4 else entry[:, None]
    if maps.is_floating_point():
        moved = move(maps, False)
    else:
        offset = int(maps.dtype not in (torch.uint8, torch.bool))  # 0 comes from beyond the image
        moved = (move(maps.float() + offset, True) - offset).to(maps.dtype)
    return moved if entry.ndim == 4 else moved[:, 0]
