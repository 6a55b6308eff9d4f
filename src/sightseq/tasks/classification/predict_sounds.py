"""Prediction with a trained classifier of sounds: files, recordings of any length, or arrays to labels."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat

from sightseq.audio.features import INT16
from sightseq.audio.files import blocks, duration, find_files, read_audio, resample
from sightseq.core.errors import InputError, InputWarning
from sightseq.core.loading import Batch
from sightseq.core.predictor import Row
from sightseq.tasks.classification.predict import ClassPredictor, Settings
from sightseq.tasks.classification.sounds import SoundClassificationTask

SoundSource = str | Path | bytes | NDArray[Any] | tuple[NDArray[Any], int]
"""A file, its content, a waveform [N] or [N, channels] of the model's rate, or a waveform and its rate in Hz."""


class SoundSettings(Settings):
    """Options of `sightseq predict` for a classifier of sounds."""

    window: PositiveFloat | None = Field(
        None, description="seconds of a window; null: of the longest clip that the model was trained for"
    )
    overlap: float = Field(0.5, ge=0, lt=1, description="fraction of a window that the next one shares")


class Sound(NamedTuple):
    """A waveform [N], or the file of a recording that is read in windows, and its length."""

    source: NDArray[np.float32] | Path
    seconds: float


class Window(NamedTuple):
    """A part of a sound: the number of the sound, the start in seconds, and the waveform [N]."""

    sound: int
    start: float
    waveform: NDArray[np.float32]


class SoundPredictor(ClassPredictor):
    """A trained classifier of sounds; sounds longer than `window` seconds have one row for each window.

    Rows have the `start` and `end` of the window in seconds. Of a long file, only some windows are in memory.
    """

    Settings: ClassVar[type[SoundSettings]] = SoundSettings
    task: SoundClassificationTask

    def expand(self, given: str, options: SoundSettings) -> list[tuple[str, Path]]:
        """See `find_files`."""
        return [(str(file), file) for file in find_files(given)]

    def read(self, raw: SoundSource) -> Sound:
        """Return a sound, resampled to the model's rate; a file longer than `spec.seconds` is not read yet.

        Raises:
            InputError: the sound cannot be read, or has no samples.

        Warns:
            InputWarning: see `audio.files.read_audio`.
        """
        rate = self.task.spec.rate
        if isinstance(raw, str | Path) and (seconds := duration(raw)) > self.task.spec.seconds:
            return Sound(Path(raw), seconds)
        if isinstance(raw, tuple | np.ndarray):
            waveform = as_waveform(*(raw if isinstance(raw, tuple) else (raw, rate)), rate)
        else:
            waveform = read_audio(raw, rate)
        return Sound(waveform, len(waveform) / rate)

    def predict_items(self, items: Sequence[Sound], options: SoundSettings) -> list[list[Row]]:
        """Return a row for each window of each sound."""
        windows = (window for number, item in enumerate(items) for window in self._windows(number, item, options))
        rows: list[list[Row]] = [[] for _ in items]
        rate = self.task.spec.rate
        while batch := list(islice(windows, options.batch_size)):
            for window, row in zip(batch, self.predict_batch(stack(batch), options.top), strict=True):
                end = window.start + len(window.waveform) / rate
                rows[window.sound].append({"start": round(window.start, 3), "end": round(end, 3), **row})
        return rows

    def _windows(self, number: int, sound: Sound, options: SoundSettings) -> Iterator[Window]:
        """Yield the windows of a sound; each except the last has the full length."""
        rate, seconds = self.task.spec.rate, options.window or self.task.spec.seconds
        overlap = options.overlap * seconds
        if isinstance(sound.source, Path):
            try:
                for start, waveform in blocks(sound.source, rate, seconds, overlap):
                    yield Window(number, start, waveform)
            except InputError as error:  # such as in the middle of a damaged file: the other sounds are still predicted
                warnings.warn(InputWarning(f"{error}; the rest was left out"), stacklevel=2)
            return
        size = max(1, round(seconds * rate))
        step = max(1, size - round(overlap * rate))
        for first in range(0, max(1, len(sound.source) - (size - step)), step):
            yield Window(number, first / rate, sound.source[first : first + size])

    def length(self, item: Sound) -> int:
        """Return the length in samples."""
        return round(item.seconds * self.task.spec.rate)

    def origin(self, place: str, item: Sound) -> Row:
        """Return the file name."""
        return {"file": place}

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name, the start and end of the window, and the cells of `ClassPredictor`."""
        return {"file": row["file"], "seconds": f"{row['start']:.2f} .. {row['end']:.2f}", **super().cells(row)}


def as_waveform(samples: NDArray[Any], own_rate: int, rate: int) -> NDArray[np.float32]:
    """Convert samples [N] or [N, channels], floats in -1..1 or int16, to a mono waveform [N] of `rate` Hz.

    Raises:
        InputError: the array has another type or shape, no samples, or samples that are not finite.
    """
    if samples.dtype != np.int16 and not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"a waveform must be floats in -1..1 or int16, not {samples.dtype}")
    if samples.ndim not in (1, 2) or not samples.size or own_rate < 1:
        raise InputError(
            f"a waveform must be [N] or [N, channels] with a rate in Hz, not {list(samples.shape)} at {own_rate} Hz"
        )
    floats = samples.astype(np.float32) / (INT16 if samples.dtype == np.int16 else 1)
    if not np.isfinite(floats).all():
        raise InputError("a waveform has samples that are not finite numbers")
    mono = floats if floats.ndim == 1 else floats.mean(axis=1, dtype=np.float32)
    return resample(mono.clip(-1, 1).astype(np.float32), own_rate, rate)


def stack(windows: Sequence[Window]) -> Batch:
    """Pad the waveforms of windows with 0 and stack them: `input` [B, N] and `length` [B]."""
    lengths = torch.tensor([len(window.waveform) for window in windows])
    waves = torch.zeros(len(windows), int(lengths.max()))
    for row, window in zip(waves, windows, strict=True):
        row[: len(window.waveform)] = torch.from_numpy(window.waveform)
    return {"input": waves, "length": lengths}
