"""Augmentation of batches of lines of writing, on the device.

Each class takes and returns a batch whose `input` contains float images [B, C, H, W] in 0..1 and whose `length` int64
[B] contains their widths in pixels; what is beyond the width is padding. Paper and padding are 0. No ink leaves the
width: where a line becomes wider, so does its `length`. Each line gets its own random numbers from torch's default
generator.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sightseq.core.augmentation import Augmentation
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch


class LineWarp(Augmentation):
    """Slant, stretch, shrink, pad and distort each line of writing.

    Args:
        slant: largest slant to either side, in degrees.
        stretch: largest relative change of the width in either direction (0.1: from 0.9 to 1.1).
        shrink: largest relative loss of height (0.2: from 0.8 to 1); the line is then at a random height.
        elastic: largest move of the points of a grid in either direction, as a fraction of the height; the points are
            half a height apart, and the line between them is deformed smoothly (after Simard et al., 2003).
        padding: largest width of paper added at either end, as a fraction of the height.
    """

    def __init__(
        self,
        slant: float = 15.0,
        stretch: float = 0.15,
        shrink: float = 0.2,
        elastic: float = 0.04,
        padding: float = 0.25,
    ) -> None:
        super().__init__()
        if not (0 <= slant < 60 and 0 <= stretch < 1 and 0 <= shrink < 1 and 0 <= elastic < 0.2 and padding >= 0):
            raise ConfigError(
                f"model.augment: LineWarp needs slant={slant} in [0, 60), stretch={stretch} and shrink={shrink} in "
                f"[0, 1), elastic={elastic} in [0, 0.2), and padding={padding} of at least 0"
            )
        self.slant, self.stretch, self.shrink = slant, stretch, shrink
        self.elastic, self.padding = elastic, padding

    def transform(self, batch: Batch) -> Batch:
        images, length = batch["input"], batch["length"]
        b, _, h, w = images.shape
        tilt, wide, high, up, left, right = torch.rand(6, b, device=images.device).unbind()
        tilt = torch.tan(math.radians(self.slant) * (2 * tilt - 1))
        wide = 1 + self.stretch * (2 * wide - 1)
        edge = self.elastic * h  # room for the elastic moves on all sides
        high = (1 - self.shrink * high) * (1 - 2 * self.elastic)
        rise = high * h  # height of the result in pixels
        top = edge + up * (h - 2 * edge - rise)
        room = edge + self.padding * h * left + (-tilt).clamp(min=0) * rise  # left of the line's lower left corner
        ends = edge + self.padding * h * right + tilt.clamp(min=0) * rise
        new_length = torch.where(length > 0, (room + wide * length + ends).ceil().long(), 0)
        new_w = max(int(new_length.max()), 1)
        # The position in the image of each pixel of the result.
        y = torch.arange(h, device=images.device).view(1, h, 1) + 0.5
        x = torch.arange(new_w, device=images.device).view(1, 1, new_w) + 0.5
        if self.elastic:
            dx, dy = self._moves(b, h, new_w, images).unbind(1)
            y, x = y + dy, x + dx
        top, rise, high, wide, tilt, room = (value.view(b, 1, 1) for value in (top, rise, high, wide, tilt, room))
        below = y - top
        grid_y = (2 / h) * below / high - 1
        grid_x = (2 / w) * (x - room - tilt * (rise - below)) / wide - 1
        grid = torch.stack(torch.broadcast_tensors(grid_x, grid_y), dim=3)  # type: ignore[no-untyped-call]  # [B, H, W', 2]
        warped = F.grid_sample(images, grid.to(images.dtype), align_corners=False)
        return {"input": without_padding(warped, new_length), "length": new_length}

    def _moves(self, b: int, h: int, w: int, images: Tensor) -> Tensor:
        """Return smooth random moves in pixels along x and y, [B, 2, H, W]."""
        largest = self.elastic * h
        points = 2 * torch.rand(b, 2, 3, max(2, -(-2 * w // h) + 1), device=images.device) - 1
        moves = F.interpolate(points * largest, (h, w), mode="bicubic", align_corners=True)
        return moves.clamp(-largest, largest)


class Stroke(Augmentation):
    """Make the strokes of each line thicker or thinner, by up to one pixel on each side.

    Args:
        thicker: largest weight, 0..1, of the dilated line (each pixel is the maximum of its 3x3 neighbours).
        thinner: the same for the eroded line (their minimum).
    """

    def __init__(self, thicker: float = 0.5, thinner: float = 0.3) -> None:
        super().__init__()
        if not (0 <= thicker <= 1 and 0 <= thinner <= 1):
            raise ConfigError(f"model.augment: Stroke needs thicker={thicker} and thinner={thinner} in [0, 1]")
        self.thicker, self.thinner = thicker, thinner

    def transform(self, batch: Batch) -> Batch:
        images = batch["input"]
        weight = 2 * torch.rand(len(images), 1, 1, 1, device=images.device) - 1
        dilated = F.max_pool2d(images, 3, stride=1, padding=1)
        eroded = -F.max_pool2d(-images, 3, stride=1, padding=1)
        weight = torch.where(weight > 0, self.thicker * weight, self.thinner * weight).to(images.dtype)
        changed = torch.where(weight > 0, torch.lerp(images, dilated, weight), torch.lerp(images, eroded, -weight))
        return {"input": without_padding(changed, batch["length"])}


def without_padding(images: Tensor, length: Tensor) -> Tensor:
    """Return images [B, C, H, W] with 0 beyond their widths [B]."""
    columns = torch.arange(images.shape[-1], device=images.device)
    return images * (columns < length[:, None])[:, None, None, :].to(images.dtype)
