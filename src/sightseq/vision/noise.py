"""Noise that is added to clean images. Levels are on the 0..255 scale; images have values in 0..1.

Noisy images are not clipped to 0..1 and not rounded to bytes, as in most papers on denoising. JPEG is the exception: it
stores bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Generator, Tensor, nn
from torchvision.io import decode_jpeg, encode_jpeg

from sightseq.core.build import build
from sightseq.core.errors import ConfigError

Level = float | tuple[float, float]
"""One level for all images, or the bounds of a uniform distribution from which the level of each image is drawn."""


class Noise(nn.Module, ABC):
    """One kind of noise, at a fixed level or at a random level for each image.

    Attributes:
        parameter: name of the level: the argument of the constructor, and the label in figures.
        bounds: smallest and largest allowed level.
        low, high: bounds of the random level; equal if the level is fixed.
    """

    parameter: ClassVar[str]
    bounds: ClassVar[tuple[float, float]] = (0, 255)

    def __init__(self, level: Level) -> None:
        super().__init__()
        self.low, self.high = (level, level) if isinstance(level, int | float) else level
        smallest, largest = self.bounds
        if not smallest <= self.low <= self.high <= largest:
            raise ConfigError(
                f"{type(self).__name__}: {self.parameter}={level} must be a number from {smallest:g} to {largest:g}, "
                f"or a range [low, high] within these bounds"
            )

    def draw_level(self, count: int, generator: Generator | None = None) -> Tensor:
        """Return the levels of `count` images: float32 [count] on the CPU."""
        if self.low == self.high:
            return torch.full((count,), float(self.low))
        return self.low + (self.high - self.low) * torch.rand(count, generator=generator)

    @abstractmethod
    def forward(self, images: Tensor, level: Tensor, generator: Generator | None = None) -> Tensor:
        """Return the noisy images.

        Args:
            images: float [B, C, H, W], in 0..1 unless other noise was added before.
            level: float [B].
            generator: source of the random numbers; by default torch's generator on the device of the images.

        Returns:
            Float [B, C, H, W].
        """


class Gaussian(Noise):
    """Additive white Gaussian noise, independent in every channel: the standard benchmark of denoising.

    Args:
        sigma: standard deviation, on the 0..255 scale.
    """

    parameter = "sigma"

    def __init__(self, sigma: Level = 25) -> None:
        super().__init__(sigma)

    def forward(self, images: Tensor, level: Tensor, generator: Generator | None = None) -> Tensor:
        """Return the images plus sigma / 255 * N(0, 1)."""
        device = images.device if generator is None else generator.device
        noise = torch.randn(images.shape, generator=generator, device=device, dtype=images.dtype).to(images.device)
        return images + noise * _per_image(level, images) / 255


class Poisson(Noise):
    """Shot noise: a pixel counts photons, so its variance grows with its brightness.

    A white pixel counts `peak` photons on average; its standard deviation is `sigma` = 255 * sqrt(1 / peak). That of a
    mid-grey pixel is sigma / sqrt(2).

    Args:
        sigma: standard deviation of a white pixel, on the 0..255 scale.
    """

    parameter = "sigma"

    def __init__(self, sigma: Level = 25) -> None:
        super().__init__(sigma)

    def forward(self, images: Tensor, level: Tensor, generator: Generator | None = None) -> Tensor:
        """Return Poisson(images * peak) / peak; negative values count as 0."""
        level = _per_image(level, images)
        peak = (255 / level.clamp(min=0.01)) ** 2
        rates = images.clamp(min=0) * peak
        if generator is not None:
            rates = rates.to(generator.device)
        noisy = torch.poisson(rates, generator=generator).to(images.device) / peak
        return torch.where(level > 0, noisy, images)


class SaltAndPepper(Noise):
    """Impulse noise: a random part of the values is replaced, half of them by 0 and half by 1, in each channel.

    Args:
        percent: percentage of the values that are replaced.
    """

    parameter = "percent"
    bounds = (0, 100)

    def __init__(self, percent: Level = 10) -> None:
        super().__init__(percent)

    def forward(self, images: Tensor, level: Tensor, generator: Generator | None = None) -> Tensor:
        """Return the images with some values replaced by 0 or 1."""
        device = images.device if generator is None else generator.device
        # One uniform number decides both: below fraction / 2 the value becomes 0, from there to fraction it becomes 1.
        uniform = torch.rand(images.shape, generator=generator, device=device).to(images.device)
        fraction = _per_image(level, images) / 100
        noisy = torch.where(uniform < fraction, torch.ones_like(images), images)
        return torch.where(uniform < fraction / 2, torch.zeros_like(images), noisy)


class JPEG(Noise):
    """Compression artefacts: blocks of 8x8 pixels, ringing at edges and blurred colours.

    Images are clipped to 0..1, rounded to bytes, encoded and decoded, on the CPU. Needs 1 or 3 channels.

    Args:
        quality: JPEG quality, 1 (worst) to 100; rounded to an integer.
    """

    parameter = "quality"
    bounds = (1, 100)

    def __init__(self, quality: Level = 30) -> None:
        super().__init__(quality)

    def forward(self, images: Tensor, level: Tensor, generator: Generator | None = None) -> Tensor:
        """Return the decoded images: multiples of 1/255."""
        pixels = (images.detach().float().clamp(0, 1) * 255).round().to("cpu", torch.uint8).contiguous()
        qualities = level.round().int().tolist()
        decoded = [decode_jpeg(encode_jpeg(image, quality)) for image, quality in zip(pixels, qualities, strict=True)]
        return torch.stack(decoded).to(images.device, images.dtype) / 255


class Mixture(nn.Module):
    """Several kinds of noise, applied one after another.

    Args:
        noises: the kinds of noise by name, in the order in which they are applied; if empty, images are unchanged.
    """

    def __init__(self, noises: Mapping[str, Noise]) -> None:
        super().__init__()
        self.noises = nn.ModuleDict(noises)

    def __len__(self) -> int:
        return len(self.noises)

    @property
    def first(self) -> Noise | None:
        """The first noise, whose level is the `level` of a batch; None if there is none."""
        return cast(Noise | None, next(iter(self.noises.values()), None))

    def draw_levels(self, count: int, generator: Generator | None = None) -> Tensor:
        """Return the levels of `count` images for each of K kinds of noise: float32 [count, K] on the CPU."""
        columns = [cast(Noise, noise).draw_level(count, generator) for noise in self.noises.values()]
        return torch.stack(columns, dim=1) if columns else torch.zeros(count, 0)

    def forward(self, images: Tensor, levels: Tensor, generator: Generator | None = None) -> Tensor:
        """Return the noisy images.

        Args:
            images: float [B, C, H, W] in 0..1.
            levels: float [B, K], as from `draw_levels`.
            generator: source of the random numbers; by default torch's generator on the device of the images.

        Returns:
            Float [B, C, H, W].
        """
        for noise, level in zip(self.noises.values(), levels.unbind(1), strict=True):
            images = noise(images, level, generator)
        return images


def make_noise(bricks: Mapping[str, Any], key: str = "data.noise") -> Mixture:
    """Build the kinds of noise of a config.

    Args:
        bricks: plain dictionaries with a `_target_`, by name.
        key: their key in the config, for messages.

    Raises:
        ConfigError: a class is not a `Noise`, or an argument is invalid.
    """
    return Mixture({name: build(brick, Noise, f"{key}.{name}") for name, brick in bricks.items()})


def _per_image(level: Tensor, images: Tensor) -> Tensor:
    """Reshape [B] to [B, 1, 1, 1], on the device and in the type of the images."""
    return level.to(images.device, images.dtype)[:, None, None, None]
