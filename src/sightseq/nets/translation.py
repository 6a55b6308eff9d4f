"""Encoder-decoder networks: from source tokens [B, S] and target tokens [B, T] to logits of the next target token."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from sightseq.nets.attention import AttentionKind
from sightseq.nets.decoder import Decoder, Memory, State
from sightseq.nets.recurrent import Recurrent


class EncoderDecoder(nn.Module):
    """A recurrent encoder, and a recurrent decoder with attention (Sutskever et al., 2014, arXiv 1409.3215; Bahdanau
    et al., 2015, arXiv 1409.0473).

    Args:
        source_vocab_size, target_vocab_size: numbers of tokens.
        joint: source and target have the same vocabulary.
        embedding: size of a token's vector.
        encoder: size of the state of each encoder layer, in each direction.
        decoder: size of the state of each decoder layer.
        cell: "lstm" or "gru".
        bidirectional: the encoder also reads from the end.
        attention, heads, every_layer, input_feeding, tied: see `Decoder`.
        shared: with a joint vocabulary, source and target share their embedding.
        token_dropout, input_dropout, hidden_dropout, output_dropout, weight_dropout: see `Recurrent`; the same for
            encoder and decoder, but the weights of the decoder have no dropout if `input_feeding`.
    """

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        joint: bool = False,
        *,
        embedding: int = 256,
        encoder: Sequence[int] = (256,),
        decoder: Sequence[int] = (512,),
        cell: Literal["lstm", "gru"] = "lstm",
        bidirectional: bool = True,
        attention: AttentionKind | None = "multiplicative",
        heads: int = 1,
        every_layer: bool = False,
        input_feeding: bool = False,
        tied: bool = True,
        shared: bool = True,
        token_dropout: float = 0.0,
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        output_dropout: float = 0.0,
        weight_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        common = {
            "token_dropout": token_dropout,
            "input_dropout": input_dropout,
            "hidden_dropout": hidden_dropout,
            "output_dropout": output_dropout,
            # The small weights that suit the logits are too small as inputs (Vaswani et al., 2017, arXiv 1706.03762).
            "embedding_scale": embedding**0.5,
        }
        self.encoder = Recurrent(
            source_vocab_size,
            embedding,
            hidden=encoder,
            cell=cell,
            bidirectional=bidirectional,
            weight_dropout=weight_dropout,
            **common,
        )
        self.decoder = Decoder(
            target_vocab_size,
            self.encoder.width,
            attention=attention,
            heads=heads,
            every_layer=every_layer,
            input_feeding=input_feeding,
            tied=tied,
            embedding=embedding,
            hidden=decoder,
            cell=cell,
            weight_dropout=0.0 if input_feeding else weight_dropout,
            **common,
        )
        initialise(self)
        if joint and shared:
            self.encoder.embedding = self.decoder.embedding

    def encode(self, source: Tensor, length: Tensor) -> tuple[Memory, State]:
        """Source tokens [B, S] and lengths [B] to the memory and the initial state of the decoder."""
        values, _ = self.encoder.read(source, length)
        places = torch.arange(source.shape[1], device=source.device)
        summary = values[torch.arange(source.shape[0], device=source.device), length - 1]
        if self.encoder.bidirectional:  # the backward direction ends at the first position
            summary = torch.cat([summary.chunk(2, 1)[0], values[:, 0].chunk(2, 1)[1]], dim=1)
        return self.decoder.begin(values, places < length[:, None], summary)

    def features(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor | None]:
        """See `Decoder.features`."""
        return self.decoder.features(tokens, state, memory)

    def project(self, features: Tensor) -> Tensor:
        """See `Decoder.project`."""
        return self.decoder.project(features)

    def decode(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Read target tokens [N, T] in the state before them; return logits [N, T, vocab_size] and the next state."""
        features, after, _ = self.features(tokens, state, memory)
        return self.project(features), after

    def forward(self, source: Tensor, length: Tensor, tokens: Tensor) -> Tensor:
        """Source tokens [B, S], lengths [B] and target tokens [B, T] to logits [B, T, vocab_size]."""
        memory, state = self.encode(source, length)
        return self.decode(tokens, state, memory)[0]


def initialise(network: nn.Module) -> None:
    """Initialise recurrent and linear layers as Keras does; embeddings stay as they are.

    Recurrent weights are orthogonal (Saxe et al., 2014, arXiv 1312.6120), other matrices as in Glorot and Bengio, 2010,
    and biases 0, but 1 for the forget gate of an LSTM.

    With torch's defaults each layer halves its inputs, and the decoder ignores them for the first hundreds of steps.
    """
    tables = [module.weight for module in network.modules() if isinstance(module, nn.Embedding)]
    for module in network.modules():
        if isinstance(module, nn.Linear) and all(module.weight is not table for table in tables):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LSTM | nn.GRU):
            for name, weight in module.named_parameters():
                parts = torch.split(weight.data, module.hidden_size)  # one of each gate
                if name.startswith("bias"):
                    nn.init.zeros_(weight)
                    if isinstance(module, nn.LSTM) and name.startswith("bias_hh"):
                        nn.init.ones_(parts[1])
                else:
                    for part in parts:
                        (nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_)(part)
