"""Classifiers of sequences of vectors: from vectors [B, T, D] and lengths [B] to logits.

Padding is 0 in the input, and no output depends on it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.pooling import Pooling, pool
from sightseq.nets.recurrent import RecurrentLayers
from sightseq.nets.text import head


class RecurrentClassifier(RecurrentLayers):
    """Recurrent layers, pooling of their outputs over time, and dense layers.

    Args:
        width: size of an input vector.
        num_classes: number of logits.
        pooling: one or more kinds: see `nets.pooling.pool`; the scores of the attention are those of a linear layer.
        dense: widths of dense layers before the logits.
        dropout: dropout probability before each dense layer and before the logits.
        recurrent: see `RecurrentLayers`.
    """

    def __init__(
        self,
        width: int,
        num_classes: int,
        *,
        pooling: Sequence[Pooling],
        dense: Sequence[int] = (),
        dropout: float = 0.0,
        **recurrent: Any,
    ) -> None:
        super().__init__(width, **recurrent)
        if not pooling:
            raise ValueError("pooling is empty; name at least one kind")
        self.pooling = tuple(pooling)
        self.attention = nn.Linear(self.width, 1) if "attention" in self.pooling else None
        self.head = head(self.width * len(self.pooling), dense, num_classes, dropout, one_logit=False)

    def classify(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Vectors [B, T, width] and lengths [B] to logits [B, num_classes]."""
        outputs, _ = self.read(vectors, lengths)  # [B, T, self.width]
        logits: Tensor = self.head(pool(outputs, lengths, self.pooling, self.attention, self.bidirectional))
        return logits


class SequenceLSTM(RecurrentClassifier):
    """LSTM layers, pooled over time; before them perhaps a linear layer with ReLU.

    Args:
        in_channels: D.
        num_classes: number of logits.
        projection: outputs of the linear layer; None: no such layer.
        pooling: see `RecurrentClassifier`.
        classifier: `dense` and `dropout`: see `RecurrentClassifier`; `hidden`, `cell` and others: see
            `RecurrentLayers`.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        projection: int | None = None,
        pooling: Sequence[Pooling] = ("attention",),
        **classifier: Any,
    ) -> None:
        layer = nn.Sequential(nn.Linear(in_channels, projection), nn.ReLU()) if projection else None
        super().__init__(projection or in_channels, num_classes, pooling=pooling, embedding=layer, **classifier)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Vectors [B, T, in_channels] and lengths [B] to logits [B, num_classes]."""
        return self.classify(vectors, lengths)


class DeepConvLSTM(RecurrentClassifier):
    """Convolutions along time, the same for each channel, then LSTM layers: Ordóñez and Roggen, 2016 (Deep
    Convolutional and LSTM Recurrent Neural Networks for Multimodal Wearable Activity Recognition, Sensors 16(1), 115).

    The paper has 64 filters of five steps in each of four layers, and the logits of the last step. Here, the
    convolutions keep the length of the sequence, and may have strides, without which a long sequence takes long.

    Args:
        in_channels: D.
        num_classes: number of logits.
        filters: filters of each convolution.
        strides: steps between two outputs of each convolution; their number is that of the convolutions.
        kernel_size: steps that a filter covers, an odd number.
        norm: batch normalisation after each convolution, which learns faster; the paper has none.
        pooling: see `RecurrentClassifier`.
        classifier: see `SequenceLSTM`.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        filters: int = 64,
        strides: Sequence[int] = (1, 1, 1, 1),
        kernel_size: int = 5,
        norm: bool = False,
        pooling: Sequence[Pooling] = ("last",),
        **classifier: Any,
    ) -> None:
        if kernel_size % 2 == 0 or not strides:
            raise ValueError(f"kernel_size={kernel_size} must be odd, and strides not empty")
        super().__init__(filters * in_channels, num_classes, pooling=pooling, **classifier)
        self.strides = tuple(strides)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, filters, (kernel_size, 1), (stride, 1), padding=(kernel_size // 2, 0), bias=not norm)
            for before, stride in zip((1, *[filters] * (len(strides) - 1)), strides, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(filters) if norm else nn.Identity() for _ in strides)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Vectors [B, T, in_channels] and lengths [B] to logits [B, num_classes]."""
        x = vectors[:, None]  # [B, 1, T, in_channels]
        for convolution, norm, stride in zip(self.convolutions, self.norms, self.strides, strict=True):
            lengths = (lengths + stride - 1) // stride
            x = F.relu(norm(convolution(x)))
            x = x.masked_fill(_padding(x.shape[2], lengths)[:, None, :, None], 0)
        return self.classify(x.transpose(1, 2).flatten(2), lengths)  # of [B, T', filters * in_channels]


class ResidualBlock(nn.Module):
    """Two convolutions along time, added to their input; `stride` steps of it become one.

    The shortcut averages these steps before its convolution, so that none is ignored: see `nets.resnet`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        margin = kernel_size // 2
        self.stride = stride
        self.conv1 = nn.Conv1d(in_channels, out_channels, kernel_size, stride, padding=margin, bias=False)
        self.norm1 = nn.BatchNorm1d(out_channels)
        self.conv2 = nn.Conv1d(out_channels, out_channels, kernel_size, padding=margin, bias=False)
        self.norm2 = nn.BatchNorm1d(out_channels)
        nn.init.zeros_(self.norm2.weight)  # every block starts as its shortcut (Goyal et al., 2017)
        self.shortcut = nn.Conv1d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, in_channels, T] to [B, out_channels, ceil(T / stride)], and the lengths of the output."""
        lengths = (lengths + self.stride - 1) // self.stride
        y = self.conv1(x)
        padding = _padding(y.shape[2], lengths)[:, None]
        y = F.relu(self.norm1(y)).masked_fill(padding, 0)
        # Padded with 0 to a multiple of the stride, like a sequence that is padded in a batch.
        averages = F.avg_pool1d(F.pad(x, (0, self.stride - 1)), self.stride)
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(averages)).masked_fill(padding, 0), lengths


class SequenceResNet(nn.Module):
    """A residual network along time, and the mean and the maximum of its features: after Wang et al., 2017 (Time
    Series Classification from Scratch with Deep Neural Networks, arXiv 1611.06455). No LSTM: a yardstick for them.

    Args:
        in_channels: D.
        num_classes: number of logits.
        channels: width of each residual block; every block except the first halves the steps.
        kernel_size: steps that a filter covers, an odd number.
        dropout: dropout probability before the logits.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int] = (64, 128, 128),
        kernel_size: int = 5,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0 or not channels:
            raise ValueError(f"kernel_size={kernel_size} must be odd, and channels not empty")
        self.blocks = nn.ModuleList(
            ResidualBlock(before, after, kernel_size, 2 if place else 1)
            for place, (before, after) in enumerate(pairwise((in_channels, *channels)))
        )
        self.head = head(2 * channels[-1], (), num_classes, dropout, one_logit=False)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Vectors [B, T, in_channels] and lengths [B] to logits [B, num_classes]."""
        x = vectors.transpose(1, 2)  # [B, in_channels, T]
        for block in self.blocks:
            x, lengths = block(x, lengths)
        pooled = torch.cat([x.sum(2) / lengths[:, None], x.amax(2)], dim=1)  # 0 at padding, and nowhere negative
        logits: Tensor = self.head(pooled)
        return logits


def _padding(steps: int, lengths: Tensor) -> Tensor:
    """Return whether each of `steps` steps is padding: bool [B, steps]."""
    return torch.arange(steps, device=lengths.device) >= lengths[:, None]
