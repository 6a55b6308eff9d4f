"""The first layer of every image model: normalisation of pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """Convert bytes, or floats in 0..1, to floats of zero mean and unit variance per channel.

    Args:
        mean, std: per channel, on values in 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] uint8, or float in 0..1, to [B, C, H, W] float in channels_last memory order."""
        normalised = (to_unit(images) - self.mean) / self.std
        return normalised.contiguous(memory_format=torch.channels_last)


def to_unit(images: Tensor) -> Tensor:
    """Convert bytes to floats in 0..1; floats are returned unchanged."""
    return images if images.is_floating_point() else images.float() / 255


def centre(images: Tensor, height: int, width: int) -> Tensor:
    """Crop images to their centre [B, C, height, width]; images of this size are returned unchanged."""
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[..., top : top + height, left : left + width]
