"""Prediction with a language model of music: composes, or continues an opening."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PositiveInt

from sightseq.core.errors import ConfigError
from sightseq.decoding.sampling import Sampling
from sightseq.music.melody import MelodyCodec
from sightseq.music.piece import Piece, add
from sightseq.music.statistics import BAR
from sightseq.tasks.language_modeling.music import MusicLanguageTask
from sightseq.tasks.music.predict import MusicPredictor, MusicSettings, Sample


class EventSettings(MusicSettings):
    """Options of a language model of music. A piece may end before its last bar."""

    top_k: PositiveInt | None = Field(None, description="sample from the k most probable events only")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="sample from the most probable events with this total probability"
    )

    @property
    def sampling(self) -> Sampling:
        """The sampling settings."""
        return Sampling(self.temperature, self.top_k, self.top_p)


class EventPredictor(MusicPredictor):
    """A trained language model of music: see `MusicPredictor`.

    An opening is written as the model reads it, on its grid of time: a model of melodies keeps only the upper line.
    Composing stops after the last bar, or where the model ends the piece.
    """

    Settings: ClassVar[type[EventSettings]] = EventSettings
    task: MusicLanguageTask

    def check(self, inputs: Sequence[Any], options: EventSettings) -> None:
        """Also refuse options of sampling with temperature=0."""
        for name in sorted(options.model_fields_set & {"top_k", "top_p"}):
            if options.temperature == 0:
                raise ConfigError(f"{name}={getattr(options, name)}: has no effect with temperature=0")
        super().check(inputs, options)

    def heard(self, piece: Piece) -> tuple[int, dict[str, int]]:
        """Count the notes that the codec encodes, and the others."""
        codec = self.task.spec.codec
        if isinstance(codec, MelodyCodec):
            return len(codec.decode(codec.encode(piece)).notes), add(piece.dropped, codec.left_out(piece))
        kept = codec.quantised(piece)
        return len(kept.notes), dict(kept.dropped)

    def samples(self, given: Piece | None, options: EventSettings) -> list[Sample]:
        """Continue the given piece."""
        return self._continued(given, options.bars, options.samples, options.sampling, options.seed)

    def compose(
        self,
        opening: Piece | None = None,
        bars: int = 16,
        samples: int = 1,
        sampling: Sampling | None = None,
        seed: int = 1,
    ) -> list[Sample]:
        """Continue an opening, or compose from nothing, in one batch.

        Args:
            opening: a piece of at most 4000 beats; None: nothing.
            bars: largest number of bars to add, of four beats.
            samples: number of pieces.
            sampling: how each event is chosen; None: from the probabilities as they are.
            seed: of the random numbers.

        Raises:
            InputError: the opening is too long, or has no notes for the model.
        """
        if opening is not None:
            self.check_piece(opening)
        return self._continued(opening, bars, samples, sampling or Sampling(), seed)

    def _continued(self, opening: Piece | None, bars: int, samples: int, sampling: Sampling, seed: int) -> list[Sample]:
        codec = self.task.spec.codec
        tempo = self.task.spec.tempo if opening is None else opening.tempi[0][1]
        tokens = [] if opening is None else codec.encode(opening).tolist()
        step = codec.step(tempo)
        first = int(codec.durations[tokens].sum()) if tokens else 0  # step at which the opening ends
        steps = max(1, round(bars * BAR / step))
        found = []
        for row in self.task.compose(tokens, samples, steps, sampling, seed):
            piece = codec.decode([*tokens, *row], tempo).excerpt((first + steps) * step)
            found.append(Sample(piece, np.rint(piece.notes["start"] / step) < first))
        return found
