"""BC-ResNet for spoken words: Kim et al., 2021 (arXiv 2106.04140)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.sound import padding_frames


class SubSpectralNorm(nn.Module):
    """Batch norm with separate statistics and weights for each of several frequency bands (arXiv 2103.13620).

    Args:
        channels: number of channels.
        bands: number of bands; it divides the number of frequencies.
    """

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.norm = nn.BatchNorm2d(channels * bands)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [B, C, F, T]."""
        rows, channels, frequencies, frames = x.shape
        x = x.reshape(rows, channels * self.bands, frequencies // self.bands, frames)
        normalised: Tensor = self.norm(x)
        return normalised.reshape(rows, channels, frequencies, frames)


class BroadcastedBlock(nn.Module):
    """A residual block: a convolution over frequencies, plus one over time on the mean of all frequencies.

    Args:
        in_channels, out_channels: channels before and after; where they differ, the block has no identity shortcut.
        stride: 2 halves the frequencies.
        dilation: distance in frames between the taps of the temporal convolution.
        bands: see `SubSpectralNorm`.
        dropout: probability of dropping a channel of the temporal branch.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, dilation: int, bands: int, dropout: float
    ) -> None:
        super().__init__()
        width = out_channels
        self.project = (
            None
            if in_channels == width
            else nn.Sequential(nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        )
        self.frequency = nn.Conv2d(width, width, (3, 1), (stride, 1), (1, 0), groups=width, bias=False)
        self.frequency_norm = SubSpectralNorm(width, bands)
        self.time = nn.Conv2d(
            width, width, (1, 3), padding=(0, dilation), dilation=(1, dilation), groups=width, bias=False
        )
        self.time_norm = nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, width, 1, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """[B, in_channels, F, T] to [B, out_channels, ceil(F / stride), T]; `padding`: bool [B, 1, 1, T]."""
        y = self.frequency_norm(self.frequency(x if self.project is None else self.project(x)))
        z = y.mean(2, keepdim=True).masked_fill(padding, 0)  # [B, out_channels, 1, T]
        z = self.dropout(self.mix(F.silu(self.time_norm(self.time(z)))))
        return F.relu(y + z if self.project else x + y + z)


class BCResNet(nn.Module):
    """BC-ResNet: depthwise-separable residual blocks whose temporal part is shared by all frequencies.

    Args:
        in_channels: channels of the spectrogram.
        num_classes: number of logits.
        n_mels: frequencies of the spectrogram; a multiple of 8 * `bands`.
        width: factor of all widths, the number in the paper's names: 1 for BC-ResNet-1, 8 for BC-ResNet-8.
        blocks: residual blocks of each stage.
        bands: frequency bands that are normalised separately; the paper has 5 for 40 mels.
        dropout: probability of dropping a channel of the temporal branch of a block.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        n_mels: int,
        width: float = 2.0,
        blocks: Sequence[int] = (2, 2, 4, 4),
        bands: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if n_mels % (8 * bands):
            raise ValueError(f"n_mels={n_mels} is not a multiple of {8 * bands}: 8 * bands={bands}")
        stem, *stages, last = (round(base * width) for base in (16, 8, 12, 16, 20, 32))
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, stem, 5, (2, 1), 2, bias=False), nn.BatchNorm2d(stem), nn.ReLU()
        )
        layers = []
        before = stem
        for stage, (after, count, stride) in enumerate(zip(stages, blocks, (1, 2, 2, 1), strict=True)):
            for block in range(count):
                first = block == 0
                layers.append(BroadcastedBlock(before, after, stride if first else 1, 2**stage, bands, dropout))
                before = after
        self.blocks = nn.ModuleList(layers)
        rows = min(5, n_mels // 8)
        self.tail = nn.Conv2d(before, before, (rows, 5), padding=(0, 2), groups=before, bias=False)
        self.expand = nn.Sequential(nn.Conv2d(before, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU())
        self.head = nn.Linear(last, num_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Spectrograms [B, in_channels, n_mels, T] and lengths [B] to logits [B, num_classes]."""
        padding = padding_frames(features, lengths)
        x = self.stem(features)  # [B, stem, n_mels / 2, T]
        for block in self.blocks:
            x = block(x, padding)
        x = self.expand(self.tail(x.masked_fill(padding, 0)))  # [B, last, rows, T]
        x = x.mean(2).masked_fill(padding[:, :, 0], 0)  # [B, last, T]
        logits: Tensor = self.head(x.sum(2) / lengths.clamp(min=1)[:, None])
        return logits
