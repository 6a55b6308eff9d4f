"""Networks that remove noise from images of any size.

They map images [B, in_channels, H, W] in 0..1 and noise levels [B], on the 0..255 scale, to images
[B, out_channels, H, W]. Networks with `noise_map` get the level as an additional channel; the others ignore it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Denoiser(nn.Module, ABC):
    """Base class: pads images, appends the noise map, and subtracts the predicted noise.

    Args:
        in_channels: channels of the noisy image.
        out_channels: channels of the restored image.
        noise_map: whether the noise level is appended as a channel (Zhang et al., 2018, FFDNet, arXiv 1710.04026).
        multiple: height and width are padded to a multiple of this.
        residual: whether the network predicts the noise (Zhang et al., 2017, DnCNN) or the image.
    """

    def __init__(self, in_channels: int, out_channels: int, noise_map: bool, multiple: int, residual: bool) -> None:
        super().__init__()
        self.noise_map, self.multiple, self.residual = noise_map, multiple, residual
        self.in_channels, self.out_channels = in_channels + noise_map, out_channels

    def forward(self, images: Tensor, level: Tensor) -> Tensor:
        """Map images [B, in_channels, H, W] and noise levels [B] to [B, out_channels, H, W], float32."""
        height, width = images.shape[-2:]
        # Padding is unconditional, so that an exported graph accepts any size.
        padded = F.pad(images, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        if self.noise_map:
            maps = (level / 255).view(-1, 1, 1, 1).expand(-1, -1, *padded.shape[-2:])
            padded = torch.cat([padded, maps.to(padded.dtype)], dim=1)
        output = self.network(padded.contiguous(memory_format=torch.channels_last))[..., :height, :width]
        # In float32: bf16 has 8 significant bits, and rounding the image would add more error than the network removes.
        return images[:, : self.out_channels].float() - output.float() if self.residual else output.float()

    @abstractmethod
    def network(self, images: Tensor) -> Tensor:
        """Map [B, in_channels with noise map, H, W] to [B, out_channels, H, W]; H and W are multiples of `multiple`."""


class ConvAutoencoder(Denoiser):
    """The autoencoder of most courses: convolutions with pooling, then convolutions with upsampling.

    It predicts the image itself, with a sigmoid.

    Args:
        in_channels, out_channels: see `Denoiser`.
        channels: filters of each stage of the encoder, which halves height and width; the decoder has the same stages
            in reverse order.
    """

    def __init__(self, in_channels: int, out_channels: int, channels: Sequence[int] = (32,)) -> None:
        super().__init__(in_channels, out_channels, noise_map=False, multiple=2 ** len(channels), residual=False)
        layers: list[nn.Module] = []
        width = in_channels
        for filters in channels:
            # Pooling before ReLU gives the same result in less time.
            layers += [nn.Conv2d(width, filters, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True)]
            width = filters
        for filters in reversed(channels):
            layers += [nn.Conv2d(width, filters, 3, padding=1), nn.ReLU(inplace=True), nn.Upsample(scale_factor=2)]
            width = filters
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, out_channels, 3, padding=1), nn.Sigmoid())

    def network(self, images: Tensor) -> Tensor:
        """Map padded images to the restored images: see `Denoiser.network`."""
        restored: Tensor = self.layers(images)
        return restored


class DnCNN(Denoiser):
    """A chain of 3 x 3 convolutions (Zhang et al., 2017, arXiv 1608.03981).

    Args:
        in_channels, out_channels, noise_map: see `Denoiser`.
        depth: number of convolutions.
        width: filters of each convolution.
        scale: factor of the initial pixel-unshuffle, which splits the image into scale * scale smaller images, as in
            FFDNet; 1: none.
        batch_norm: whether batch normalisation follows all convolutions but the first and the last.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        depth: int = 17,
        width: int = 64,
        scale: int = 1,
        batch_norm: bool = False,
        noise_map: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, noise_map, multiple=scale, residual=True)
        if depth < 2:
            raise ValueError(f"depth={depth}: must be at least 2, for the first and the last convolution")
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(self.in_channels * scale**2, width, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers.append(nn.Conv2d(width, width, 3, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, out_channels * scale**2, 3, padding=1))
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def network(self, images: Tensor) -> Tensor:
        """Map padded images to their noise: see `Denoiser.network`."""
        return F.pixel_shuffle(self.layers(F.pixel_unshuffle(images, self.scale)), self.scale)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, added to their input [B, C, H, W]; no normalisation."""

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        change: Tensor = self.second(F.relu(self.first(features)))
        return features + change


class UNet(Denoiser):
    """Residual blocks at several resolutions with additive skips (Zhang et al., 2021, DRUNet, arXiv 2008.13751).

    Args:
        in_channels, out_channels, noise_map: see `Denoiser`.
        channels: filters at each resolution, from the highest to the lowest; each resolution is half the one before.
        blocks: residual blocks per resolution, in the encoder and in the decoder.
        scale: see `DnCNN`; the highest resolution is that of the image divided by `scale`.
        bias: whether convolutions have biases; without them, the output scales with the input (Mohan et al., 2020,
            arXiv 1906.05478).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int] = (32, 64, 128),
        blocks: int = 2,
        scale: int = 2,
        bias: bool = False,
        noise_map: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, noise_map, scale * 2 ** (len(channels) - 1), residual=True)
        self.scale = scale

        def chain(width: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width, bias) for _ in range(blocks)))

        pairs = list(pairwise(channels))
        self.head = nn.Conv2d(self.in_channels * scale**2, channels[0], 3, padding=1, bias=bias)
        self.encoders = nn.ModuleList(chain(width) for width in channels[:-1])
        self.downs = nn.ModuleList(nn.Conv2d(high, low, 2, stride=2, bias=bias) for high, low in pairs)
        self.body = chain(channels[-1])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(low, high, 2, stride=2, bias=bias) for high, low in pairs[::-1])
        self.decoders = nn.ModuleList(chain(width) for width in channels[-2::-1])
        self.tail = nn.Conv2d(channels[0], out_channels * scale**2, 3, padding=1, bias=bias)

    def network(self, images: Tensor) -> Tensor:
        """Map padded images to their noise: see `Denoiser.network`."""
        features = self.head(F.pixel_unshuffle(images, self.scale))  # [B, channels[0], H / scale, W / scale]
        skips = [features]
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            features = down(encoder(features))
            skips.append(features)
        features = self.body(features)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            features = decoder(up(features + skips.pop()))
        return F.pixel_shuffle(self.tail(features + skips.pop()), self.scale)
