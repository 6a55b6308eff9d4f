"""Base of augmentations that move the pixels of image batches.

Photographs have a margin (see `ImageSpec`), which `take_centre` crops after the last augmentation.
"""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from sightseq.core.augmentation import Augmentation
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch

SPATIAL = ("input", "mask", "target")
"""Entries of a batch that move with the pixels if they have the height and width of the images: [B, H, W] or
[B, C, H, W]. Floats are interpolated. Integers and booleans are class labels: they take the value of the nearest pixel.
Beyond the image, signed integers are -1 (ignored by losses and metrics), unsigned ones and booleans 0."""

Move = Callable[[Tensor, bool], Tensor]


def spatial(batch: Batch) -> list[str]:
    """Return the names of those entries of the batch that move with the pixels: see `SPATIAL`."""
    size = batch["input"].shape[-2:]
    return [name for name in SPATIAL if name in batch and batch[name].ndim > 2 and batch[name].shape[-2:] == size]


def take_centre(batch: Batch, height: int, width: int) -> Batch:
    """Crop the images, and what moves with them, to their centre of `height` x `width` pixels."""
    h, w = batch["input"].shape[-2:]
    rows, columns = (slice((old - new) // 2, (old - new) // 2 + new) for old, new in ((h, height), (w, width)))
    return {**batch, **{name: batch[name][..., rows, columns] for name in spatial(batch)}}


class Movement(Augmentation):
    """Moves the pixels, and the entries that belong to them: see `SPATIAL`."""

    @abstractmethod
    def draw(self, images: Tensor) -> Move:
        """Draw the random movement of images [B, C, H, W].

        Returns:
            A function that moves float maps [B, C', H, W]; if its second argument is true, each pixel takes the value
            of the nearest pixel instead of an interpolated one.
        """

    def transform(self, batch: Batch) -> Batch:
        """Return the entries of `SPATIAL`, all moved in the same way.

        Raises:
            ConfigError: the batch has boxes, which cannot be moved.
        """
        if "boxes" in batch:
            raise ConfigError(
                f"model.augment: {type(self).__name__} cannot move boxes, only images and masks; leave it out"
            )
        move = self.draw(batch["input"])
        return {name: _moved(batch[name], move) for name in spatial(batch)}


def _moved(entry: Tensor, move: Move) -> Tensor:
    maps = entry if entry.ndim == 4 else entry[:, None]
    if maps.is_floating_point():
        moved = move(maps, False)
    else:
        offset = int(maps.dtype not in (torch.uint8, torch.bool))  # 0 then means: beyond the image
        moved = (move(maps.float() + offset, True) - offset).to(maps.dtype)
    return moved if entry.ndim == 4 else moved[:, 0]
