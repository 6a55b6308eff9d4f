"""Prediction with a trained classifier of sounds: files, recordings of any length, or arrays to labels."""

from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat

from sightseq.audio.features import INT16
from sightseq.audio.files import find_files
from sightseq.audio.inputs import JSONSound, Sound, SoundSource, read_sound, stack, windows
from sightseq.core.loading import Batch
from sightseq.core.page import Widget
from sightseq.core.predictor import Row
from sightseq.tasks.classification.predict import ClassPredictor, Settings
from sightseq.tasks.classification.sounds import SoundClassificationTask


class SoundSettings(Settings):
    """Options of `sightseq predict` for a classifier of sounds."""

    window: PositiveFloat | None = Field(
        None, description="seconds of a window; null: of the longest clip that the model was trained for"
    )
    overlap: float = Field(0.5, ge=0, lt=1, description="fraction of a window that the next one shares")


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
    json_input: ClassVar[Any] = JSONSound
    widget: ClassVar[Widget | None] = Widget("sound", "a recording")
    local: ClassVar[Collection[str]] = {*ClassPredictor.local, "window", "overlap"}
    task: SoundClassificationTask

    def expand(self, given: str, options: SoundSettings) -> list[tuple[str, Path]]:
        """See `find_files`."""
        return [(str(file), file) for file in find_files(given)]

    def read(self, raw: SoundSource) -> Sound:
        """Return a sound: see `audio.inputs.read_sound`; a file longer than `spec.seconds` is not read yet."""
        return read_sound(raw, self.task.spec.rate, self.task.spec.seconds)

    def predict_items(self, items: Sequence[Sound], options: SoundSettings) -> list[list[Row]]:
        """Return a row for each window of each sound."""
        rate, seconds = self.task.spec.rate, options.window or self.task.spec.seconds
        parts = (
            Window(number, start, waveform)
            for number, item in enumerate(items)
            for start, waveform in windows(item, rate, seconds, options.overlap * seconds)
        )
        rows: list[list[Row]] = [[] for _ in items]
        while batch := list(islice(parts, options.batch_size)):
            found = self.predict_batch(stack([window.waveform for window in batch]), options.top)
            for window, row in zip(batch, found, strict=True):
                end = window.start + len(window.waveform) / rate
                rows[window.sound].append({"start": round(window.start, 3), "end": round(end, 3), **row})
        return rows

    def batch(self, items: Sequence[Sound]) -> Batch | None:
        """Stack waveforms as int16; None if one is not read yet, or longer than a window."""
        waveforms = [item.source for item in items if item.seconds <= self.task.spec.seconds]
        if len(waveforms) < len(items) or any(isinstance(one, Path) for one in waveforms):
            return None
        batch = stack([one for one in waveforms if not isinstance(one, Path)])
        return {**batch, "input": (batch["input"] * (INT16 - 1)).to(torch.int16)}

    def examples(self, batch: Batch) -> list[tuple[int, NDArray[np.int16]]]:
        """Return the recordings."""
        rows = zip(batch["input"].numpy(), batch["length"].tolist(), strict=True)
        return [(self.task.spec.rate, row[:length]) for row, length in rows]

    def length(self, item: Sound) -> int:
        """Return the length in samples."""
        return round(item.seconds * self.task.spec.rate)

    def origin(self, place: str, item: Sound) -> Row:
        """Return the file name."""
        return {"file": place}

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name, the start and end of the window, and the cells of `ClassPredictor`."""
        return {"file": row["file"], "seconds": f"{row['start']:.2f} .. {row['end']:.2f}", **super().cells(row)}
