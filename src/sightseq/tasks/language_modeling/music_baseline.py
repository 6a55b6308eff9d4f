"""Non-neural baseline of event streams."""

import math
from collections.abc import Sequence

import numpy as np

from sightseq.core.baseline import Arrays
from sightseq.music.piece import Piece
from sightseq.music.spec import MusicSpec
from sightseq.tasks.language_modeling.baseline import NGram
from sightseq.text.tokenizer import EOS_ID


class EventNGram(NGram):
    """Interpolated n-gram model of events: see `NGram`. It keeps the training music."""

    spec: MusicSpec
    training: Arrays | None = None

    def fit(self, train: Arrays) -> None:
        """Fit to the events; keep the first split, which is the training split."""
        if self.training is None:
            self.training = train
        super().fit(train)

    def score(self, batch: Arrays) -> dict[str, float]:
        """Add the bits per event."""
        found = super().score(batch)
        return {"bits_per_event": found["loss"] / math.log(2), **found}

    def training_pieces(self, most: int) -> Sequence[Piece]:
        """Return the first training pieces, at most `most`."""
        tokens = self.training["input"] if self.training else np.zeros(0, np.int64)
        ends = np.flatnonzero(tokens == EOS_ID)[:most]
        return [self.spec.codec.decode(part, self.spec.tempo) for part in np.split(tokens, ends + 1)[: len(ends)]]
