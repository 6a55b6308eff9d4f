"""Classifiers of videos with convolutions through time: ConvLSTM and R(2+1)D; see `nets.video`."""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.recurrent import State
from sightseq.nets.video import CausalNetwork, Vote, padding, unfold


class ConvLSTMLayer(nn.Module):
    """An LSTM whose gates are convolutions, and whose state is a map: equation 3 of Shi et al., 2015.

    Args:
        in_channels: channels of the input.
        hidden: channels of the state.
        grid: height and width of both, for the weights from the cell to the gates (peepholes).
        kernel: odd, in positions.
    """

    def __init__(self, in_channels: int, hidden: int, grid: tuple[int, int], kernel: int = 3) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel} must be odd")
        self.project = nn.Conv2d(in_channels, 4 * hidden, kernel, padding=kernel // 2)
        self.recurrent = nn.Conv2d(hidden, 4 * hidden, kernel, padding=kernel // 2, bias=False)
        self.peepholes = nn.Parameter(torch.zeros(3, hidden, *grid))  # to the input, forget and output gates
        with torch.no_grad():
            cast(Tensor, self.project.bias)[hidden : 2 * hidden] += (
                1  # at the start, the forget gate lets the state through
            )

    def forward(self, maps: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read maps [B, T, in_channels, h, w] after the state (h, c), each [B, hidden, h, w].

        Returns:
            The outputs [B, T, hidden, h, w] and the next state.
        """
        gates = unfold(self.project(maps.flatten(0, 1)), maps)  # of all frames at once
        into_peep, forget_peep, out_peep = self.peepholes
        outputs = []
        for now in gates.unbind(1):
            into, forget, new, out = (now + self.recurrent(h)).chunk(4, dim=1)
            c = torch.sigmoid(forget + forget_peep * c) * c + torch.sigmoid(into + into_peep * c) * torch.tanh(new)
            h = torch.sigmoid(out + out_peep * c) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, dim=1), (h, c)


class ConvLSTM(CausalNetwork):
    """ConvLSTM layers over the feature maps of the frames: Shi et al., 2015 (arXiv 1506.04214).

    The logits after a frame are those of the mean over the positions of the last layer's output.

    Args:
        num_classes: number of logits.
        encoder: see `FrameNetwork`.
        hidden: channels of each layer's state.
        kernel: size of the convolutions, odd, in positions.
        dropout: dropout probability before the logits.
        vote: see `CausalNetwork`.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        encoder: nn.Module,
        hidden: Sequence[int] = (64,),
        kernel: int = 3,
        dropout: float = 0.0,
        vote: Vote = "last",
    ) -> None:
        super().__init__(encoder, None, vote)
        if not hidden:
            raise ValueError("hidden is empty; give the width of at least one layer")
        self.hidden, grid = tuple(hidden), tuple(self.encoder.grid)
        self.layers = nn.ModuleList(
            ConvLSTMLayer(before, after, grid, kernel) for before, after in pairwise((self.width, *hidden))
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden[-1], num_classes))

    def begin(self, features: Tensor) -> State:
        """See `CausalNetwork.begin`."""
        size = features.shape[3:]
        return [(features.new_zeros(len(features), width, *size),) * 2 for width in self.hidden]

    def stream(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """See `CausalNetwork.stream`."""
        after: State = []
        for layer, before in zip(self.layers, state, strict=True):
            features, last = layer(features, *before)
            after.append(last)
        return self.head(features.mean((3, 4))), after


class R2Plus1D(nn.Module):
    """A small R(2+1)D: residual blocks whose 3x3x3 convolutions are split in space and time, Tran et al., 2018
    (arXiv 1711.11248).

    Args:
        in_channels: channels of a frame.
        num_classes: number of logits.
        channels: width of each stage; every stage but the first halves height, width and frames.
        blocks: residual blocks of each stage.
        stem_stride: of the first layer in space; 2 for photographs.
        dropout: dropout probability before the logits.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int] = (16, 32, 64),
        blocks: int = 1,
        stem_stride: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = SpaceTime(in_channels, channels[0], stem_stride, 1)
        widths = [(before, after) for before, after in pairwise((channels[0], *channels))]
        layers = [
            Residual(after if place else before, after, 2 if stage and not place else 1)
            for stage, (before, after) in enumerate(widths)
            for place in range(blocks)
        ]
        self.blocks = nn.ModuleList(layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], num_classes))

    def forward(self, clips: Tensor, lengths: Tensor) -> Tensor:
        """Normalised clips [B, T, in_channels, H, W] and lengths in frames [B] to logits [B, num_classes]."""
        x = clips.masked_fill(_blank(clips, lengths), 0)
        x, lengths = self.stem(x, lengths)
        x = F.relu(x)
        for block in self.blocks:
            x, lengths = block(x, lengths)
        pooled = x.masked_fill(_blank(x, lengths), 0).mean((3, 4)).sum(1) / lengths[:, None]
        logits: Tensor = self.head(pooled)
        return logits


class Residual(nn.Module):
    """Two `SpaceTime` layers with a shortcut.

    Args:
        before, after: channels of input and output.
        stride: 2 halves height, width and frames.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.one, self.two = SpaceTime(before, after, stride, stride), SpaceTime(after, after, 1, 1)
        self.shortcut = nn.Conv2d(before, after, 1, stride) if stride > 1 or before != after else nn.Identity()

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Maps [B, T, before, h, w] to [B, ceil(T / stride), after, ...], and the lengths of the output."""
        y, shorter = self.one(x, lengths)
        y, _ = self.two(F.relu(y), shorter)
        some = x[:, :: self.stride]
        y = y + unfold(self.shortcut(some.flatten(0, 1)), some)
        return F.relu(y), shorter


class SpaceTime(nn.Module):
    """A 3x3 convolution in space, then one over three frames, each with batch norm.

    The layer between has the width that gives as many weights as a 3x3x3 convolution: section 3.5 of the paper.

    Args:
        before, after: channels of input and output.
        stride: stride in space.
        time_stride: stride in time.
    """

    def __init__(self, before: int, after: int, stride: int, time_stride: int) -> None:
        super().__init__()
        between = 27 * before * after // (9 * before + 3 * after)
        self.space = nn.Conv2d(before, between, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(between)
        self.time = nn.Conv3d(between, after, (3, 1, 1), (time_stride, 1, 1), padding=(1, 0, 0), bias=False)
        self.time_norm = nn.BatchNorm3d(after)
        self.time_stride = time_stride

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Maps [B, T, before, h, w] to [B, ceil(T / time_stride), after, ...], and the lengths of the output."""
        y = unfold(F.relu(self.norm(self.space(x.flatten(0, 1)))), x)
        y = y.masked_fill(_blank(y, lengths), 0).transpose(1, 2)
        y = self.time_norm(self.time(y)).transpose(1, 2)
        return y, (lengths + self.time_stride - 1) // self.time_stride


def _blank(x: Tensor, lengths: Tensor) -> Tensor:
    """Return `padding` in the shape that masks maps [B, T, C, h, w]: [B, T, 1, 1, 1]."""
    return padding(x, lengths)[:, :, None, None, None]
