"""Export graphs of a captioning model."""

from typing import ClassVar

from sightseq.core.graph import Axes
from sightseq.tasks.conditional_generation.graph import DecoderGraph


class CaptionGraph(DecoderGraph):
    """One step of the decoder. Its `encoder` maps `input`, prepared images uint8 [B, C, H, W]; see `CaptionSpec`."""

    source: ClassVar[dict[int, str]] = {0: "batch"}  # the number of positions follows from the size of the images
    encoder_inputs: ClassVar[Axes] = {"input": {0: "batch"}}
