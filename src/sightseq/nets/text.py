"""Text classifiers: from tokens [B, T] and lengths [B] to logits."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.pooling import Pooling, pool
from sightseq.nets.recurrent import Embedding, Recurrent


class RecurrentClassifier(Recurrent):
    """Recurrent layers, pooling of their outputs over the positions, and dense layers.

    With `pooling=["last", "mean", "max"]` it is the classifier of ULMFiT (Howard and Ruder, 2018, arXiv 1801.06146).

    Args:
        vocab_size: number of tokens.
        num_classes: number of logits.
        pooling: one or more kinds: see `nets.pooling.pool`; the scores of the attention are those of a linear layer.
        dense: widths of dense layers before the logits.
        dropout: dropout probability before each dense layer and before the logits.
        one_logit: if there are two classes, return one logit, that of the second class; the logit of the first is 0.
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
            raise ValueError("pooling is empty; name at least one kind")
        self.pooling = tuple(pooling)
        self.attention = nn.Linear(self.width, 1) if "attention" in self.pooling else None
        self.head = head(self.width * len(self.pooling), dense, num_classes, dropout, one_logit)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Tokens [B, T] and lengths [B] to logits [B, num_classes], or [B, 1] with `one_logit`."""
        outputs, _ = self.read(tokens, lengths)  # [B, T, width]
        logits: Tensor = self.head(pool(outputs, lengths, self.pooling, self.attention, self.bidirectional))
        return logits


class TextCNN(nn.Module):
    """Convolutions over a few tokens each, max pooling over the positions, and dense layers: Kim, 2014
    (arXiv 1408.5882).

    Args:
        vocab_size: number of tokens.
        num_classes: number of logits.
        embedding: size of a token's vector.
        filters: number of filters of each width.
        widths: how many tokens a filter covers.
        token_dropout: probability of dropping a token id in the whole batch: see `Embedding`.
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
        """Tokens [B, T] and lengths [B] to logits [B, num_classes], or [B, 1] with `one_logit`."""
        place = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embedding(tokens).masked_fill((place >= lengths[:, None])[..., None], 0)
        x = x.transpose(1, 2)  # [B, embedding, T]
        pooled = []
        for margin, convolution in zip(self.margins, self.convolutions, strict=True):
            # Padded on both sides, so that every position of a filter also covers the first and the last token.
            features = convolution(F.pad(x, (margin, margin)))  # [B, filters, T + margin]
            beyond = torch.arange(features.shape[2], device=tokens.device) >= (lengths + margin)[:, None]
            pooled.append(features.masked_fill(beyond[:, None], -torch.inf).amax(2))
        logits: Tensor = self.head(F.relu(torch.cat(pooled, dim=1)))
        return logits


class OneHotCNN(nn.Module):
    """Convolutions over one-hot vectors of tokens, then max pooling over the positions and a linear layer.

    There is no embedding: a filter has a separate weight for each token at each of its positions. After the seq-CNN of
    Johnson and Zhang, 2015 (arXiv 1412.1058).

    Args:
        vocab_size: number of tokens.
        num_classes: number of logits.
        filters, widths, dropout: see `TextCNN`.
        token_dropout: probability of dropping a token id in the whole batch.
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
        # A convolution over one-hot vectors is a table lookup: the weights of each token for each filter and position.
        self.embedding = nn.Embedding(vocab_size, filters * sum(widths))
        nn.init.normal_(self.embedding.weight, std=0.003)  # small, because rare tokens keep nearly this value
        self.bias = nn.Parameter(torch.zeros(filters * len(self.widths)))
        self.head = head(len(self.bias), (), num_classes, dropout, one_logit=False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Tokens [B, T] and lengths [B] to logits [B, num_classes], or [B, 1] with `one_logit`."""
        seen = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        if self.training:
            # Kept tokens are not scaled up as in dropout: max pooling, unlike a sum, does not need it.
            kept = torch.rand(self.embedding.num_embeddings, device=tokens.device) >= self.token_dropout
            seen = seen & kept[tokens]
        x = self.embedding(tokens) * seen[..., None]
        parts = iter(x.split(self.filters, dim=2))  # for each position of each width
        pooled = []
        for width in self.widths:
            # Window p ends before token p; its position n is token p - width + n. Window 0 lies before the text and is
            # 0, like the windows after the text, so the maximum does not depend on padding.
            windows, *others = (F.pad(next(parts), (0, 0, width - n, n)) for n in range(width))
            for other in others:
                windows = windows + other  # [B, T + width, filters]
            pooled.append(windows.max(dim=1).values)
        logits: Tensor = self.head(F.relu(torch.cat(pooled, dim=1) + self.bias))
        return logits


def head(width: int, dense: Sequence[int], num_classes: int, dropout: float, one_logit: bool) -> nn.Sequential:
    """Dense layers from features [B, width] to logits, with dropout before each.

    With `one_logit` and two classes there is one logit: see `RecurrentClassifier`.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise((width, *dense)):
        layers += [nn.Dropout(dropout), nn.Linear(before, after), nn.ReLU()]
    outputs = 1 if one_logit and num_classes == 2 else num_classes
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(dense[-1] if dense else width, outputs))
