"""Classifiers of videos that read the features of frames in time: clips [B, T, C, H, W] and lengths [B] to logits.

An encoder, the same for all frames, describes each frame. What lies beyond the length of a clip is padding, and no
output depends on it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sightseq.nets.captioning import width_of
from sightseq.nets.recurrent import RecurrentLayers, State
from sightseq.nets.sequence import SequenceLSTM
from sightseq.nets.text import head
from sightseq.nets.translation import initialise

Pool = Literal["mean", "flatten"]
Vote = Literal["probabilities", "logits", "last"]


class FrameNetwork(nn.Module, ABC):
    """An encoder of frames, and a subclass that reads their features in time.

    Args:
        encoder: maps normalised images [N, C, H, W] to a feature map [N, width, h, w]; `width` and `grid` (h, w) are
            attributes.
        pool: what is kept of the map: its "mean" over the positions, "flatten", which keeps where something is in
            the frame, or None, the map itself.

    Attributes:
        width: number of features of a frame; with `pool=None` of each of its positions.
    """

    def __init__(self, encoder: Any, pool: Pool | None) -> None:
        super().__init__()
        self.encoder, self.pool = encoder, pool
        self.width = width_of(encoder) * (encoder.grid[0] * encoder.grid[1] if pool == "flatten" else 1)

    def describe(self, images: Tensor) -> Tensor:
        """Normalised images [N, C, H, W] to their features [N, width], or [N, width, h, w] with `pool=None`."""
        maps: Tensor = self.encoder(images)
        if self.pool == "mean":
            return maps.mean((2, 3))
        return maps.flatten(1) if self.pool else maps

    def features(self, clips: Tensor, lengths: Tensor) -> Tensor:
        """Normalised clips [B, T, C, H, W] to the features of each frame [B, T, width, ...].

        In training, padding is not encoded, as it would change the statistics of batch norm, and its features are 0.
        """
        images = clips.flatten(0, 1)
        if not self.training:
            return unfold(self.describe(images), clips)
        real = ~padding(clips, lengths).flatten()
        known = self.describe(images[real])
        found = known.new_zeros(len(images), *known.shape[1:])
        found[real] = known
        return unfold(found, clips)

    @abstractmethod
    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features of frames [B, T, width, ...] and lengths [B] to logits [B, num_classes]."""

    def forward(self, clips: Tensor, lengths: Tensor) -> Tensor:
        """Normalised clips [B, T, C, H, W] and lengths in frames [B] to logits [B, num_classes]."""
        return self.classify(self.features(clips, lengths), lengths)


class MeanPooling(FrameNetwork):
    """The mean of the features over the frames, then dense layers: a yardstick that does not know their order.

    Args:
        num_classes: number of logits.
        encoder, pool: see `FrameNetwork`.
        dense: widths of dense layers before the logits.
        dropout: dropout probability before each dense layer and before the logits.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        encoder: nn.Module,
        pool: Pool = "mean",
        dense: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(encoder, pool)
        self.head = head(self.width, dense, num_classes, dropout, one_logit=False)

    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        """See `FrameNetwork.classify`."""
        total = features.masked_fill(padding(features, lengths)[..., None], 0).sum(1)
        logits: Tensor = self.head(total / lengths[:, None])
        return logits


class AttentionLSTM(FrameNetwork):
    """A bidirectional LSTM over the frames, then the mean of its outputs weighted by attention (Yang et al., 2016:
    Hierarchical Attention Networks for Document Classification).

    Args:
        num_classes: number of logits.
        encoder, pool: see `FrameNetwork`.
        width: the features of a frame are projected to this width, then ReLU; None leaves them as they are.
        hidden: width of each layer of the LSTM, in each direction.
        cell: "lstm" or "gru".
        input_dropout, hidden_dropout: see `RecurrentLayers`.
        dropout: dropout probability before the logits.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        encoder: nn.Module,
        pool: Pool = "mean",
        width: int | None = None,
        hidden: Sequence[int] = (256,),
        cell: Literal["lstm", "gru"] = "lstm",
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(encoder, pool)
        self.reader = SequenceLSTM(
            self.width,
            num_classes,
            projection=width,
            hidden=hidden,
            cell=cell,
            bidirectional=True,
            pooling=("attention",),
            input_dropout=input_dropout,
            hidden_dropout=hidden_dropout,
            dropout=dropout,
        )
        initialise(self.reader)

    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        """See `FrameNetwork.classify`."""
        logits: Tensor = self.reader(features, lengths)
        return logits


class CausalNetwork(FrameNetwork):
    """A network whose logits after a frame depend on this frame and those before it: it can read a running stream.

    The logits of a clip are combined from those of its frames.

    Args:
        encoder, pool: see `FrameNetwork`.
        vote: the logarithm of the mean of the frames' "probabilities", as Donahue et al. do, the mean of the frames'
            "logits", or the logits after the "last" frame.
    """

    batch_axis: ClassVar[int] = 0
    """Of the tensors of the state."""

    def __init__(self, encoder: nn.Module, pool: Pool | None, vote: Vote) -> None:
        super().__init__(encoder, pool)
        self.vote = vote

    @abstractmethod
    def begin(self, features: Tensor) -> State:
        """Return the state before the first frame of clips with these features [B, T, width, ...]: zeros."""

    @abstractmethod
    def stream(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Read the next frames.

        Args:
            features: of the frames [B, T, width, ...].
            state: the state after the frames before them.

        Returns:
            The logits after each frame [B, T, num_classes], and the next state.
        """

    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        """See `FrameNetwork.classify`."""
        return self.combine(self.stream(features, self.begin(features))[0], lengths)

    def combine(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """Logits of frames [B, T, num_classes] and lengths [B] to those of the clips [B, num_classes]: see `vote`."""
        if self.vote == "last":
            return logits[torch.arange(len(logits), device=logits.device), lengths - 1]
        beyond, count = padding(logits, lengths)[..., None], lengths[:, None]
        if self.vote == "logits":
            return logits.masked_fill(beyond, 0).sum(1) / count
        log_probabilities = logits.float().log_softmax(dim=2).masked_fill(beyond, -torch.inf)
        return log_probabilities.logsumexp(dim=1) - count.log()


class LRCN(CausalNetwork):
    """Long-term recurrent convolutional network: Donahue et al., 2015 (arXiv 1411.4389).

    An LSTM reads the features of the frames and gives logits after each of them.

    Args:
        num_classes: number of logits.
        encoder, pool: see `FrameNetwork`.
        width: the features of a frame are projected to this width, then ReLU; None leaves them as they are.
        hidden: width of each layer of the LSTM.
        cell: "lstm" or "gru".
        input_dropout, hidden_dropout, output_dropout: see `RecurrentLayers`.
        vote: see `CausalNetwork`.
    """

    batch_axis = 1

    def __init__(
        self,
        num_classes: int,
        *,
        encoder: nn.Module,
        pool: Pool = "mean",
        width: int | None = None,
        hidden: Sequence[int] = (256,),
        cell: Literal["lstm", "gru"] = "lstm",
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        output_dropout: float = 0.0,
        vote: Vote = "probabilities",
    ) -> None:
        super().__init__(encoder, pool, vote)
        self.reduce = reduction(self.width, width)
        self.reader = RecurrentLayers(
            width or self.width,
            hidden=hidden,
            cell=cell,
            input_dropout=input_dropout,
            hidden_dropout=hidden_dropout,
            output_dropout=output_dropout,
        )
        self.hidden = tuple(hidden)
        self.parts = 2 if cell == "lstm" else 1  # of the state of a layer
        self.head = nn.Linear(self.reader.width, num_classes)
        for part in (self.reduce, self.reader, self.head):
            initialise(part)

    def begin(self, features: Tensor) -> State:
        """See `CausalNetwork.begin`."""
        zeros = [features.new_zeros(1, len(features), width) for width in self.hidden]
        return [(zero,) * self.parts for zero in zeros]

    def stream(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """See `CausalNetwork.stream`."""
        outputs, after = self.reader.read(self.reduce(features), state=state)
        return self.head(outputs), after


def reduction(before: int, width: int | None) -> nn.Module:
    """A linear layer to `width` with ReLU; the identity if it is None."""
    return nn.Sequential(nn.Linear(before, width), nn.ReLU()) if width else nn.Identity()


def padding(x: Tensor, lengths: Tensor) -> Tensor:
    """Return whether each position of x [B, T, ...] lies beyond the length of its row; bool [B, T]."""
    return torch.arange(x.shape[1], device=x.device) >= lengths[:, None]


def unfold(frames: Tensor, clips: Tensor) -> Tensor:
    """Return what was computed of all frames of clips [B, T, ...] at once, [B * T, ...], as [B, T, ...]."""
    return frames.view(*clips.shape[:2], *frames.shape[1:])
