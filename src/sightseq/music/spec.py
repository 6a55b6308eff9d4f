"""Specs of music: piano rolls, and pieces as tokens."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from sightseq.core.errors import CheckpointError
from sightseq.core.spec import Spec
from sightseq.music.events import EventCodec
from sightseq.music.melody import MelodyCodec
from sightseq.music.piece import pitch_name
from sightseq.music.roll import KEYS, LOWEST
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import SPECIAL, of_words


@dataclass(frozen=True)
class RollSpec(Spec):
    """Piano rolls.

    Attributes:
        step: beats (quarter notes) per frame.
        tempo: beats per minute of composed pieces: the median of the training pieces, where the data has tempi.
        voices: most keys that sound at once in a training piece.
        keys: keys of the piano, 88; key 0 is A0.
    """

    step: float
    tempo: float
    voices: int
    keys: ClassVar[int] = KEYS

    def __post_init__(self) -> None:
        if not (self.step > 0 and self.tempo > 0):
            raise CheckpointError(f"the spec has step={self.step} and tempo={self.tempo}")

    def difference(self, other: Spec) -> str:
        """Compare the beats per frame; tempo and voices may differ."""
        if not isinstance(other, RollSpec):
            return super().difference(other)
        if self.step == other.step:
            return ""
        return f"it was trained on frames of {self.step:g} beats, and those of the data have {other.step:g}"

    def net_arguments(self) -> dict[str, Any]:
        """Return `keys`."""
        return {"keys": self.keys}

    def summary(self) -> dict[str, Any]:
        """Return the beats per frame and the most keys at once."""
        return {"beats per frame": self.step, "voices": self.voices}

    def metadata(self) -> dict[str, str]:
        """Return `labels`, the names of the keys, and `preprocessing` with the beats per frame."""
        labels = [pitch_name(LOWEST + key) for key in range(self.keys)]
        return {"labels": json.dumps(labels), "preprocessing": json.dumps({"step": self.step, "lowest_pitch": LOWEST})}


@dataclass(frozen=True)
class MusicSpec(LanguageSpec):
    """Pieces as token ids, for a language model.

    Attributes:
        tokenizer: a tokenizer whose words are the names of the codec, such as "on_C4", so that a language model for
            texts reads pieces too.
        vocab_size: number of token ids; 0 ends a piece, 1 is never used.
        codec: how a piece becomes token ids.
        tempo: beats per minute of composed pieces: the median of the training pieces.
    """

    codec: EventCodec | MelodyCodec
    tempo: float

    def __post_init__(self) -> None:
        if self.vocab_size != self.codec.vocab_size or not self.tempo > 0:
            raise CheckpointError(
                f"the spec has vocab_size={self.vocab_size} and tempo={self.tempo}; "
                f"its codec has {self.codec.vocab_size} token ids"
            )

    @classmethod
    def of(cls, codec: EventCodec | MelodyCodec, tempo: float) -> "MusicSpec":
        """Return the spec of pieces in this code."""
        words = [name.replace(" ", "_") for name in codec.names[len(SPECIAL) :]]
        return cls(of_words(words).json, codec.vocab_size, codec, tempo)

    def difference(self, other: Spec) -> str:
        """Compare the codecs; tempi may differ."""
        if not isinstance(other, MusicSpec):
            return f"it was trained on {self}, but the data is {other}"
        return "" if self.codec == other.codec else f"it was trained on {self.codec}, and the data has {other.codec}"

    def summary(self) -> dict[str, Any]:
        """Return the number of events."""
        return {"events": self.vocab_size}

    def metadata(self) -> dict[str, str]:
        """Return `labels`, a word for each token id, and `preprocessing`, the codec."""
        codec = self.to_dict()["codec"]
        return {"labels": json.dumps(self.codec.names), "preprocessing": json.dumps(codec)}
