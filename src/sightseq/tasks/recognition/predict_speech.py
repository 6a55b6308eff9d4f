"""Prediction with a trained recogniser of speech: files, recordings of any length, or arrays to transcripts."""

import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat

from sightseq.audio.figures import alignment_figure
from sightseq.audio.files import find_files
from sightseq.audio.inputs import JSONSound, Sound, SoundSource, read_sound, stack, windows
from sightseq.core.errors import ConfigError, InputWarning
from sightseq.core.loading import Batch
from sightseq.core.page import Widget
from sightseq.core.plots import write_figure
from sightseq.core.predictor import Row
from sightseq.decoding.ctc import BLANK
from sightseq.tasks.recognition.predict import (
    Reading,
    RecognitionPredictor,
    RecognitionSettings,
    target,
)
from sightseq.tasks.recognition.speech import SpeechRecognitionTask
from sightseq.tasks.recognition.streaming import Transcriber
from sightseq.text.subtitles import Word, srt, words_of

SHORTEST = 10.0  # seconds of a window, if the training recordings are shorter
SHARED = 0.25  # fraction of a window that the next one shares
BLOCK = 60.0  # seconds of a file that are decoded at a time for a stream
Timed = tuple[str, float, float]
"""A character with its start and end in seconds."""


class SpeechSettings(RecognitionSettings):
    """Options of `sightseq predict` for a recogniser of speech."""

    window: PositiveFloat | None = Field(
        None,
        description=f"longer recordings are read in overlapping windows of so many seconds; null: {SHORTEST:g}, "
        "or the longest of training",
    )
    stream: bool = Field(False, description="read as while recording, with a causal network, and measure the delay")
    part: PositiveFloat = Field(0.2, description="seconds that are read at a time with stream=true")


def as_srt(row: Row) -> str:
    """Return a row as subtitles."""
    return srt([Word(*word) for word in row["words"]]) + "\n"


class SpeechPredictor(RecognitionPredictor):
    """A trained recogniser of speech. Of a long file, only two windows are in memory.

    What is read in windows is always written by CTC.

    A row has `text`; `seconds`, the length of the recording; and `words`: each with its start and end in seconds. If
    the recording was read at once, also `probability`, that of the text given the recording; with `stream`, also the
    `delay` in seconds (what is read ahead, the part, and its computation) and the `real_time_factor`, seconds of
    computation per second of the recording, both on one core.
    """

    Settings: ClassVar[type[SpeechSettings]] = SpeechSettings
    formats: ClassVar[Any] = {**RecognitionPredictor.formats, "srt": as_srt}
    documents: ClassVar[Any] = frozenset({"srt"})
    json_input: ClassVar[Any] = JSONSound
    local: ClassVar[Collection[str]] = {*RecognitionPredictor.local, "window", "stream", "part"}
    widget: ClassVar[Widget | None] = Widget("sound", "a recording")
    task: SpeechRecognitionTask

    def check(self, inputs: Sequence[Any], options: Any) -> None:
        """Refuse options that have no effect with `stream`, or without it."""
        if "part" in options.model_fields_set and not options.stream:
            raise ConfigError(f"part={options.part:g}: has no effect without stream=true")
        if options.stream:
            Transcriber(self.task)
            for name in ("beam", "lm", "words", "window", "output"):
                if name in options.model_fields_set:
                    raise ConfigError(f"{name}={getattr(options, name)}: has no effect with stream=true")
        super().check(inputs, options)

    def expand(self, given: str, options: SpeechSettings) -> list[tuple[str, Path]]:
        """See `find_files`."""
        return [(str(file), file) for file in find_files(given)]

    def read(self, raw: SoundSource) -> Sound:
        """Return a recording: see `audio.inputs.read_sound`; a file longer than a window is not read yet."""
        return read_sound(raw, self.task.spec.rate, max(SHORTEST, self.task.spec.longest))

    def predict_items(self, items: Sequence[Sound], options: SpeechSettings) -> list[Row]:
        """Return the transcript of each recording."""
        if options.stream:
            return [self._streamed(item, options) for item in items]
        window = options.window or max(SHORTEST, self.task.spec.longest)
        short = [None if isinstance(item.source, Path) or item.seconds > window else item.source for item in items]
        whole = [waveform for waveform in short if waveform is not None]
        readings = iter(self.readings(stack(whole), options) if whole else ())
        rows = []
        for item, waveform in zip(items, short, strict=True):
            if waveform is None:
                if options.output is not None:
                    text = f"{item.name}: is read in windows of {window:g} s, so no picture of it was drawn"
                    warnings.warn(InputWarning(text), stacklevel=2)
                rows.append(self._row(item, list(self._long(item, window, options)), {}))
                continue
            one = next(readings)
            row = self._row(item, self.timed(one, 0.0), {"probability": round(one.probability, 6)})
            if options.output is not None:
                row["output"] = self._picture(waveform, one, target(options.output, item.name))
            rows.append(row)
        return rows

    def timed(self, reading: Reading, start: float) -> list[Timed]:
        """Return the characters with their times in seconds; `start` is the time of the first frame."""
        hop, labels = self.task.hop, self.task.alphabet.labels
        return [(labels[one.token], start + hop * one.start, start + hop * one.end) for one in reading.spans]

    def _row(self, item: Sound, characters: Sequence[Timed], others: Row) -> Row:
        words = words_of(characters)
        text = " ".join(word.text for word in words)  # two windows may be joined between two spaces
        times = [[word.text, round(word.start, 3), round(word.end, 3)] for word in words]
        return {"text": text, **others, "seconds": round(item.seconds, 3), "words": times}

    def _long(self, item: Sound, window: float, options: SpeechSettings) -> Iterator[Timed]:
        """Yield the characters of a recording that is read in windows.

        Two windows are joined within the seconds that they share, where the first one is surest of a blank; so both
        know what comes before and after.
        """
        hop, shared = self.task.hop, SHARED * window
        first = 0.0  # the time from which on the next window is read
        parts = windows(item, self.task.spec.rate, window, shared)
        current = next(parts, None)
        while current is not None:
            (start, waveform), following = current, next(parts, None)
            log_p, frames = self.task(self._batch([waveform]))
            log_p = log_p[0, : int(frames[0])].cpu()
            begin, end = max(round((first - start) / hop), 0), len(log_p)
            if following is not None:
                places = [round((window - shared * part) / hop) for part in (0.75, 0.25)]
                end = min(end, places[0] + int(log_p[places[0] : places[1] + 1, BLANK].argmax()))
            if begin < end:
                (reading,) = self.decoded(log_p[None, begin:end], torch.tensor([end - begin]), options)
                yield from self.timed(reading, start + begin * hop)
            first, current = start + end * hop, following

    def _streamed(self, item: Sound, options: SpeechSettings) -> Row:
        """Read a recording in parts, on one core."""
        reader, threads = Transcriber(self.task), torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            size = max(1, round(options.part * self.task.spec.rate))
            for _, block in windows(item, self.task.spec.rate, BLOCK):
                for first in range(0, len(block), size):
                    reader.add(block[first : first + size])
            reader.finish()
        finally:
            torch.set_num_threads(threads)
        delay = reader.look_ahead + options.part + reader.busy / reader.parts
        numbers = {"delay": round(delay, 4), "real_time_factor": round(reader.busy / max(reader.seconds, 1e-9), 5)}
        return self._row(item, self.timed(Reading("", reader.spans, 0.0), 0.0), numbers)

    def _picture(self, waveform: NDArray[np.float32], reading: Reading, path: Path) -> str:
        """Write the spectrogram with its characters."""
        (features,) = self.task.front.spectrograms(self._batch([waveform]))
        return write_figure(alignment_figure(features, self.task.front.mel.axes, self.timed(reading, 0.0)), path)

    def _batch(self, waveforms: Sequence[NDArray[np.float32]]) -> Batch:
        return {name: tensor.to(self.task.device) for name, tensor in stack(waveforms).items()}

    def examples(self, batch: Batch) -> list[tuple[int, NDArray[np.int16]]]:
        """Return the recordings."""
        rows = zip(batch["input"].numpy(), batch["length"].tolist(), strict=True)
        return [(self.task.spec.rate, row[:length]) for row, length in rows]

    def length(self, item: Sound) -> int:
        """Return the length in samples."""
        return round(item.seconds * self.task.spec.rate)

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name, its length, the text, and what was measured."""
        cells = {"file": row["file"], "seconds": f"{row['seconds']:.2f}", "text": row["text"]}
        if "delay" in row:
            cells |= {"delay": f"{row['delay']:.3f} s", "real-time factor": f"{row['real_time_factor']:.4f}"}
        return cells
