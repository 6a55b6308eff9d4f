"""Augmentation of whole batches on the device, every image with random numbers of its own.

torchvision's transforms draw one set of numbers for the whole batch. Each class here takes and returns
float images [B, C, H, W] in 0..1, draws from torch's default generator, and is the identity in eval mode.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Flip(nn.Module):
    """Mirrors left and right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, images: Tensor) -> Tensor:
        flip = torch.rand(len(images), 1, 1, 1, device=images.device) < self.p
        return torch.where(flip, images.flip(-1), images) if self.training else images


class Shift(nn.Module):
    """Moves each image by whole pixels, up to `pixels` each way: the usual padded random crop.

    Args:
        pixels: largest move along each axis.
        mode: "constant" pads with black, "reflect" with the mirrored image,
            "replicate" with its border.
    """

    def __init__(self, pixels: int = 2, mode: Literal["constant", "reflect", "replicate"] = "constant") -> None:
        super().__init__()
        self.pixels, self.mode = pixels, mode

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return images
        b, c, h, w = images.shape
        padded = F.pad(images, (self.pixels,) * 4, mode=self.mode)
        offsets = torch.randint(0, 2 * self.pixels + 1, (2, b, 1), device=images.device)
        rows = (offsets[0] + torch.arange(h, device=images.device)).view(b, 1, h, 1)
        columns = (offsets[1] + torch.arange(w, device=images.device)).view(b, 1, 1, w)
        batch = torch.arange(b, device=images.device).view(b, 1, 1, 1)
        channels = torch.arange(c, device=images.device).view(1, c, 1, 1)
        return padded[batch, channels, rows, columns]


class Affine(nn.Module):
    """Rotates, scales, shears and moves each image about its centre, padding with black.

    Args:
        degrees: largest rotation each way, in degrees.
        scale: largest relative change of size each way (0.1: from 0.9 to 1.1).
        shear: largest shear each way, in degrees.
        shift: largest move each way, as a fraction of the image.
        elastic: largest move each way of nine points spread over the image, as a fraction of it; what lies between
            them bends smoothly (after the elastic distortions of Simard et al., 2003).
        interpolation: "bilinear" is fast, "bicubic" keeps small images sharp.
    """

    def __init__(
        self,
        degrees: float = 10,
        scale: float = 0.1,
        shear: float = 0,
        shift: float = 0.05,
        elastic: float = 0,
        interpolation: Literal["bilinear", "bicubic"] = "bilinear",
    ) -> None:
        super().__init__()
        self.degrees, self.scale, self.shear, self.shift = degrees, scale, shear, shift
        self.elastic, self.interpolation = elastic, interpolation

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return images
        b, _, h, w = images.shape
        angle, shear, size_x, size_y, dx, dy = (2 * torch.rand(6, b, device=images.device) - 1).unbind()
        angle, shear = angle * math.radians(self.degrees), torch.tan(shear * math.radians(self.shear))
        cos, sin = torch.cos(angle), torch.sin(angle)
        x, y = 1 + size_x * self.scale, 1 + size_y * self.scale
        # Sampling positions in -1..1 are stretched by w / h where the image is not square.
        theta = torch.stack(
            [
                torch.stack([x * cos, x * (shear * cos - sin) * h / w, 2 * dx * self.shift], dim=1),
                torch.stack([y * sin * w / h, y * (shear * sin + cos), 2 * dy * self.shift], dim=1),
            ],
            dim=1,
        )  # [B, 2, 3]
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)  # [B, H, W, 2]
        if self.elastic:
            points = 2 * self.elastic * (2 * torch.rand(b, 2, 3, 3, device=images.device) - 1)
            grid = grid + F.interpolate(points, (h, w), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
        moved = F.grid_sample(images, grid.to(images.dtype), mode=self.interpolation, align_corners=False)
        return moved.clamp(0, 1)  # bicubic overshoots at edges


class Erase(nn.Module):
    """Paints a rectangle of each image grey with probability `p`: Zhong et al., 2017 (arXiv 1708.04896).

    Args:
        p: share of the images that lose a rectangle.
        smallest: smallest side, as a fraction of the image's.
        largest: largest side, as a fraction of the image's.
    """

    def __init__(self, p: float = 0.5, smallest: float = 0.1, largest: float = 0.5) -> None:
        super().__init__()
        self.p, self.smallest, self.largest = p, smallest, largest

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return images
        b, _, h, w = images.shape
        device = images.device
        sides = self.smallest + (self.largest - self.smallest) * torch.rand(2, b, 1, device=device)
        starts = torch.rand(2, b, 1, device=device) * (1 - sides)
        ys = (torch.arange(h, device=device) + 0.5) / h
        xs = (torch.arange(w, device=device) + 0.5) / w
        rows = (ys >= starts[0]) & (ys < starts[0] + sides[0])  # [B, H]
        columns = (xs >= starts[1]) & (xs < starts[1] + sides[1])  # [B, W]
        hit = torch.rand(b, 1, 1, 1, device=device) < self.p
        mask = hit & (rows[:, None, :, None] & columns[:, None, None, :])
        return images.masked_fill(mask, 0.5)
