"""Augmentation of whole batches of sequences on the device, with different random numbers for each sequence.

Each takes and returns a batch with `input`, raw values [B, T, D], NaN where one is missing, and `length` [B]; draws
from torch's default generator, and is the identity in eval mode. Padding stays 0. `Jitter`, `Scale`, `Rotate`,
`TimeWarp` and `Crop` are after Um et al., 2017 (Data Augmentation of Wearable Sensor Data for Parkinson's Disease
Monitoring, arXiv 1706.00527).
"""

import math

import torch
from torch import Tensor

from sightseq.core.augmentation import Augmentation
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.series.features import without_padding


class SequenceAugmentation(Augmentation):
    """Changes `input` [B, T, D], and `length` [B] if it differs then."""


class Jitter(SequenceAugmentation):
    """Add white noise to each value.

    Args:
        std: standard deviation of each channel over the training split.
        sigma: largest standard deviation of the noise, in units of `std`.
    """

    std: Tensor

    def __init__(self, std: tuple[float, ...], sigma: float = 0.05) -> None:
        super().__init__()
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.sigma = sigma

    def transform(self, batch: Batch) -> Batch:
        values = batch["input"]
        sigma = self.sigma * torch.rand(len(values), 1, 1, device=values.device)
        return {"input": without_padding(values + sigma * self.std * torch.randn_like(values), batch["length"])}


class Scale(SequenceAugmentation):
    """Multiply all values of a sequence by the same factor.

    Args:
        factor: largest change in either direction: 1.1 is up to 10 % larger or smaller.
    """

    def __init__(self, factor: float = 1.1) -> None:
        super().__init__()
        self.factor = _above_one(factor)

    def transform(self, batch: Batch) -> Batch:
        values = batch["input"]
        return {"input": values * self.factor ** (2 * torch.rand(len(values), 1, 1, device=values.device) - 1)}


class Rotate(SequenceAugmentation):
    """Turn all vectors of a sequence by the same rotation, as a sensor worn in another way or a tilted camera does.

    Channels whose names differ only in a last letter x, y, z are a vector in space, those of x and y alone one in the
    plane; all vectors of a sequence turn together. Other channels stay.

    Args:
        channels: names of the channels.
        degrees: largest angle.
    """

    def __init__(self, channels: tuple[str, ...], degrees: float = 20.0) -> None:
        super().__init__()
        self.angle = math.radians(degrees)
        stems = [name[:-1] for name in channels if name.endswith("x")]
        axes = [[channels.index(stem + axis) for axis in "xyz" if stem + axis in channels] for stem in stems]
        self.vectors = {size: [numbers for numbers in axes if len(numbers) == size] for size in (2, 3)}
        if not any(self.vectors.values()):
            raise ConfigError(
                f"model.augment: there is nothing to rotate among the channels {', '.join(channels[:6])}; a vector has "
                "channels NAMEx and NAMEy, and perhaps NAMEz"
            )

    def transform(self, batch: Batch) -> Batch:
        values = batch["input"].clone()
        for size, numbers in self.vectors.items():
            if numbers:
                values[:, :, numbers] = values[:, :, numbers] @ self._rotations(len(values), size, values)[:, None]
        return {"input": values}

    def _rotations(self, count: int, size: int, like: Tensor) -> Tensor:
        """Draw rotations [count, size, size] by random angles, in space about random axes."""
        angle = self.angle * (2 * torch.rand(count, 1, 1, device=like.device) - 1)
        if size == 2:
            cos, sin = angle.cos(), angle.sin()
            return torch.cat([torch.cat([cos, sin], 2), torch.cat([-sin, cos], 2)], 1)
        axis = torch.nn.functional.normalize(torch.randn(count, 3, device=like.device), dim=1)
        x, y, z = axis.unbind(1)
        zero = torch.zeros_like(x)
        cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
        identity = torch.eye(3, device=like.device)
        return identity + angle.sin() * cross + (1 - angle.cos()) * cross @ cross  # Rodrigues


class TimeWarp(SequenceAugmentation):
    """Play each sequence at a speed that changes smoothly, which changes its length.

    Values are interpolated between two steps; where one of them is missing, so is the result.

    Args:
        factor: largest change of the speed in either direction: 1.2 is up to 20 % faster or slower.
        knots: random speeds of a sequence, at least 2, evenly spaced; the speeds between are interpolated.
    """

    def __init__(self, factor: float = 1.2, knots: int = 4) -> None:
        super().__init__()
        if knots < 2:
            raise ConfigError(f"model.augment: knots={knots} must be at least 2")
        self.factor, self.knots = _above_one(factor), knots

    def transform(self, batch: Batch) -> Batch:
        values, length = batch["input"], batch["length"]
        steps = max(1, math.ceil(values.shape[1] * self.factor))
        speeds = self.factor ** (2 * torch.rand(len(values), 1, self.knots, device=values.device) - 1)
        pace = torch.nn.functional.interpolate(speeds, size=steps, mode="linear", align_corners=True)[:, 0]
        places = pace.cumsum(1) - pace[:, :1]  # [B, steps], the first is 0
        last = (length - 1).clamp(min=0)[:, None]
        new = torch.where(length > 0, (places <= last).sum(1), 0)
        places = places.clamp(max=last)[:, : int(new.max())]
        before = places.floor().long()
        after = torch.minimum(before + 1, last)
        part = (places - before)[..., None]
        one, other = (values.gather(1, i[..., None].expand(-1, -1, values.shape[2])) for i in (before, after))
        # Not a sum of products, where NaN * 0 is NaN.
        mixed = torch.where(part == 0, one, one + part * (other - one))
        return {"input": without_padding(mixed, new), "length": new}


class Crop(SequenceAugmentation):
    """Keep a random part of each sequence.

    Args:
        smallest: smallest part, as a fraction of the length.
    """

    def __init__(self, smallest: float = 0.8) -> None:
        super().__init__()
        if not 0 < smallest <= 1:
            raise ConfigError(f"model.augment: smallest={smallest} must lie in (0, 1]")
        self.smallest = smallest

    def transform(self, batch: Batch) -> Batch:
        values, length = batch["input"], batch["length"]
        fraction, position = torch.rand(2, len(values), device=values.device)
        new = (length * (self.smallest + (1 - self.smallest) * fraction)).ceil().long()
        start = ((length - new + 1) * position).floor().long()
        places = start[:, None] + torch.arange(int(new.max()), device=values.device)
        places = places.clamp(max=values.shape[1] - 1)[..., None].expand(-1, -1, values.shape[2])
        return {"input": without_padding(values.gather(1, places), new), "length": new}


class Dropout(SequenceAugmentation):
    """Make values missing: whole channels, and a span of time in all of them.

    Args:
        p: probability that a channel of a sequence is missing.
        span: longest span that is missing, as a fraction of the length.
    """

    def __init__(self, p: float = 0.1, span: float = 0.1) -> None:
        super().__init__()
        if not (0 <= p < 1 and 0 <= span < 1):
            raise ConfigError(f"model.augment: p={p} and span={span} must lie in [0, 1)")
        self.p, self.span = p, span

    def transform(self, batch: Batch) -> Batch:
        values, length = batch["input"], batch["length"]
        channels = torch.rand(len(values), 1, values.shape[2], device=values.device) < self.p
        width, position = torch.rand(2, len(values), 1, device=values.device)
        width = (width * self.span * length[:, None]).floor()
        start = (position * (length[:, None] - width + 1)).floor()
        places = torch.arange(values.shape[1], device=values.device)
        span = (places >= start) & (places < start + width)
        return {"input": without_padding(values.masked_fill(channels | span[..., None], torch.nan), length)}


def _above_one(factor: float) -> float:
    if factor < 1:
        raise ConfigError(f"model.augment: factor={factor} must be at least 1")
    return factor
