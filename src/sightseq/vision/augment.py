"""Augmentation of whole batches on the device, with different random numbers for each image.

torchvision's transforms draw one set of random numbers for the whole batch. Each class here takes and returns a batch
(see `vision.augmentation`) whose `input` contains float images [B, C, H, W] in 0..1. It draws from torch's default
generator, and is the identity in eval mode.
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sightseq.core.augmentation import Augmentation
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.vision.augmentation import Move, Movement


class Flip(Movement):
    """Mirror each image left to right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def draw(self, images: Tensor) -> Move:
        flip = torch.rand(len(images), 1, 1, 1, device=images.device) < self.p
        return lambda maps, nearest: torch.where(flip, maps.flip(-1), maps)


class Shift(Movement):
    """Move each image by a whole number of pixels along each axis: the usual padded random crop.

    Args:
        pixels: largest move along each axis, in either direction.
        mode: padding: "constant" is black, "reflect" the mirrored image, "replicate" its border.
    """

    def __init__(self, pixels: int = 2, mode: Literal["constant", "reflect", "replicate"] = "constant") -> None:
        super().__init__()
        self.pixels, self.mode = pixels, mode

    def draw(self, images: Tensor) -> Move:
        b, _, h, w = images.shape
        offsets = torch.randint(0, 2 * self.pixels + 1, (2, b, 1), device=images.device)
        rows = (offsets[0] + torch.arange(h, device=images.device)).view(b, 1, h, 1)
        columns = (offsets[1] + torch.arange(w, device=images.device)).view(b, 1, 1, w)
        samples = torch.arange(b, device=images.device).view(b, 1, 1, 1)

        def move(maps: Tensor, nearest: bool) -> Tensor:
            channels = torch.arange(maps.shape[1], device=maps.device).view(1, -1, 1, 1)
            return F.pad(maps, (self.pixels,) * 4, mode=self.mode)[samples, channels, rows, columns]

        return move


class Affine(Movement):
    """Rotate, scale, shear and move each image about its centre, padded with black.

    Args:
        degrees: largest rotation in either direction, in degrees.
        scale: largest relative change of size in either direction (0.1: from 0.9 to 1.1).
        shear: largest shear in either direction, in degrees.
        shift: largest move in either direction, as a fraction of the image size.
        elastic: largest move in either direction of the points of a 3x3 grid, as a fraction of the image size; the
            image between the points is deformed smoothly (after the elastic distortions of Simard et al., 2003).
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

    def draw(self, images: Tensor) -> Move:
        b, _, h, w = images.shape
        angle, shear, size_x, size_y, dx, dy = (2 * torch.rand(6, b, device=images.device) - 1).unbind()
        angle, shear = angle * math.radians(self.degrees), torch.tan(shear * math.radians(self.shear))
        cos, sin = torch.cos(angle), torch.sin(angle)
        x, y = 1 + size_x * self.scale, 1 + size_y * self.scale
        # Positions are in -1..1 along both axes; off-diagonal terms are scaled because the image may not be square.
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

        def move(maps: Tensor, nearest: bool) -> Tensor:
            mode = "nearest" if nearest else self.interpolation
            moved = F.grid_sample(maps, grid.to(maps.dtype), mode=mode, align_corners=False)
            return moved.clamp(0, 1) if maps is images else moved  # bicubic interpolation overshoots at edges

        return move


class ResizedCrop(Movement):
    """Resize a random crop of each image to the network's input size: Szegedy et al., 2015 (arXiv 1409.4842).

    Args:
        image_size: (height, width) of the result.
        smallest: smallest crop, as a fraction of the image's area; the largest is the whole image.
        stretch: largest change of the aspect ratio, as a factor.
    """

    def __init__(self, image_size: tuple[int, int], smallest: float = 0.35, stretch: float = 4 / 3) -> None:
        super().__init__()
        if not (0 < smallest <= 1 and stretch >= 1):
            raise ValueError(f"smallest={smallest} must be in (0, 1], and stretch={stretch} at least 1")
        self.image_size, self.smallest, self.stretch = image_size, smallest, stretch

    def draw(self, images: Tensor) -> Move:
        b, c, _, _ = images.shape
        area, log_ratio, x, y = torch.rand(4, b, device=images.device).unbind()
        area = self.smallest + (1 - self.smallest) * area
        ratio = torch.exp((2 * log_ratio - 1) * math.log(self.stretch))
        width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        zero = torch.zeros_like(x)
        # Positions are in -1..1; the crop's centre moves only so far that the crop stays inside the image.
        theta = torch.stack(
            [
                torch.stack([width, zero, (2 * x - 1) * (1 - width)], dim=1),
                torch.stack([zero, height, (2 * y - 1) * (1 - height)], dim=1),
            ],
            dim=1,
        )  # [B, 2, 3]
        grid = F.affine_grid(theta, [b, c, *self.image_size], align_corners=False)

        def move(maps: Tensor, nearest: bool) -> Tensor:
            mode = "nearest" if nearest else "bilinear"
            return F.grid_sample(maps, grid.to(maps.dtype), mode, padding_mode="reflection", align_corners=False)

        return move


class Colour(Augmentation):
    """Change the brightness, contrast and saturation of each image: Howard, 2013 (arXiv 1312.5402).

    Args:
        brightness, contrast, saturation: largest relative change in either direction (0.4: from 0.6 to 1.4).
            `saturation` does not change grey images.
        in_channels: channels of an image; None: those of the input. A clip, whose frames are side by side along the
            channels, is changed as a whole.
    """

    def __init__(
        self,
        brightness: float = 0.3,
        contrast: float = 0.3,
        saturation: float = 0.3,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.brightness, self.contrast, self.saturation = brightness, contrast, saturation

    def transform(self, batch: Batch) -> Batch:
        images = batch["input"]
        changes = (2 * torch.rand(3, len(images), 1, 1, 1, device=images.device) - 1).to(images.dtype)
        images = images * (1 + self.brightness * changes[0])
        mean = images.mean((1, 2, 3), keepdim=True)
        images = torch.lerp(mean.expand_as(images), images, 1 + self.contrast * changes[1])
        b, c, h, w = images.shape
        frames = images.view(b, -1, self.in_channels or c, h, w)
        grey = frames.mean(2, keepdim=True).expand_as(frames).flatten(1, 2)
        return {"input": torch.lerp(grey, images, 1 + self.saturation * changes[2]).clamp(0, 1)}


class Erase(Augmentation):
    """Fill a random rectangle of each image with grey, with probability `p`: Zhong et al., 2017 (arXiv 1708.04896).

    Masks are not changed.

    Args:
        p: probability that an image loses a rectangle.
        smallest: smallest side of the rectangle, as a fraction of the image's side.
        largest: largest side of the rectangle, as a fraction of the image's side.
    """

    def __init__(self, p: float = 0.5, smallest: float = 0.1, largest: float = 0.5) -> None:
        super().__init__()
        self.p, self.smallest, self.largest = p, smallest, largest

    def transform(self, batch: Batch) -> Batch:
        images = batch["input"]
        b, _, h, w = images.shape
        device = images.device
        sides = self.smallest + (self.largest - self.smallest) * torch.rand(2, b, 1, device=device)
        starts = torch.rand(2, b, 1, device=device) * (1 - sides)
        ys = (torch.arange(h, device=device) + 0.5) / h
        xs = (torch.arange(w, device=device) + 0.5) / w
        rows = (ys >= starts[0]) & (ys < starts[0] + sides[0])  # [B, H]
        columns = (xs >= starts[1]) & (xs < starts[1] + sides[1])  # [B, W]
        erased = torch.rand(b, 1, 1, 1, device=device) < self.p
        mask = erased & (rows[:, None, :, None] & columns[:, None, None, :])
        return {"input": images.masked_fill(mask, 0.5)}


class Mix(Augmentation):
    """Mix each image with another image of the batch, by mixup or cutmix.

    Mixup blends the two images (Zhang et al., 2018, arXiv 1710.09412); cutmix pastes a rectangle of the other image
    (Yun et al., 2019, arXiv 1905.04899). It adds `soft_target` [B, num_classes], the fraction of each class in the
    mixed image; `target` is not changed.

    Args:
        num_classes: number of classes of `target` [B].
        mixup: fraction of the images that are blended.
        cutmix: fraction of the images that get a rectangle.
        alpha: the image's own fraction is drawn from Beta(alpha, alpha): 1 is uniform, a smaller alpha mixes less.
    """

    def __init__(self, num_classes: int, mixup: float = 0.5, cutmix: float = 0.0, alpha: float = 0.2) -> None:
        super().__init__()
        if not (min(mixup, cutmix) >= 0 and mixup + cutmix <= 1 and alpha > 0):
            raise ValueError(
                f"mixup={mixup} and cutmix={cutmix} must be fractions that sum to at most 1, and alpha={alpha} above 0"
            )
        self.num_classes, self.mixup, self.cutmix, self.alpha = num_classes, mixup, cutmix, alpha

    def transform(self, batch: Batch) -> Batch:
        """Return the mixed images and `soft_target`.

        Raises:
            ConfigError: the targets are not one label per image.
        """
        images, target = batch["input"], batch["target"]
        if target.ndim != 1:
            raise ConfigError(
                "model.augment: Mix needs one label per image, which this data does not have; leave Mix out"
            )
        b, _, h, w = images.shape
        partner = torch.randperm(b, device=images.device)
        own = torch.distributions.Beta(self.alpha, self.alpha).sample((b,)).to(images.device).view(b, 1, 1, 1)
        kind, y, x = torch.rand(3, b, 1, 1, 1, device=images.device).unbind()
        half = (1 - own).sqrt() / 2  # half of a side of the rectangle
        rows = (torch.arange(h, device=images.device).view(1, 1, h, 1) + 0.5) / h
        columns = (torch.arange(w, device=images.device).view(1, 1, 1, w) + 0.5) / w
        outside = ((rows - y).abs() > half) | ((columns - x).abs() > half)
        # Weight of the image's own pixel at each position.
        weight = torch.where(kind < self.mixup, own.expand_as(outside), outside.to(own.dtype))
        weight = weight.masked_fill(kind >= self.mixup + self.cutmix, 1)
        soft = batch.get("soft_target", F.one_hot(target, self.num_classes).float())
        fraction = weight.mean((1, 2, 3))[:, None]
        return {
            "input": torch.lerp(images[partner], images, weight),
            "soft_target": torch.lerp(soft[partner], soft, fraction),
        }
