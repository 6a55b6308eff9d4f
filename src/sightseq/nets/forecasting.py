"""Networks that forecast time series.

All map `inputs` [B, L, C + P] (C targets, then P past covariates, normalised) and `known` [B, L + H, K] (covariates
known in advance, over the lookback and the horizon) to forecasts [B, H, C, Q] of the normalised targets. Q is 1 for a
point forecast, or the number of quantiles. L is `lookback`, H is `horizon`, Q is `num_outputs`. A network that ignores
`known` has `uses_known = False`; an exported file then has no such input.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.recurrent import CELLS, State


class Recurrent(nn.Module):
    """Stacked LSTM or GRU layers over the lookback, with one of two decoders.

    The decoder "direct" maps the last state to all steps of the horizon with one linear layer; a second linear layer
    adds the known covariates of each step. The decoder "steps" has layers of the same sizes and decodes one step at a
    time: it reads the forecast of the previous step (with several outputs, the middle one) and the known covariates of
    the step. It also reads its own forecasts in training, so that training and inference agree.

    Args:
        num_targets, num_inputs, num_known: C, C + P and K.
        horizon: H.
        num_outputs: Q.
        hidden: size of each layer.
        cell: "lstm" (Hochreiter and Schmidhuber, 1997) or "gru" (Cho et al., 2014, arXiv 1406.1078).
        decoder: "direct" or "steps" (Sutskever et al., 2014, arXiv 1409.3215).
        dropout: dropout probability between layers and before the last linear layer.
    """

    def __init__(
        self,
        num_targets: int,
        num_inputs: int,
        num_known: int,
        horizon: int,
        num_outputs: int = 1,
        hidden: Sequence[int] = (64,),
        cell: Literal["lstm", "gru"] = "lstm",
        decoder: Literal["direct", "steps"] = "direct",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("hidden names no layer")
        self.horizon, self.num_targets, self.num_outputs, self.dropout = horizon, num_targets, num_outputs, dropout
        self.encoder = nn.ModuleList(_layers(num_inputs + num_known, hidden, cell))
        self.direct = decoder == "direct"
        self.decoder = nn.ModuleList([] if self.direct else _layers(num_targets + num_known, hidden, cell))
        self.head = nn.Linear(hidden[-1], (horizon if self.direct else 1) * num_targets * num_outputs)
        self.known_head = (
            nn.Linear(num_known, num_targets * num_outputs, bias=False) if self.direct and num_known else None
        )

    def forward(self, inputs: Tensor, known: Tensor) -> Tensor:
        """Map [B, L, C + P] and [B, L + H, K] to [B, H, C, Q]."""
        lookback = inputs.shape[1]
        read, state = self._run(self.encoder, torch.cat([inputs, known[:, :lookback]], dim=-1), None)
        future = known[:, lookback:]
        if not self.direct:
            return self._decode(inputs[:, -1:, : self.num_targets], future, state)
        found: Tensor = self.head(read[:, -1]).view(-1, self.horizon, self.num_targets * self.num_outputs)
        if self.known_head is not None:
            found = found + self.known_head(future)
        return found.view(-1, self.horizon, self.num_targets, self.num_outputs)

    def _decode(self, last: Tensor, future: Tensor, state: State) -> Tensor:
        """Map the last values [B, 1, C], the known covariates [B, H, K] and the state to [B, H, C, Q]."""
        steps = []
        for step in range(self.horizon):
            read, state = self._run(self.decoder, torch.cat([last, future[:, step : step + 1]], dim=-1), state)
            steps.append(self.head(read).view(-1, 1, self.num_targets, self.num_outputs))
            last = steps[-1][..., self.num_outputs // 2].to(last.dtype)
        return torch.cat(steps, dim=1)

    def _run(self, layers: nn.ModuleList, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run all layers over [B, T, D]; return the output of the last one [B, T, hidden] and the state of each."""
        after: State = []
        for depth, layer in enumerate(layers):
            lstm = isinstance(layer, nn.LSTM)
            x, last = layer(x, None if state is None else state[depth] if lstm else state[depth][0])
            after.append(last if lstm else (last,))
            x = F.dropout(x, self.dropout, self.training)
        return x, after


def _layers(width: int, hidden: Sequence[int], cell: str) -> list[nn.Module]:
    return [CELLS[cell](before, after, batch_first=True) for before, after in pairwise((width, *hidden))]


class SegRNN(nn.Module):
    """A GRU over segments instead of steps, shared by all targets (Lin et al., 2023, arXiv 2308.11200).

    The last value is subtracted from each target. Segments of the lookback are projected to `width` and read by a GRU.
    Each segment of the horizon is one further step of the same GRU from the last state; its input is an embedding of
    the segment's position and of the target (parallel multi-step forecasting). It uses neither past nor known
    covariates.

    Args:
        num_targets, lookback, horizon, num_outputs: C, L, H and Q.
        segment: steps of a segment. If it does not divide the lookback, the first steps are not used; if it does not
            divide the horizon, the last segment is truncated.
        width: hidden size of the GRU, even.
        dropout: dropout probability before the last linear layer.
    """

    uses_known = False

    def __init__(
        self,
        num_targets: int,
        lookback: int,
        horizon: int,
        num_outputs: int = 1,
        segment: int = 48,
        width: int = 512,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if segment < 1 or width < 2 or width % 2:
            raise ValueError(f"segment={segment} must be at least 1, and width={width} even")
        self.segment = min(segment, lookback)
        self.num_targets, self.horizon, self.num_outputs = num_targets, horizon, num_outputs
        self.embedding = nn.Sequential(nn.Linear(self.segment, width), nn.ReLU())
        self.gru = nn.GRU(width, width, batch_first=True)
        self.position = nn.Parameter(torch.randn(math.ceil(horizon / self.segment), width // 2))
        self.target = nn.Parameter(torch.randn(num_targets, width // 2))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, self.segment * num_outputs))

    def forward(self, inputs: Tensor, known: Tensor) -> Tensor:
        """Map [B, L, C + P] and [B, L + H, K] to [B, H, C, Q]."""
        series = inputs[..., : self.num_targets].transpose(1, 2)  # [B, C, L]
        last = series[..., -1:]
        read = series.shape[-1] // self.segment * self.segment
        segments = (series - last)[..., -read:].reshape(-1, read // self.segment, self.segment)
        _, state = self.gru(self.embedding(segments))  # [1, B * C, width]
        count, half = self.position.shape
        place = self.position.expand(self.num_targets, count, half)
        channel = self.target[:, None].expand(self.num_targets, count, half)
        start = torch.cat([place, channel], dim=-1).flatten(0, 1)  # [C * M, width] for M segments
        # Every (row, target, segment) is a sequence of one step.
        queries = start.repeat(inputs.shape[0], 1).unsqueeze(1)  # [B * C * M, 1, width]
        begins = state.unsqueeze(2).expand(-1, -1, count, -1).flatten(1, 2)  # [1, B * C * M, width]
        found, _ = self.gru(queries, begins)
        found = self.head(found).view(-1, self.num_targets, count * self.segment, self.num_outputs)
        steps: Tensor = found[:, :, : self.horizon] + last[..., None]
        return steps.transpose(1, 2)


class NLinear(nn.Module):
    """One linear layer from the lookback to the horizon, after the last value is subtracted (Zeng et al., 2023, arXiv
    2205.13504). It uses neither past nor known covariates.

    Args:
        num_targets, lookback, horizon, num_outputs: C, L, H and Q.
        individual: one layer for each target instead of one for all targets.
    """

    uses_known = False

    def __init__(
        self, num_targets: int, lookback: int, horizon: int, num_outputs: int = 1, individual: bool = False
    ) -> None:
        super().__init__()
        self.num_targets = num_targets
        self.linear = _Linear(num_targets if individual else 1, lookback, horizon, num_outputs)

    def forward(self, inputs: Tensor, known: Tensor) -> Tensor:
        """Map [B, L, C + P] and [B, L + H, K] to [B, H, C, Q]."""
        series = inputs[..., : self.num_targets].transpose(1, 2)  # [B, C, L]
        last = series[..., -1:]
        found: Tensor = self.linear(series - last) + last[..., None]
        return found.transpose(1, 2)


class DLinear(nn.Module):
    """Two linear layers from the lookback to the horizon, one for the moving average and one for the remainder (Zeng
    et al., 2023, arXiv 2205.13504). It uses neither past nor known covariates.

    Args:
        num_targets, lookback, horizon, num_outputs: C, L, H and Q.
        kernel: steps of the moving average, odd; the ends are padded with the first and the last value.
        individual: two layers for each target instead of two for all targets.
    """

    uses_known = False

    def __init__(
        self,
        num_targets: int,
        lookback: int,
        horizon: int,
        num_outputs: int = 1,
        kernel: int = 25,
        individual: bool = False,
    ) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel={kernel} is not an odd number")
        self.num_targets, self.kernel = num_targets, kernel
        sizes = (num_targets if individual else 1, lookback, horizon, num_outputs)
        self.trend, self.rest = _Linear(*sizes), _Linear(*sizes)

    def forward(self, inputs: Tensor, known: Tensor) -> Tensor:
        """Map [B, L, C + P] and [B, L + H, K] to [B, H, C, Q]."""
        series = inputs[..., : self.num_targets].transpose(1, 2)  # [B, C, L]
        padded = F.pad(series, (self.kernel // 2, self.kernel // 2), mode="replicate")
        trend = F.avg_pool1d(padded, self.kernel, stride=1)
        found: Tensor = self.trend(trend) + self.rest(series - trend)
        return found.transpose(1, 2)


class _Linear(nn.Module):
    """A linear layer over time, one for each target or (`layers` = 1) one for all: [B, C, L] to [B, C, H, Q]."""

    def __init__(self, layers: int, lookback: int, horizon: int, num_outputs: int) -> None:
        super().__init__()
        self.horizon, self.num_outputs = horizon, num_outputs
        bound = 1 / math.sqrt(lookback)  # the initial weights of nn.Linear
        self.weight = nn.Parameter(torch.empty(layers, horizon * num_outputs, lookback).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(layers, horizon * num_outputs).uniform_(-bound, bound))

    def forward(self, series: Tensor) -> Tensor:
        if len(self.weight) == 1:
            found = F.linear(series, self.weight[0], self.bias[0])
        else:
            found = torch.einsum("bcl,chl->bch", series, self.weight) + self.bias
        return found.view(*series.shape[:2], self.horizon, self.num_outputs)
