"""Networks of piano rolls: from the frames so far to the keys of the next frame.

A network maps frames [B, T, K], each the one BEFORE the frame that is predicted, to logits [B, T, K] of the keys that
sound. It is called with the predicted frames too, of which a joint network reads, for each key, the higher keys only.
`features` maps the frames to features [B, T, ...], and `head` maps those to logits, or draws frames from them: see
`nets.piano_roll_heads`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.piano_roll_heads import NADE, Independent, Intervals, TiedNADE
from sightseq.nets.recurrent import State, drop_channels


class Clock(nn.Module):
    """Sine waves that count the frames of a piece, so that a network knows the position in a bar or phrase.

    Args:
        periods: of the waves, in frames; may be empty.
    """

    def __init__(self, periods: Sequence[float]) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", 2 * math.pi / torch.tensor(periods).float(), persistent=False)
        self.width = 2 * len(periods)

    def forward(self, position: Tensor, frames: int) -> Tensor:
        """Positions of the first frames [1, B, 1] to waves [B, frames, width]."""
        time = position[0] + torch.arange(frames, device=position.device)  # [B, T]
        angle = time[..., None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class Repetition(nn.Module):
    """Earlier frames as forecasts of the next one: music repeats itself after some beats or bars.

    Args:
        lags: how many frames before the predicted frame each of the earlier frames is.
        window: number of last frames by which a lag is judged.
    """

    def __init__(self, lags: Sequence[int], window: int = 8) -> None:
        super().__init__()
        self.lags, self.window = list(lags), window
        self.history = max(lags) + window if lags else 0  # frames before the first one of the input that are read

    def forward(self, past: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [B, history + T, K] up to the one before each predicted frame, to forecasts and their weights.

        Returns:
            The keys that sounded `lags` frames before each predicted frame [B, T, K, lags], times the weight of the
            lag; and the weight itself [B, T, lags]: exp(-d), where d is the mean number of keys that differ between
            the last frames and those before them by the lag.
        """
        frames, recent = past.shape[1] - self.history, self.history - self.window + 1
        keys, weights = [], []
        for lag in self.lags:
            keys.append(past[:, self.history + 1 - lag : self.history + 1 - lag + frames])
            different = (past[:, recent:] - past[:, recent - lag : past.shape[1] - lag]).abs().sum(2)
            weights.append((-F.avg_pool1d(different[:, None], self.window, stride=1)[:, 0]).exp())
        weight = torch.stack(weights, dim=-1)
        return torch.stack(keys, dim=-1) * weight[:, :, None], weight


class RecurrentPianoRoll(nn.Module):
    """LSTM layers that read whole frames.

    Dropout is one mask for all frames of a piece (Gal and Ghahramani, 2016, arXiv 1512.05287).

    Args:
        keys: number of keys K.
        hidden: width of each layer.
        nade: size of the hidden layer of a NADE, which predicts the keys jointly: RNN-NADE (Boulanger-Lewandowski et
            al., 2012, arXiv 1206.6392) with an LSTM; 0: the keys are independent given the past.
        periods: see `Clock`.
        input_dropout: dropout probability of the keys of the input.
        dropout: dropout probability after each layer.
    """

    def __init__(
        self,
        keys: int,
        *,
        hidden: Sequence[int] = (128, 128),
        nade: int = 0,
        periods: Sequence[float] = (),
        input_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("hidden is empty; give the width of at least one layer")
        self.clock = Clock(periods)
        widths = [keys + self.clock.width, *hidden]
        self.layers = nn.ModuleList(nn.LSTM(before, after, batch_first=True) for before, after in pairwise(widths))
        self.head = NADE(hidden[-1], keys, nade) if nade else Independent(nn.Linear(hidden[-1], keys))
        self.input_dropout, self.dropout = input_dropout, dropout

    def features(self, frames: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Frames [B, T, K] and the state before them (None: 0) to features [B, T, width] and the state after them."""
        x = drop_channels(frames, self.input_dropout * self.training)
        position = state[-1][0] if state else x.new_zeros(1, len(x), 1)
        x = torch.cat([x, self.clock(position, x.shape[1])], dim=-1)
        after = State()
        for depth, layer in enumerate(self.layers):
            x, last = layer(x, state[depth] if state else None)
            x = drop_channels(x, self.dropout * self.training)
            after.append(last)
        return x, [*after, (position + frames.shape[1],)]

    def forward(self, frames: Tensor, state: State | None = None, target: Tensor | None = None) -> tuple[Tensor, State]:
        """Return the logits [B, T, K] and the next state.

        Args:
            frames: float [B, T, K] of 0 and 1, the frame before each one that is predicted.
            state: the state returned for the frames before; None at the start of a piece.
            target: float [B, T, K], the frames that are predicted. A joint network reads, for each key, the keys above
                it; None: none of them sounds.
        """
        features, after = self.features(frames, state)
        return self.head(features, target), after


class TiedPianoRoll(nn.Module):
    """An LSTM for each key, all with the same weights: tied parallel networks (Johnson, 2017: Generating Polyphonic
    Music Using Tied Parallel Networks).

    The LSTM of a key reads all keys of the frame before by their intervals to its own key (see `Intervals`), its own
    key in earlier frames (see `Repetition`), the position in the piece (see `Clock`), and the pitch of its key: waves
    over the whole keyboard and, with `pitch_class`, its name. But for the pitch, the network is equivariant to
    transposition: a piece that is transposed by some semitones has the same predictions, transposed.

    Args:
        keys: number of keys K.
        context: size of the layer that reads the frame.
        hidden: width of each LSTM layer.
        reach: see `Intervals`.
        nade: size of the hidden layers of a tied NADE, which predicts the keys jointly; 0: the keys are independent
            given the past.
        waves: number of waves over the keyboard that describe the pitch of a key; the shortest is 2 / waves of it long.
        pitch_class: read the pitch class of a key (C, C sharp, ...), for music that is all in one key.
        periods: see `Clock`.
        lags: see `Repetition`; may be empty.
        dropout: dropout probability of the inputs and outputs of the LSTM layers, one mask for all frames of a piece.
    """

    def __init__(
        self,
        keys: int,
        *,
        context: int = 32,
        hidden: Sequence[int] = (48,),
        reach: int = 24,
        nade: int = 0,
        waves: int = 6,
        pitch_class: bool = False,
        periods: Sequence[float] = (),
        lags: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("hidden is empty; give the width of at least one layer")
        if min(lags, default=1) < 1:
            raise ValueError(f"lags={list(lags)}: at least 1 frame each")
        self.clock, self.repetition = Clock(periods), Repetition(lags)
        self.repeated = nn.Linear(len(lags), context, bias=False) if lags else None
        self.weighted = nn.Linear(len(lags), context, bias=False) if lags else None
        self.context = Intervals(keys, context, reach)
        place = (torch.arange(keys) + 0.5) / keys
        pitch = (math.pi * place[:, None] * torch.arange(1, waves + 1)).cos()
        if pitch_class:
            pitch = torch.cat([pitch, F.one_hot(torch.arange(keys) % 12, 12)], dim=1)
        self.place: Tensor
        self.register_buffer("place", pitch, persistent=False)
        self.pitch = nn.Linear(pitch.shape[1], context)
        self.time = nn.Linear(self.clock.width, context, bias=False) if periods else None
        self.layers = nn.ModuleList(nn.LSTM(before, after) for before, after in pairwise([context, *hidden]))
        width = hidden[-1]
        self.head = TiedNADE(width, keys, nade, reach) if nade else Independent(nn.Linear(width, 1))
        self.keys, self.hidden, self.dropout = keys, list(hidden), dropout

    def features(self, frames: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Frames [B, T, K] and the state before them to features [B, T, K, width] and the state after them."""
        position = state[-1][0] if state else frames.new_zeros(1, len(frames), 1)
        x = self.context(frames) + self.pitch(self.place)
        if self.time:
            x = x + self.time(self.clock(position, frames.shape[1]))[:, :, None]
        others: tuple[Tensor, ...] = (position + frames.shape[1],)
        if self.repeated and self.weighted:
            shape = (self.repetition.history, self.keys)
            before = state[-1][1].reshape(-1, *shape) if state else frames.new_zeros(len(frames), *shape)
            past = torch.cat([before, frames], dim=1)
            forecasts, weights = self.repetition(past)
            x = x + self.repeated(forecasts) + self.weighted(weights)[:, :, None]
            others += (past[:, -shape[0] :].flatten(1)[None],)
        p = self.dropout * self.training
        x = drop_channels(x.relu(), p).transpose(0, 1)  # [T, B, K, width]
        after = State()
        for depth, layer in enumerate(self.layers):
            start = tuple(part.reshape(1, -1, self.hidden[depth]) for part in state[depth]) if state else None
            x, last = layer(x.flatten(1, 2), start)
            x = drop_channels(x.unflatten(1, (-1, self.keys)).transpose(0, 1), p).transpose(0, 1)
            after.append(tuple(part.reshape(1, -1, self.keys * self.hidden[depth]) for part in last))
        return x.transpose(0, 1), [*after, others]

    def forward(self, frames: Tensor, state: State | None = None, target: Tensor | None = None) -> tuple[Tensor, State]:
        """See `RecurrentPianoRoll.forward`."""
        features, after = self.features(frames, state)
        return self.head(features, target), after
