"""Networks that describe images: from pixels [B, C, H, W] and caption tokens [B, T] to logits of the next token."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.attention import Attention, AttentionKind
from sightseq.nets.decoder import Decoder, Memory, State
from sightseq.nets.recurrent import Embedding, drop_channels
from sightseq.nets.translation import initialise


class ImageToText(nn.Module):
    """A convolutional encoder, and a decoder that reads its feature map.

    Args:
        encoder: maps normalised images [B, C, H, W] to features [B, width, h, w]; `width` and `grid` are attributes.
        decoder: has the methods `begin`, `features` and `project` of `Decoder`.
        width: the features of each position are projected to this width, then ReLU; None leaves them as they are.
        dropout: dropout probability of the features' channels.
    """

    def __init__(self, encoder: Any, decoder: Any, width: int | None, dropout: float) -> None:
        super().__init__()
        self.encoder, self.decoder, self.dropout = encoder, decoder, dropout
        self.reduce = nn.Linear(encoder.width, width) if width else None
        for part in (decoder, self.reduce):
            if part is not None:
                initialise(part)

    def maps(self, images: Tensor) -> Tensor:
        """Normalised images [B, C, H, W] to the features of each position [B, S, D], row by row."""
        features: Tensor = self.encoder(images).flatten(2).transpose(1, 2)
        return features

    def encode(self, maps: Tensor) -> tuple[Memory, State]:
        """Features of positions [B, S, D] to the memory and the initial state of the decoder."""
        # Channels are dropped at all positions at once (Tompson et al., 2015, arXiv 1411.4280): on a CPU, random
        # numbers for each position would take half of the time of a training step.
        p = self.dropout * self.training
        values = drop_channels(maps, p)
        if self.reduce:
            values = drop_channels(F.relu(self.reduce(values)), p)
        mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        found: tuple[Memory, State] = self.decoder.begin(values, mask, values.mean(1))
        return found

    def features(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor | None]:
        """See `Decoder.features`."""
        found: tuple[Tensor, State, Tensor | None] = self.decoder.features(tokens, state, memory)
        return found

    def project(self, features: Tensor) -> Tensor:
        """See `Decoder.project`."""
        logits: Tensor = self.decoder.project(features)
        return logits

    def decode(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Read tokens [N, T] in the state before them; return logits [N, T, vocab_size] and the next state."""
        features, after, _ = self.features(tokens, state, memory)
        return self.project(features), after

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Normalised images [B, C, H, W] and caption tokens [B, T] to logits [B, T, vocab_size]."""
        memory, state = self.encode(self.maps(images))
        return self.decode(tokens, state, memory)[0]


class Captioner(ImageToText):
    """A recurrent decoder whose initial state depends on the mean of the features: Vinyals et al., 2015
    (arXiv 1411.4555). With `attention` its outputs also attend to the positions, as in translation.

    Args:
        vocab_size: number of tokens.
        encoder: see `ImageToText`.
        width: width of the projected features: see `ImageToText`.
        embedding: size of a token's vector.
        hidden: size of the state of each layer.
        cell: "lstm" or "gru".
        attention, heads, every_layer, input_feeding, tied: see `Decoder`.
        feature_dropout: dropout probability of the features' channels.
        token_dropout, input_dropout, hidden_dropout, output_dropout: see `Recurrent`.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        encoder: nn.Module,
        width: int | None = None,
        embedding: int = 256,
        hidden: Sequence[int] = (512,),
        cell: Literal["lstm", "gru"] = "lstm",
        attention: AttentionKind | None = None,
        heads: int = 1,
        every_layer: bool = False,
        input_feeding: bool = False,
        tied: bool = True,
        feature_dropout: float = 0.0,
        token_dropout: float = 0.0,
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        output_dropout: float = 0.0,
    ) -> None:
        decoder = Decoder(
            vocab_size,
            width or width_of(encoder),
            embedding=embedding,
            hidden=hidden,
            cell=cell,
            attention=attention,
            heads=heads,
            every_layer=every_layer,
            input_feeding=input_feeding,
            tied=tied,
            token_dropout=token_dropout,
            input_dropout=input_dropout,
            hidden_dropout=hidden_dropout,
            output_dropout=output_dropout,
            embedding_scale=embedding**0.5,  # see `nets.translation.EncoderDecoder`
        )
        super().__init__(encoder, decoder, width, feature_dropout)


class ShowAttendTell(ImageToText):
    """Soft attention before each word: Xu et al., 2015 (arXiv 1502.03044).

    Args:
        vocab_size: number of tokens.
        encoder: see `ImageToText`.
        width: width of the projected features: see `ImageToText`; None in the paper.
        embedding: size of a token's vector.
        hidden: size of the LSTM's state.
        feature_dropout: dropout probability of the features' channels.
        input_dropout: dropout probability of the embedded tokens.
        output_dropout: dropout probability of the LSTM's outputs and of the deep output.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        encoder: nn.Module,
        width: int | None = None,
        embedding: int = 512,
        hidden: int = 512,
        feature_dropout: float = 0.0,
        input_dropout: float = 0.0,
        output_dropout: float = 0.5,
    ) -> None:
        memory = width or width_of(encoder)
        decoder = AttendingDecoder(vocab_size, memory, embedding, hidden, input_dropout, output_dropout)
        super().__init__(encoder, decoder, width, feature_dropout)


class AttendingDecoder(nn.Module):
    """The decoder of `ShowAttendTell`.

    The state before a token attends to the source; the LSTM reads the token and the context, which is multiplied by a
    gate, a number in 0..1 (β in section 4.2.1). The logits depend on the token, the state and the context ("deep
    output", eq. 7). Memory and state are those of `Decoder`.

    Args:
        vocab_size: number of tokens.
        memory: width of the source's vectors.
        embedding: size of a token's vector.
        hidden: size of the LSTM's state.
        input_dropout, output_dropout: see `ShowAttendTell`.
    """

    cells = 2  # a layer's state is (h, c)
    feed = None  # unlike `Decoder`, no further state

    def __init__(
        self, vocab_size: int, memory: int, embedding: int, hidden: int, input_dropout: float, output_dropout: float
    ) -> None:
        super().__init__()
        self.input_dropout, self.output_dropout = input_dropout, output_dropout
        self.embedding = Embedding(vocab_size, embedding)
        nn.init.uniform_(self.embedding.weight, -0.5, 0.5)  # about as large as the states, to which they are added
        self.bridge = nn.Linear(memory, 2 * hidden)
        self.attentions = nn.ModuleList([Attention(hidden, memory, "additive")])
        self.gate = nn.Linear(hidden, 1)
        self.layers = nn.ModuleList([nn.LSTM(embedding + memory, hidden, batch_first=True)])
        self.from_state = nn.Linear(hidden, embedding)
        self.from_context = nn.Linear(memory, embedding, bias=False)
        self.head = nn.Linear(embedding, vocab_size)

    def begin(self, values: Tensor, mask: Tensor, summary: Tensor) -> tuple[Memory, State]:
        """See `Decoder.begin`."""
        initial = torch.tanh(self.bridge(summary)).to(values.dtype)[None]
        h, c = (part.contiguous() for part in initial.chunk(2, 2))
        keys = [one.get_submodule("key")(values) for one in self.attentions]
        attention = torch.zeros_like(mask, dtype=torch.float32)
        return {"values": values, "keys": keys, "mask": mask}, {"layers": [(h, c)], "attention": attention}

    def features(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor]:
        """See `Decoder.features`."""
        lstm, attend = cast(Any, self.layers[0]), self.attentions[0]
        x = F.dropout(self.embedding(tokens), self.input_dropout, self.training)  # [N, T, embedding]
        # The part of the gates that depends on the tokens, for all positions at once; the rest follows step by step.
        split = [x.shape[2], lstm.input_size - x.shape[2]]
        from_token, from_context = lstm.weight_ih_l0.split(split, dim=1)
        gates = F.linear(x, from_token, lstm.bias_ih_l0 + lstm.bias_hh_l0)
        h, c = (part[0] for part in state["layers"][0])
        states, contexts, rows = [], [], []
        for position in range(x.shape[1]):
            context, weights = attend(h[:, None], memory["keys"][0], memory["values"], memory["mask"])
            context = torch.sigmoid(self.gate(h)) * context[:, 0]
            step = gates[:, position] + F.linear(context, from_context) + F.linear(h, lstm.weight_hh_l0)
            into, forget, new, out = step.chunk(4, dim=1)  # torch's order of the gates of an LSTM
            c = torch.sigmoid(forget) * c + torch.sigmoid(into) * torch.tanh(new)
            h = torch.sigmoid(out) * torch.tanh(c)
            states.append(h)
            contexts.append(context)
            rows.append(weights)
        weights = torch.cat(rows, dim=1)
        outputs = F.dropout(torch.stack(states, dim=1), self.output_dropout, self.training)
        deep = x + self.from_state(outputs) + self.from_context(torch.stack(contexts, dim=1))
        after: State = {"layers": [(h[None], c[None])], "attention": weights[:, -1]}
        return F.dropout(deep, self.output_dropout, self.training), after, weights

    def project(self, features: Tensor) -> Tensor:
        """See `Decoder.project`."""
        logits: Tensor = self.head(features)
        return logits


def width_of(encoder: nn.Module) -> int:
    """Return the number of channels of an encoder's feature map.

    Raises:
        ValueError: the encoder has no attribute `width`.
    """
    width = getattr(encoder, "width", None)
    if not isinstance(width, int):
        raise ValueError(f"encoder: {type(encoder).__name__} has no width, the number of channels of its feature map")
    return width
