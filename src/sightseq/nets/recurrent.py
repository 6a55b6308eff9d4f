"""Recurrent layers over batches of padded sequences, whose outputs do not depend on the padding."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = list[tuple[Tensor, ...]]  # per layer: (h, c) for an LSTM, (h,) for a GRU, each [1, B, hidden]
CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class Embedding(nn.Embedding):
    """An embedding with token dropout: in training the vectors of some token ids are 0 in the whole batch.

    Args:
        vocab_size: number of tokens.
        width: size of a vector.
        token_dropout: probability of dropping a token id (Gal and Ghahramani, 2016, arXiv 1512.05287).
        scale: factor of the vectors.
    """

    def __init__(self, vocab_size: int, width: int, token_dropout: float = 0.0, scale: float = 1.0) -> None:
        super().__init__(vocab_size, width)
        nn.init.uniform_(self.weight, -0.1, 0.1)
        self.token_dropout, self.scale = token_dropout, scale

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids [...] to vectors [..., width]."""
        x = super().forward(tokens)
        if self.scale != 1:
            x = x * self.scale
        if self.training and self.token_dropout:
            x = x * F.dropout(x.new_ones(self.num_embeddings), self.token_dropout)[tokens][..., None]
        return x


class RecurrentLayers(nn.Module):
    """LSTM or GRU layers over sequences of vectors.

    Dropout is as in AWD-LSTM (Merity et al., 2018, arXiv 1708.02182): one mask for all positions of a
    sequence (Gal and Ghahramani, 2016, arXiv 1512.05287).

    Args:
        width: size of an input vector; the attribute `width` is the size of an output.
        hidden: size of each layer's state, in each direction.
        cell: "lstm" (Hochreiter and Schmidhuber, 1997) or "gru" (Cho et al., 2014, arXiv 1406.1078).
        bidirectional: each layer also reads from the end (Schuster and Paliwal, 1997).
        input_dropout: dropout probability of the inputs.
        hidden_dropout: dropout probability between layers.
        output_dropout: dropout probability of the last layer's outputs.
        weight_dropout: dropout probability of the recurrent weights (DropConnect).
        embedding: maps the inputs to vectors; None: the inputs are vectors.
    """

    def __init__(
        self,
        width: int,
        hidden: Sequence[int] = (128,),
        cell: Literal["lstm", "gru"] = "lstm",
        bidirectional: bool = False,
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        output_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("hidden is empty; give the width of at least one layer")
        directions = 2 if bidirectional else 1
        self.bidirectional = bidirectional
        self.embedding = nn.Identity() if embedding is None else embedding
        widths = list(pairwise((width, *(directions * size for size in hidden))))
        self.layers = nn.ModuleList(
            CELLS[cell](before, after // directions, batch_first=True) for before, after in widths
        )
        self.reverse_layers = nn.ModuleList(
            CELLS[cell](before, after // directions, batch_first=True) for before, after in widths if bidirectional
        )
        self.width = widths[-1][1]
        self.weight_dropout = weight_dropout
        self.dropouts = [input_dropout, *[hidden_dropout] * (len(widths) - 1), output_dropout]

    def read(self, inputs: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """Run the embedding and all layers.

        Args:
            inputs: tokens [B, T] if there is an embedding, otherwise vectors [B, T, D].
            lengths: [B], lengths of the rows without padding; None if no row is padded.
            state: the state returned for the preceding inputs; None starts from a zero state.

        Returns:
            The outputs of the last layer [B, T, width] (both directions concatenated), and the state after the last
            position. The state is empty if bidirectional, and meaningless for padded rows.
        """
        x, after = self.embedding(inputs), State()
        for depth, layer in enumerate(self.layers):
            x = drop_channels(x, self.dropouts[depth] * self.training)
            outputs, last = self._run(layer, x, state[depth] if state else None)
            if self.bidirectional:
                backward, _ = self._run(self.reverse_layers[depth], reverse(x, lengths), None)
                outputs = torch.cat([outputs, reverse(backward, lengths)], dim=-1)
            else:
                after.append(last)
            x = outputs
        return drop_channels(x, self.dropouts[-1] * self.training), after

    def _run(self, layer: nn.Module, x: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        lstm = isinstance(layer, nn.LSTM)
        if not (self.training and self.weight_dropout):
            outputs, after = layer(x, state if lstm or state is None else state[0])
            return outputs, after if lstm else (after,)
        weights = [
            F.dropout(weight, self.weight_dropout) if name.startswith("weight_hh") else weight
            for name, weight in layer.named_parameters()
        ]
        state = state or (x.new_zeros(1, len(x), weights[1].shape[1]),) * (2 if lstm else 1)
        # The functions behind nn.LSTM and nn.GRU: (..., biases, layers, dropout, training, bidirectional, batch_first)
        options = (weights, True, 1, 0.0, True, False, True)
        if lstm:
            outputs, h, c = torch.lstm(x, state, *options)
            return outputs, (h, c)
        outputs, h = torch.gru(x, state[0], *options)
        return outputs, (h,)


class Recurrent(RecurrentLayers):
    """An embedding, then LSTM or GRU layers: the base of text classifiers and language models.

    Args:
        vocab_size: number of tokens.
        embedding: size of a token's vector.
        token_dropout: probability of dropping a token id in the whole batch: see `Embedding`.
        embedding_scale: factor of the embedded tokens.
        layers: `hidden`, `cell`, `bidirectional` and dropout: see `RecurrentLayers`.
    """

    embedding: Embedding

    def __init__(
        self,
        vocab_size: int,
        embedding: int = 128,
        token_dropout: float = 0.0,
        embedding_scale: float = 1.0,
        **layers: Any,
    ) -> None:
        super().__init__(
            embedding, embedding=Embedding(vocab_size, embedding, token_dropout, embedding_scale), **layers
        )


def drop_channels(x: Tensor, p: float) -> Tensor:
    """Dropout with one mask for all positions of a sequence (Gal and Ghahramani, 2016, arXiv 1512.05287).

    Args:
        x: [B, T, ...].
        p: probability; 0 changes nothing.
    """
    return F.dropout(x.new_ones(len(x), 1, *x.shape[2:]), p) * x if p else x


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse each row of [B, T, D] along T; padding stays in place."""
    if lengths is None:
        return x.flip(1)
    place, end = torch.arange(x.shape[1], device=x.device), lengths[:, None]
    return x.gather(1, torch.where(place < end, end - 1 - place, place)[..., None].expand_as(x))
