"""Prediction with a trained recogniser of speech: files, recordings of any length, or arrays to transcripts."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat
from torch import Tensor

from sightseq.audio.features import INT16
from sightseq.audio.figures import alignment_figure
from sightseq.audio.files import blocks, duration, find_files, read_audio
from sightseq.audio.opening import source_name
from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.core.loading import Batch
from sightseq.core.predictor import Row
from sightseq.decoding.ctc import BLANK
from sightseq.tasks.recognition.predict import (
    Reading,
    RecognitionPredictor,
    RecognitionSettings,
    target,
    write_figure,
)
from sightseq.tasks.recognition.speech import SpeechRecognitionTask
from sightseq.tasks.recognition.streaming import Transcriber
from sightseq.text.subtitles import Word, srt, words_of

SpeechSource = str | Path | bytes | NDArray[Any]
"""A file, its content, or a waveform [N] of the model's rate, int16 or floats in -1..1."""
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


class Recording(NamedTuple):
    """A waveform [N] in memory, or the file of a recording that is read in windows."""

    waveform: NDArray[np.float32] | None
    file: Path | None
    seconds: float
    name: str


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
    task: SpeechRecognitionTask

    def check(self, inputs: Sequence[Any], options: Any) -> None:
        """Refuse options that have no effect with `stream`, or without it."""
        if "part" in options.model_fields_set and not options.stream:
            raise ConfigError(f"part={options.part:g}: has no effect without stream=true")
        if options.stream:
            Transcriber(self.task)
            for name in ("beam", "lm", "words", "window"):
                if name in options.model_fields_set:
                    raise ConfigError(f"{name}={getattr(options, name)}: has no effect with stream=true")
        super().check(inputs, options)

    def expand(self, given: str, options: SpeechSettings) -> list[tuple[str, Path]]:
        """See `find_files`."""
        return [(str(file), file) for file in find_files(given)]

    def read(self, raw: SpeechSource) -> Recording:
        """Return a recording, resampled to the model's rate; a file longer than a window is not read yet.

        Raises:
            InputError: the recording cannot be read, or has no samples.

        Warns:
            InputWarning: see `audio.files.read_audio`.
        """
        rate = self.task.spec.rate
        if isinstance(raw, np.ndarray):
            waveform = _mono(raw)
            return Recording(waveform, None, len(waveform) / rate, "recording")
        name = Path(source_name(raw)).name
        if isinstance(raw, str | Path) and (seconds := duration(raw)) > max(SHORTEST, self.task.spec.longest):
            return Recording(None, Path(raw), seconds, name)
        waveform = read_audio(raw, rate)
        return Recording(waveform, None, len(waveform) / rate, name)

    def predict_items(self, items: Sequence[Recording], options: SpeechSettings) -> list[Row]:
        """Return the transcript of each recording."""
        if options.stream:
            return [self._streamed(item, options) for item in items]
        window = options.window or max(SHORTEST, self.task.spec.longest)
        whole = [item for item in items if item.waveform is not None and item.seconds <= window]
        read: Iterator[Reading] = iter(())
        if whole:
            read = iter(self.readings(stack([one.waveform for one in whole if one.waveform is not None]), options))
        rows = []
        for item in items:
            if item.waveform is not None and item.seconds <= window:
                one = next(read)
                row = self._row(item, self.timed(one, 0.0), {"probability": round(one.probability, 6)})
                if options.output is not None:
                    row["output"] = self._picture(item.waveform, one, target(options.output, item.name))
            else:
                row = self._row(item, list(self._long(item, window, options)), {})
            rows.append(row)
        return rows

    def timed(self, reading: Reading, start: float) -> list[Timed]:
        """Return the characters with their times in seconds; `start` is the time of the first frame."""
        hop, labels = self.task.hop, self.task.alphabet.labels
        return [(labels[one.token], start + hop * one.start, start + hop * one.end) for one in reading.spans]

    def _row(self, item: Recording, characters: Sequence[Timed], others: Row) -> Row:
        text = "".join(character for character, _, _ in characters).strip()
        words = [[word, round(start, 3), round(end, 3)] for word, start, end in words_of(characters)]
        return {"text": text, **others, "seconds": round(item.seconds, 3), "words": words}

    def _long(self, item: Recording, window: float, options: SpeechSettings) -> Iterator[Timed]:
        """Yield the characters of a recording that is read in windows.

        Two windows are joined within the seconds that they share, where the first one is surest of a blank; so both
        know what comes before and after.
        """
        hop, shared = self.task.hop, SHARED * window
        first = 0.0  # the time from which on the next window is read
        windows = self._windows(item, window, shared)
        current = next(windows, None)
        while current is not None:
            (start, waveform), following = current, next(windows, None)
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

    def _windows(self, item: Recording, window: float, shared: float) -> Iterator[tuple[float, NDArray[np.float32]]]:
        """Yield the start and the waveform of each window."""
        rate = self.task.spec.rate
        if item.file is not None:
            try:
                yield from blocks(item.file, rate, window, shared)
            except InputError as error:  # in the middle of a damaged file: what was read before is kept
                warnings.warn(InputWarning(f"{error}; the rest was left out"), stacklevel=2)
        elif item.waveform is not None:
            size = max(1, round(window * rate))
            step = max(1, size - round(shared * rate))
            for first in range(0, max(1, len(item.waveform) - (size - step)), step):
                yield first / rate, item.waveform[first : first + size]

    def _streamed(self, item: Recording, options: SpeechSettings) -> Row:
        """Read a recording in parts, on one core."""
        reader, threads = Transcriber(self.task), torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            size = max(1, round(options.part * self.task.spec.rate))
            for _, block in self._windows(item, BLOCK, 0.0):
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
        (features,) = self.task.spectrograms(self._batch([waveform]))
        return write_figure(alignment_figure(features, self.task.mel.axes, self.timed(reading, 0.0)), path)

    def _batch(self, waveforms: Sequence[NDArray[np.float32]]) -> Batch:
        return {name: tensor.to(self.task.device) for name, tensor in stack(waveforms).items()}

    def length(self, item: Recording) -> int:
        """Return the length in samples."""
        return round(item.seconds * self.task.spec.rate)

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name, its length, the text, and what was measured."""
        cells = {"file": row["file"], "seconds": f"{row['seconds']:.2f}", "text": row["text"]}
        if "delay" in row:
            cells |= {"delay": f"{row['delay']:.3f} s", "real-time factor": f"{row['real_time_factor']:.4f}"}
        return cells


def _mono(waveform: NDArray[Any]) -> NDArray[np.float32]:
    """Convert a waveform [N] or [N, channels], int16 or floats, to floats [N] in -1..1.

    Raises:
        InputError: it has another type or shape, no samples, or samples that are not finite.
    """
    kind = waveform.dtype
    if waveform.ndim not in (1, 2) or not waveform.size or not (kind == np.int16 or np.issubdtype(kind, np.floating)):
        raise InputError(f"a waveform must be int16 or floats, [N] or [N, channels], not {kind} {list(waveform.shape)}")
    floats = waveform.astype(np.float32) / (INT16 if kind == np.int16 else 1)
    if not np.isfinite(floats).all():
        raise InputError("a waveform has samples that are not finite numbers")
    return floats.clip(-1, 1) if floats.ndim == 1 else floats.mean(axis=1, dtype=np.float32).clip(-1, 1)


def stack(waveforms: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
    """Pad waveforms with 0 and stack them: `input` [B, N] and `length` [B]."""
    tensors = [torch.from_numpy(np.ascontiguousarray(one)) for one in waveforms]
    padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
    return {"input": padded, "length": torch.tensor([len(one) for one in waveforms])}
