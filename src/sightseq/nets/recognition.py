"""Networks that read sequences: from columns of pixels, or frames of sound, to logits of characters for CTC."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.recurrent import drop_channels, reverse
from sightseq.nets.translation import initialise

State = tuple[list[Tensor], list[tuple[Tensor, Tensor]]]
"""What a causal network remembers: the last input columns of each convolution [B, C, F, kernel - 1], and (h, c) of each
LSTM, each [1, B, hidden]."""


class ConvLayer(nn.Module):
    """Convolution, batch normalisation, max pooling and ReLU over maps [B, C, F, T].

    Args:
        before, after: channels of input and output.
        kernel: side of the filters, odd.
        pool: factors by which F and T shrink; a remainder is dropped.
        causal: the output at t depends on inputs up to t only.
        residual: the input is added to the output, if they have the same shape.
    """

    def __init__(
        self, before: int, after: int, kernel: int, pool: tuple[int, int], causal: bool, residual: bool
    ) -> None:
        super().__init__()
        self.context = kernel - 1 if causal else 0
        padding = (kernel // 2, 0 if causal else kernel // 2)
        self.convolution = nn.Conv2d(before, after, kernel, padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(after)
        self.pool, self.residual = (pool[0], pool[1]), residual and before == after and max(pool) == 1

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output, and the input columns that the next call needs as `past` if causal.

        Args:
            x: [B, before, F, T].
            past: the `kernel - 1` columns before x if causal; None: 0.
        """
        columns = x
        if self.context:
            columns = F.pad(x, (self.context, 0)) if past is None else torch.cat([past, x], dim=3)
        y = self.norm(self.convolution(columns))
        if self.pool != (1, 1):
            y = F.max_pool2d(y, self.pool)
        y = F.relu(y)
        return (x + y if self.residual else y), columns[..., columns.shape[3] - self.context :]


class CRNN(nn.Module):
    """Convolutions, recurrent layers over the columns, and a linear layer: Shi et al., 2015 (arXiv 1507.05717).

    The length of a sequence is rounded up to a multiple of the total reduction along T, so each output depends on the
    real positions only, whatever the padding.

    Args:
        in_channels: channels of the input.
        num_classes: number of logits; class 0 is the blank.
        image_size: (F, None), the height of an image or the number of bands; the length varies.
        channels: width of each stage of convolutions.
        layers: number of convolutions of each stage; one number for all, or one per stage.
        pools: factors by which each stage shrinks F and T.
        kernel: side of the filters, odd.
        residual: the second and further convolutions of a stage add to their input (He et al., 2016).
        collapse: how a column [C, F] becomes a vector: "concatenate", or "max" over F (Retsinas et al., 2022, arXiv
            2404.11339).
        width: a linear layer and ReLU reduce a column to this size; None: no such layer.
        hidden: size of the state of each LSTM, in each direction; may be empty.
        causal: all outputs depend on earlier inputs only, so the network reads a stream: see `stream`.
        dropout: dropout probability before each LSTM and before the last layer, the same for all positions.
        shortcut: in training also return the logits of one convolution over the columns, for a second loss that trains
            the convolutions faster (Retsinas et al., 2022).
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int | None],
        channels: Sequence[int] = (32, 64, 128, 128),
        layers: int | Sequence[int] = 1,
        pools: Sequence[tuple[int, int]] = ((2, 2), (2, 2), (2, 1), (2, 1)),
        kernel: int = 3,
        residual: bool = False,
        collapse: Literal["concatenate", "max"] = "concatenate",
        width: int | None = None,
        hidden: Sequence[int] = (128, 128),
        causal: bool = False,
        dropout: float = 0.2,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        counts = [layers] * len(channels) if isinstance(layers, int) else list(layers)
        if kernel % 2 == 0 or not channels or not len(channels) == len(counts) == len(pools) or min(counts) < 1:
            raise ValueError(
                f"kernel={kernel} must be odd, and channels={list(channels)}, layers={layers} and pools={list(pools)} "
                "must have a value for each stage, at least one"
            )
        height, self.reduction = image_size[0], 1
        for down, along in pools:
            height, self.reduction = height // down, self.reduction * along
        if height < 1:
            raise ValueError(f"pools={list(pools)} leave nothing of a height of {image_size[0]}; use fewer")
        self.causal, self.collapse, self.dropout = causal, collapse, dropout
        self.convolutions, self.steps = nn.ModuleList(), list[int]()
        for (before, after), count, pool in zip(pairwise((in_channels, *channels)), counts, pools, strict=True):
            for place in range(count):
                shrink = pool if place == count - 1 else (1, 1)
                self.convolutions.append(ConvLayer(after if place else before, after, kernel, shrink, causal, residual))
                self.steps.append(shrink[1])
        column = channels[-1] * (height if collapse == "concatenate" else 1)
        self.reduce = nn.Linear(column, width) if width else None
        self.shortcut = nn.Conv1d(column, num_classes, 3, padding=1) if shortcut else None
        directions = 1 if causal else 2
        widths = list(pairwise((width or column, *(directions * size for size in hidden))))
        self.forwards = nn.ModuleList(nn.LSTM(a, b // directions, batch_first=True) for a, b in widths)
        self.backwards = nn.ModuleList(nn.LSTM(a, b // 2, batch_first=True) for a, b in widths if not causal)
        self.width = widths[-1][1] if widths else width or column
        self.head = nn.Linear(self.width, num_classes)
        initialise(self)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Read whole sequences.

        Args:
            features: [B, in_channels, F, T]; what lies beyond the lengths is ignored.
            lengths: [B].

        Returns:
            Logits [B, T', num_classes] and their lengths [B], which are `lengths / reduction`, rounded up; in training
            with `shortcut` also the logits of the shortcut [B, T', num_classes].
        """
        y, steps, extra = self.read(features, lengths)
        logits: Tensor = self.head(drop_channels(y, self.dropout * self.training))
        return logits, steps, *extra

    def read(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Return the outputs of the last LSTM [B, T', width], their lengths [B], and further logits: see `forward`."""
        steps = (lengths + self.reduction - 1) // self.reduction  # [B]
        x = F.pad(_mask(features, lengths), (0, self.reduction - 1))  # pooling drops what is too much
        rest = self.reduction
        for layer, along in zip(self.convolutions, self.steps, strict=True):
            x, _ = layer(x)
            rest //= along
            x = _mask(x, steps * rest)
        columns = self._columns(x)  # [B, T', column]
        extra: tuple[Tensor, ...] = ()
        if self.shortcut is not None and self.training:
            extra = (self.shortcut(columns.transpose(1, 2)).transpose(1, 2),)
        y = self._reduced(columns)
        for number, layer in enumerate(self.forwards):
            y = drop_channels(y, self.dropout * self.training)
            outputs, _ = layer(y)
            if not self.causal:
                backward, _ = self.backwards[number](reverse(y, steps))
                outputs = torch.cat([outputs, reverse(backward, steps)], dim=2)
            y = outputs
        return y, steps, extra

    def stream(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read the next part of sequences that are not complete yet, in eval mode.

        Args:
            features: [B, in_channels, F, T], T a multiple of `reduction`.
            state: the state that the last part returned; None at the start.

        Returns:
            Logits [B, T / reduction, num_classes], equal to those of `forward` over all parts, and the next state.

        Raises:
            ValueError: the network is not causal, or T is not a multiple.
        """
        if not self.causal or features.shape[3] % self.reduction:
            raise ValueError(f"only a causal network reads parts, whose length is a multiple of {self.reduction}")
        x, pasts, states = features, [], []
        for number, layer in enumerate(self.convolutions):
            x, past = layer(x, state[0][number] if state else None)
            pasts.append(past)
        y = self._reduced(self._columns(x))
        for number, layer in enumerate(self.forwards):
            y, after = layer(y, state[1][number] if state else None)
            states.append(after)
        logits: Tensor = self.head(y)
        return logits, (pasts, states)

    def _columns(self, maps: Tensor) -> Tensor:
        """Maps [B, C, F, T] to one vector for each column, [B, T, column]."""
        if self.collapse == "max":
            return maps.amax(2).transpose(1, 2)
        return maps.permute(0, 3, 1, 2).flatten(2)

    def _reduced(self, columns: Tensor) -> Tensor:
        return columns if self.reduce is None else F.relu(self.reduce(columns))


def _mask(x: Tensor, lengths: Tensor) -> Tensor:
    """Set the positions of [B, C, F, T] beyond the lengths [B] to 0."""
    real = torch.arange(x.shape[3], device=x.device) < lengths[:, None]
    return x * real[:, None, None].to(x.dtype)
