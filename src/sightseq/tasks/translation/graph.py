"""Export graphs of a translation model."""

from typing import ClassVar

from sightseq.core.graph import Axes
from sightseq.tasks.conditional_generation.graph import DecoderGraph


class TranslationGraph(DecoderGraph):
    """One step of the decoder. Its `encoder` maps `input` [B, S], source tokens that end with EOS and are padded with
    0, and `length` [B].
    """

    source: ClassVar[dict[int, str]] = {0: "batch", 1: "source"}
    encoder_inputs: ClassVar[Axes] = {"input": source, "length": {0: "batch"}}
