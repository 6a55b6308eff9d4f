"""Recurrent decoder with attention: for translation and other texts that are generated from a source."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.attention import Attention, AttentionKind
from sightseq.nets.recurrent import Recurrent

Memory = dict[str, Any]
"""What depends on the source only: `values` [B, S, width], `keys` (a list of [B, S, query]) and `mask` bool [B, S];
empty without attention."""
State = dict[str, Any]
"""What depends on the tokens read so far: `layers`, the states of the layers, each part [1, N, hidden]; with attention
`attention` [N, S], the weights at the last token; with input feeding `feed` [N, width]."""


class Decoder(Recurrent):
    """Recurrent layers over the target's tokens, with attention to the source after a layer.

    The outputs h of a layer are replaced by tanh(W [h; c]), where c is the attention's mean of the source (Luong et
    al., 2015, arXiv 1508.04025). With `every_layer` the next layer reads what the last one has found in the source, as
    in Gehring et al., 2017 (arXiv 1705.03122). No layer waits for the attention at the token before, so all tokens of a
    known text are read at once. Only with input feeding they are read one by one.

    Args:
        vocab_size: number of tokens.
        memory: width of the source's vectors.
        attention: "additive" or "multiplicative", see `Attention`; None: the source is only in the initial state.
        heads: see `Attention`.
        every_layer: attention after every layer, not only after the last one.
        input_feeding: each token's vector also depends on the output at the token before (Luong et al., 2015).
        tied: the last layer shares its weights with the embedding (Press and Wolf, 2017, arXiv 1608.05859); if their
            widths differ, a linear layer is inserted before it.
        embedding, hidden, recurrent: see `Recurrent`, but without `bidirectional`, and without `weight_dropout` if
            `input_feeding`.
    """

    def __init__(
        self,
        vocab_size: int,
        memory: int,
        *,
        embedding: int = 256,
        hidden: Sequence[int] = (512,),
        attention: AttentionKind | None = "multiplicative",
        heads: int = 1,
        every_layer: bool = False,
        input_feeding: bool = False,
        tied: bool = True,
        **recurrent: Any,
    ) -> None:
        # In both directions it would see the tokens that it predicts.
        super().__init__(vocab_size, embedding, hidden=hidden, bidirectional=False, **recurrent)
        if input_feeding and self.weight_dropout:
            raise ValueError("input_feeding reads one token at a time: use it with weight_dropout=0")
        self.widths = [embedding, *hidden]
        self.cells = 2 if isinstance(self.layers[0], nn.LSTM) else 1  # states of a layer: (h, c) or (h,)
        self.bridge = nn.Linear(memory, self.cells * sum(hidden))
        first = 0 if every_layer else len(hidden) - 1
        self.attended = range(first, len(hidden)) if attention else range(0)
        self.attentions = nn.ModuleList(
            Attention(hidden[depth], memory, attention or "multiplicative", heads) for depth in self.attended
        )
        self.merges = nn.ModuleList(nn.Linear(hidden[depth] + memory, hidden[depth]) for depth in self.attended)
        self.feed = nn.Linear(self.width, embedding, bias=False) if input_feeding else None
        self.narrow = nn.Linear(self.width, embedding) if tied and embedding != self.width else None
        self.head = nn.Linear(embedding if tied else self.width, vocab_size)
        nn.init.zeros_(self.head.bias)
        if tied:
            self.head.weight = self.embedding.weight

    def begin(self, values: Tensor, mask: Tensor, summary: Tensor) -> tuple[Memory, State]:
        """Return the memory of a source and the initial state.

        Args:
            values: vectors of the source [B, S, memory].
            mask: bool [B, S], false at padding.
            summary: one vector of each source [B, memory]; the initial states of the layers are tanh(W summary).
        """
        initial = torch.tanh(self.bridge(summary)).to(values.dtype)[None]  # [1, B, sum of all states]
        parts = torch.split(initial, [width for width in self.widths[1:] for _ in range(self.cells)], dim=2)
        layers = [part.contiguous() for part in parts]
        state: State = {"layers": list(zip(*[iter(layers)] * self.cells, strict=True))}
        if self.feed:
            state["feed"] = values.new_zeros(len(values), self.width)
        if not self.attended:
            return {}, state
        state["attention"] = torch.zeros_like(mask, dtype=torch.float32)
        return {
            "values": values,
            "keys": [one.get_submodule("key")(values) for one in self.attentions],
            "mask": mask,
        }, state

    def features(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor | None]:
        """Read tokens.

        Args:
            tokens: [N, T].
            state: the state before them: see `State`.
            memory: see `Memory`. N is a multiple of its B.

        Returns:
            The outputs of the last layer [N, T, width], the next state, and the weights of the last layer's attention
            [N, T, S], None without attention.
        """
        x = self.embedding(tokens)
        masks = [self._dropout_mask(x, p, width) for p, width in zip(self.dropouts, self.widths, strict=True)]
        layers, weights = state["layers"], None
        if self.feed is None:
            x, layers, weights = self._read(x, layers, memory, masks)
        else:
            feed, outputs, rows = state["feed"], [], []
            for position in range(x.shape[1]):
                vector = x[:, position] + self.feed(feed)
                y, layers, weights = self._read(vector[:, None], layers, memory, masks)
                feed = y[:, 0]
                outputs.append(y)
                rows.append(weights)
            x = torch.cat(outputs, dim=1)
            weights = torch.cat(rows, dim=1) if self.attended else None
        after: State = {"layers": layers}
        if self.feed:
            after["feed"] = feed
        if weights is not None:
            after["attention"] = weights[:, -1]
        return x if masks[-1] is None else x * masks[-1], after, weights

    def project(self, features: Tensor) -> Tensor:
        """Outputs of the last layer [..., width] to logits [..., vocab_size]."""
        logits: Tensor = self.head(self.narrow(features) if self.narrow else features)
        return logits

    def _read(self, x: Tensor, layers: list[Any], memory: Memory, masks: list[Tensor | None]) -> Any:
        """Return outputs [N, T, width], states of the layers and attention weights [N, T, S], without last dropout."""
        after, weights = [], None
        for depth, layer in enumerate(self.layers):
            mask = masks[depth]
            x, last = self._run(layer, x if mask is None else x * mask, layers[depth])
            after.append(last)
            if depth in self.attended:
                number = depth - self.attended.start
                context, weights = self.attentions[number](x, memory["keys"][number], memory["values"], memory["mask"])
                x = torch.tanh(self.merges[number](torch.cat([x, context], dim=2)))
        return x, after, weights

    def _dropout_mask(self, x: Tensor, p: float, width: int) -> Tensor | None:
        """Return one dropout mask for all positions [N, 1, width]; None without dropout."""
        return F.dropout(x.new_ones(len(x), 1, width), p) if self.training and p else None
