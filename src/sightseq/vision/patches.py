"""Augmentation for image-to-image networks: random patches in all eight orientations."""

import torch
from torch import Tensor

from sightseq.vision.augmentation import Move, Movement


class Crop(Movement):
    """Crop a random square patch of each image.

    Args:
        size: height and width of the patch, in pixels; a shorter side of an image is not cropped.
    """

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        self.size = size

    def draw(self, images: Tensor) -> Move:
        b, _, h, w = images.shape
        device, height, width = images.device, min(self.size, h), min(self.size, w)
        tops = torch.randint(0, h - height + 1, (b, 1), device=device)
        lefts = torch.randint(0, w - width + 1, (b, 1), device=device)
        rows = (tops + torch.arange(height, device=device)).view(b, 1, height, 1)
        columns = (lefts + torch.arange(width, device=device)).view(b, 1, 1, width)
        samples = torch.arange(b, device=device).view(b, 1, 1, 1)

        def move(maps: Tensor, nearest: bool) -> Tensor:
            channels = torch.arange(maps.shape[1], device=device).view(1, -1, 1, 1)
            return maps[samples, channels, rows, columns]

        return move


class Turn(Movement):
    """Flip and rotate by multiples of 90 degrees: each of the eight orientations of a square is equally likely.

    Images that are not square are only flipped.
    """

    def draw(self, images: Tensor) -> Move:
        h, w = images.shape[-2:]
        flip_x, flip_y, swap = (torch.rand(3, len(images), 1, 1, 1, device=images.device) < 0.5).unbind()

        def move(maps: Tensor, nearest: bool) -> Tensor:
            maps = torch.where(flip_x, maps.flip(-1), maps)
            maps = torch.where(flip_y, maps.flip(-2), maps)
            return torch.where(swap, maps.transpose(-1, -2), maps) if h == w else maps

        return move
