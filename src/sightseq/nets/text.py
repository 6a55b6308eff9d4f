"""Classifiers of texts: tokens [B, T] and lengths [B] to logits."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.recurrent import Embedding, Recurrent

Pooling = Literal["last", "mean", "max", "attention"]


class RecurrentClassifier(Recurrent):
    """Reads a text with recurrent layers, pools what they say at its positions, and judges that.

    With `pooling=["last", "mean", "max"]` it is that of ULMFiT (Howard and Ruder, 2018, arXiv 1801.06146).

    Args:
        vocab_size, num_classes: of the data.
        pooling: one or more of: "last", where each direction ends; "mean" and "max" over the positions; "attention",
            the mean weighted by what a linear layer says of each position (after Yang et al., 2016).
        dense: widths of dense layers before the logits.
        dropout: before each dense layer and before the logits.
        one_logit: of two classes give one logit, that of the second, for the first has 0.
        recurrent: see `Recurrent`.
    """

    def __init__(
        self,
        vocab_size: int,
        num_classes: int,
        *,
        pooling: Sequence[Pooling] = ("last",),
        dense: Sequence[int] = (),
        dropout: float = 0.0,
        one_logit: bool = False,
        **recurrent: Any,
    ) -> None:
        super().__init__(vocab_size, **recurrent)
        if not pooling:
            raise ValueError("pooling names no way to pool")
        self.pooling = tuple(pooling)
        self.attention = nn.Linear(self.width, 1) if "attention" in self.pooling else None
        self.head = head(self.width * len(self.pooling), dense, num_classes, dropout, one_logit)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """[B, T] and [B] to logits [B, num_classes], or [B, 1] where there is one."""
        outputs, _ = self.read(tokens, lengths)  # [B, T, width]
        filler = (torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None])[..., None]  # [B, T, 1]
        found = []
        for kind in self.pooling:
            if kind == "last":
                end = outputs[torch.arange(tokens.shape[0], device=tokens.device), lengths - 1]
                # What reads from the end has read all at the beginning.
                forward, backward = end.chunk(2, 1)[0], outputs[:, 0].chunk(2, 1)[1]
                found.append(torch.cat([forward, backward], dim=1) if self.bidirectional else end)
            elif kind == "mean":
                found.append(outputs.masked_fill(filler, 0).sum(1) / lengths[:, None])
            elif kind == "max":
                found.append(outputs.masked_fill(filler, -torch.inf).amax(1))
            elif self.attention:
                weights = self.attention(outputs).masked_fill(filler, -torch.inf).softmax(dim=1)
                found.append((weights * outputs).sum(1))
        logits: Tensor = self.head(torch.cat(found, dim=1))
        return logits


class TextCNN(nn.Module):
    """Convolutions over a few words each, the largest answer of every filter, and a linear layer: Kim, 2014
    (arXiv 1408.5882).

    Args:
        vocab_size, num_classes: of the data.
        embedding: size of a token's vector.
        filters: number of filters of each width.
        widths: how many tokens a filter sees.
        token_dropout: probability that a token is left out, wherever it occurs in the batch.
        dense, dropout, one_logit: see `RecurrentClassifier`.
    """

    def __init__(
        self,
        vocab_size: int,
        num_classes: int,
        embedding: int = 128,
        filters: int = 100,
        widths: Sequence[int] = (3, 4, 5),
        token_dropout: float = 0.0,
        dense: Sequence[int] = (),
        dropout: float = 0.5,
        one_logit: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = Embedding(vocab_size, embedding, token_dropout)
        self.margins = [width - 1 for width in widths]
        self.convolutions = nn.ModuleList(nn.Conv1d(embedding, filters, width) for width in widths)
        self.head = head(filters * len(widths), dense, num_classes, dropout, one_logit)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """[B, T] and [B] to logits [B, num_classes], or [B, 1] where there is one."""
        place = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embedding(tokens).masked_fill((place >= lengths[:, None])[..., None], 0)
        x = x.transpose(1, 2)  # [B, embedding, T]
        found = []
        for margin, convolution in zip(self.margins, self.convolutions, strict=True):
            answers = convolution(F.pad(x, (margin, margin)))  # [B, filters, T + margin]: words at the edges too
            beyond = torch.arange(answers.shape[2], device=tokens.device) >= (lengths + margin)[:, None]
            found.append(answers.masked_fill(beyond[:, None], -torch.inf).amax(2))
        logits: Tensor = self.head(F.relu(torch.cat(found, dim=1)))
        return logits


class OneHotCNN(nn.Module):
    """Convolutions over words themselves, with no embedding between: a filter has a weight of its own for each word
    at each of its places.

    After the seq-CNN of Johnson and Zhang, 2015 (arXiv 1412.1058).

    Args:
        vocab_size, num_classes: of the data.
        filters, widths, dropout: see `TextCNN`.
        token_dropout: probability that a token is left out, wherever it occurs in the batch.
    """

    def __init__(
        self,
        vocab_size: int,
        num_classes: int,
        filters: int = 400,
        widths: Sequence[int] = (3,),
        token_dropout: float = 0.3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.filters, self.widths, self.token_dropout = filters, tuple(widths), token_dropout
        # The convolution of one-hot vectors is this table: of each word, what it says to each filter at each place.
        self.embedding = nn.Embedding(vocab_size, filters * sum(widths))
        nn.init.normal_(self.embedding.weight, std=0.003)  # little, for rare words keep it
        self.bias = nn.Parameter(torch.zeros(filters * len(self.widths)))
        self.head = head(len(self.bias), (), num_classes, dropout, one_logit=False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """[B, T] and [B] to logits [B, num_classes], or [B, 1] where there is one."""
        seen = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        if self.training:
            # Nothing makes up for what is left out, for unlike a sum the largest answer does not need it.
            kept = torch.rand(self.embedding.num_embeddings, device=tokens.device) >= self.token_dropout
            seen = seen & kept[tokens]
        x = self.embedding(tokens) * seen[..., None]
        answers = iter(x.split(self.filters, dim=2))  # to each place of each width
        found = []
        for width in self.widths:
            # Window p ends before word p, and its place n holds word p - width + n. Window 0 lies before the text and
            # says 0 as those beyond it do, so nothing depends on filler.
            windows, *others = (F.pad(next(answers), (0, 0, width - n, n)) for n in range(width))
            for other in others:
                windows = windows + other  # [B, T + width, filters]
            found.append(windows.max(dim=1).values)
        logits: Tensor = self.head(F.relu(torch.cat(found, dim=1) + self.bias))
        return logits


def head(width: int, dense: Sequence[int], num_classes: int, dropout: float, one_logit: bool) -> nn.Sequential:
    """Features [B, width] to logits, over dense layers, with dropout before each."""
    layers: list[nn.Module] = []
    for before, after in pairwise((width, *dense)):
        layers += [nn.Dropout(dropout), nn.Linear(before, after), nn.ReLU()]
    outputs = 1 if one_logit and num_classes == 2 else num_classes
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(dense[-1] if dense else width, outputs))
