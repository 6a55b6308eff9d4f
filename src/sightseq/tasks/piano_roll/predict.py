"""Prediction with a piano-roll model: composes, continues an opening, or harmonises a melody."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from sightseq.core.errors import ConfigError
from sightseq.music.piece import NOTE, Piece
from sightseq.music.roll import LOWEST, NEAR, from_roll, outside_roll, to_roll
from sightseq.music.statistics import BAR
from sightseq.tasks.music.predict import MusicPredictor, MusicSettings, Sample
from sightseq.tasks.piano_roll.task import PianoRollTask


class RollSettings(MusicSettings):
    """Options of a piano-roll model."""

    mode: Literal["continue", "harmonise"] = Field(
        "continue", description="harmonise: keep the notes of the input, and add others below the highest of them"
    )

    @property
    def label(self) -> str:
        """What happens to an input."""
        return "harmonised" if self.mode == "harmonise" else super().label


class RollPredictor(MusicPredictor):
    """A trained piano-roll model: see `MusicPredictor`.

    The notes of an input are kept as they are. The model reads its piano roll: see `to_roll`. What it composes is
    played by a piano; a key that sounds in consecutive frames is one note.
    """

    Settings: ClassVar[type[RollSettings]] = RollSettings
    task: PianoRollTask

    def check(self, inputs: Sequence[Any], options: RollSettings) -> None:
        """Also refuse a mode that the network or the inputs do not allow."""
        if options.mode == "harmonise":
            if not all(inputs):
                raise ConfigError("mode=harmonise: needs a melody: input=melody.mid")
            if "bars" in options.model_fields_set:
                raise ConfigError(f"bars={options.bars}: has no effect with mode=harmonise; input_bars= shortens")
            self._check_joint()
        super().check(inputs, options)

    def heard(self, piece: Piece) -> tuple[int, dict[str, int]]:
        """Count the notes of the 88 keys, and the others."""
        outside = outside_roll(piece)
        return len(piece.notes) - sum(outside.values()), outside

    def samples(self, given: Piece | None, options: RollSettings) -> list[Sample]:
        """Continue or harmonise the given piece."""
        common = options.samples, options.temperature, options.seed
        if given is not None and options.mode == "harmonise":
            return self._harmonised(given, *common)
        return self._continued(given, options.bars, *common)

    def compose(
        self, opening: Piece | None = None, bars: int = 16, samples: int = 1, temperature: float = 1.0, seed: int = 1
    ) -> list[Sample]:
        """Continue an opening, or compose from nothing, in one batch.

        Args:
            opening: a piece of at most 4000 beats; None: nothing.
            bars: number of bars to add, of four beats.
            samples: number of pieces.
            temperature: divides the logits; 0 takes the more probable value of each key.
            seed: of the random numbers.

        Raises:
            InputError: the opening is too long, or has no notes for the model.
        """
        if opening is not None:
            self.check_piece(opening)
        return self._continued(opening, bars, samples, temperature, seed)

    def harmonise(self, melody: Piece, samples: int = 1, temperature: float = 1.0, seed: int = 1) -> list[Sample]:
        """Add keys to a melody; its notes stay as they are.

        In each frame, the other keys lie below the highest key of the melody; while it rests, below its last key, and
        before it starts, below its first one. The network must be joint: see `nets.piano_roll_heads`.

        Args:
            melody: notes that are kept, also several at a time, such as soprano and bass.
            samples: number of pieces.
            temperature: divides the logits; 0 takes the more probable value of each key.
            seed: of the random numbers.

        Raises:
            InputError: the melody is too long, or has no notes for the model.
            ConfigError: the network is not joint.
        """
        self._check_joint()
        self.check_piece(melody)
        return self._harmonised(melody, samples, temperature, seed)

    def _check_joint(self) -> None:
        if not self.task.net.head.joint:
            raise ConfigError(
                "mode=harmonise: this network draws each key of a frame without the others; "
                "use one that predicts them jointly, such as that of experiment=bach"
            )

    def _continued(self, opening: Piece | None, bars: int, samples: int, temperature: float, seed: int) -> list[Sample]:
        step = self.task.spec.step
        piece = Piece(np.zeros(0, NOTE), ((0.0, self.task.spec.tempo),)) if opening is None else opening
        roll = to_roll(piece, step)
        rolls = torch.from_numpy(roll).expand(samples, -1, -1)
        frames = self.task.compose(rolls, max(1, round(bars * BAR / step)), temperature, seed)
        return [_joined(piece, rows, step, len(roll)) for rows in torch.stack(list(frames), 1).cpu().numpy()]

    def _harmonised(self, melody: Piece, samples: int, temperature: float, seed: int) -> list[Sample]:
        step = self.task.spec.step
        roll = to_roll(melody, step)
        given = torch.from_numpy(fixed_keys(melody, roll, step)).expand(samples, -1, -1)
        nothing = torch.zeros(samples, 0, roll.shape[1])
        frames = self.task.compose(nothing, len(roll), temperature, seed, given)
        return [_joined(melody, rows & ~roll, step, 0) for rows in torch.stack(list(frames), 1).cpu().numpy()]


def fixed_keys(melody: Piece, roll: NDArray[np.uint8], step: float) -> NDArray[np.int8]:
    """Return the keys that a melody fixes in each frame [T, K]: 1, 0, or -1 for a key that is drawn.

    Args:
        melody: a piece with a note on the keyboard.
        roll: its piano roll [T, K].
        step: beats per frame.
    """
    sounds = roll.max(1) > 0
    highest = roll.shape[1] - 1 - roll[:, ::-1].argmax(1)
    last = np.maximum.accumulate(np.where(sounds, np.arange(len(roll)), 0))  # the last frame with a note
    highest = np.where(sounds[last], highest[last], highest[sounds.argmax()])
    fixed = np.where(np.arange(roll.shape[1]) < highest[:, None], -1, 0).astype(np.int8)
    for start, end, pitch in melody.notes[["start", "end", "pitch"]].tolist():
        key = pitch - LOWEST
        if 0 <= key < roll.shape[1]:  # also in frames that the note only touches, no other note may use its key
            fixed[int(start / step + NEAR) : int(np.ceil(end / step - NEAR)), key] = 0
    fixed[roll > 0] = 1
    return fixed


def _joined(given: Piece, roll: NDArray[np.uint8], step: float, frame: int) -> Sample:
    """Return the notes of a given piece together with those of a roll that starts at a frame."""
    notes = from_roll(roll, step).notes
    notes["start"] += frame * step
    notes["end"] += frame * step
    piece = Piece(np.concatenate([given.notes, notes]), given.tempi)
    known = set(given.notes.tolist())
    return Sample(piece, np.array([note in known for note in piece.notes.tolist()], bool))
