"""Classifiers of sounds: from spectrograms [B, C, F, T] and their lengths in frames [B] to logits.

Padding frames are 0 in the input, and no output depends on them.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.recurrent import reverse


def padding_frames(x: Tensor, lengths: Tensor) -> Tensor:
    """Return whether each frame of x [B, C, F, T] is padding: bool [B, 1, 1, T]."""
    return (torch.arange(x.shape[3], device=x.device) >= lengths[:, None])[:, None, None]


class ConvStage(nn.Module):
    """Two 3x3 convolutions with batch norm, then 2x2 max pooling.

    Args:
        in_channels, out_channels: channels before and after.
        dropout: probability of dropping a channel.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)  # a clip of one frame keeps it
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, in_channels, F, T] to [B, out_channels, ceil(F / 2), ceil(T / 2)], and the lengths of the output."""
        padding = padding_frames(x, lengths)
        x = F.relu(self.norm1(self.conv1(x))).masked_fill(padding, 0)
        x = F.relu(self.norm2(self.conv2(x))).masked_fill(padding, 0)
        return self.dropout(self.pool(x)), (lengths + 1) // 2


class SoundCNN(nn.Module):
    """Stages of two convolutions, the mean over the frequencies, and the mean and maximum over time.

    A small version of CNN10 of Kong et al., 2020 (PANNs, arXiv 1912.10211), with max pooling.

    Args:
        in_channels: channels of the spectrogram.
        num_classes: number of logits.
        channels: width of each stage; every stage halves frequencies and frames.
        stage_dropout: probability of dropping a channel after each stage.
        dropout: probability of dropping a feature before the logits.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int] = (16, 32, 64, 128),
        stage_dropout: float = 0.1,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            ConvStage(before, after, stage_dropout) for before, after in pairwise((in_channels, *channels))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1], num_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Spectrograms [B, in_channels, F, T] and lengths [B] to logits [B, num_classes]."""
        x = features
        for stage in self.stages:
            x, lengths = stage(x, lengths)
        x = x.mean(2)  # [B, channels[-1], T]; 0 at padding, and nowhere negative
        pooled = x.amax(2) + x.sum(2) / lengths.clamp(min=1)[:, None]
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


class AttentionRNN(nn.Module):
    """Convolutions along time, a bidirectional LSTM, and attention: de Andrade et al., 2018 (arXiv 1808.08929).

    The query is made of the output at the middle frame.

    Args:
        in_channels: channels of the spectrogram.
        num_classes: number of logits.
        n_mels: frequencies of the spectrogram.
        filters: filters of the first convolution; the second one returns a single map.
        kernel_size: frames that a filter covers, an odd number.
        hidden: units of each LSTM layer and direction.
        dense: widths of the dense layers before the logits.
        dropout: probability of dropping a unit before each LSTM layer except the first, and before each dense layer.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        n_mels: int,
        filters: int = 10,
        kernel_size: int = 5,
        hidden: Sequence[int] = (64, 64),
        dense: Sequence[int] = (64, 32),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0 or not hidden:
            raise ValueError(f"kernel_size={kernel_size} must be odd, and hidden={list(hidden)} not empty")
        window, margin = (1, kernel_size), (0, kernel_size // 2)
        self.conv1 = nn.Conv2d(in_channels, filters, window, padding=margin, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, 1, window, padding=margin, bias=False)
        self.norm2 = nn.BatchNorm2d(1)
        widths = list(zip((n_mels, *(2 * width for width in hidden[:-1])), hidden, strict=True))
        self.layers = nn.ModuleList(nn.LSTM(before, width, batch_first=True) for before, width in widths)
        self.reverse_layers = nn.ModuleList(nn.LSTM(before, width, batch_first=True) for before, width in widths)
        self.dropout = nn.Dropout(dropout)
        self.query = nn.Linear(2 * hidden[-1], 2 * hidden[-1])
        layers: list[nn.Module] = []
        for before, after in pairwise((2 * hidden[-1], *dense)):
            layers += [nn.Dropout(dropout), nn.Linear(before, after), nn.ReLU()]
        self.head = nn.Sequential(*layers, nn.Linear(dense[-1] if dense else 2 * hidden[-1], num_classes))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Spectrograms [B, in_channels, n_mels, T] and lengths [B] to logits [B, num_classes]."""
        padding, lengths = padding_frames(features, lengths), lengths.clamp(min=1)
        x = F.relu(self.norm1(self.conv1(features))).masked_fill(padding, 0)
        x = F.relu(self.norm2(self.conv2(x)))
        x = x[:, 0].transpose(1, 2)  # [B, T, n_mels]
        for depth, (layer, reverse_layer) in enumerate(zip(self.layers, self.reverse_layers, strict=True)):
            x = self.dropout(x) if depth else x
            backward, _ = reverse_layer(reverse(x, lengths))
            x = torch.cat([layer(x)[0], reverse(backward, lengths)], dim=2)  # [B, T, 2 * hidden]
        middle = x[torch.arange(x.shape[0], device=x.device), lengths // 2]  # [B, 2 * hidden]
        scores = (x @ self.query(middle)[:, :, None]).float()  # [B, T, 1]
        weights = scores.masked_fill(padding[:, 0, 0, :, None], -torch.inf).softmax(dim=1).to(x.dtype)
        logits: Tensor = self.head((weights * x).sum(1))
        return logits
