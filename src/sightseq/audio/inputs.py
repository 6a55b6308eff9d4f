"""Sounds as inputs of a trained model: files, their contents, or arrays; whole, or in overlapping windows."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, PositiveInt

from sightseq.audio.features import INT16
from sightseq.audio.files import blocks, duration, read_audio, resample
from sightseq.audio.opening import source_name
from sightseq.core.errors import InputError, InputWarning
from sightseq.core.loading import Batch

SoundSource = str | Path | bytes | NDArray[Any] | tuple[NDArray[Any], int]
"""A file, its content, a waveform [N] or [N, channels] of the model's rate, or a waveform and its rate in Hz."""


class SoundInJSON(BaseModel):
    """A waveform of floats in -1..1, and its rate in Hz."""

    samples: list[float]
    rate: PositiveInt


JSONSound = Annotated[SoundInJSON, AfterValidator(lambda sound: (np.array(sound.samples, np.float32), sound.rate))]
"""A sound in JSON, for pydantic, which converts it to a `SoundSource`."""


class Sound(NamedTuple):
    """A sound that was read, or a file of a recording that is too long to be read at once.

    Attributes:
        source: the waveform [N], or the file.
        seconds: its length.
        name: of the file, without its folder.
    """

    source: NDArray[np.float32] | Path
    seconds: float
    name: str


def read_sound(raw: SoundSource, rate: int, longest: float) -> Sound:
    """Return a sound, resampled to `rate` Hz; a file longer than `longest` seconds is not read yet.

    Raises:
        InputError: the sound cannot be read, or has no samples; or see `as_waveform`.

    Warns:
        InputWarning: see `audio.files.read_audio`.
    """
    if isinstance(raw, tuple | np.ndarray):
        samples, own_rate = raw if isinstance(raw, tuple) else (raw, rate)
        waveform = as_waveform(samples, own_rate, rate)
        return Sound(waveform, len(waveform) / rate, "sound")
    name = Path(source_name(raw)).name
    if isinstance(raw, str | Path) and (seconds := duration(raw)) > longest:
        return Sound(Path(raw), seconds, name)
    waveform = read_audio(raw, rate)
    return Sound(waveform, len(waveform) / rate, name)


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


def windows(
    sound: Sound, rate: int, seconds: float, overlap: float = 0.0
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Yield the start in seconds and the waveform [N] of each window of a sound; of a file, one is in memory.

    Args:
        sound: see `read_sound`.
        rate: samples per second of the windows, in Hz.
        seconds: length of a window; the last one may be shorter.
        overlap: seconds that two neighbouring windows share; less than `seconds`.

    Warns:
        InputWarning: the file is damaged in its middle; the windows before are yielded.
    """
    if isinstance(sound.source, Path):
        try:
            yield from blocks(sound.source, rate, seconds, overlap)
        except InputError as error:
            warnings.warn(InputWarning(f"{error}; the rest was left out"), stacklevel=2)
        return
    size = max(1, round(seconds * rate))
    step = max(1, size - round(overlap * rate))
    for first in range(0, max(1, len(sound.source) - (size - step)), step):
        yield first / rate, sound.source[first : first + size]


def stack(waveforms: Sequence[NDArray[np.float32]]) -> Batch:
    """Pad waveforms with 0 and stack them: `input` [B, N] and `length` [B]."""
    tensors = [torch.from_numpy(np.ascontiguousarray(one)) for one in waveforms]
    padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
    return {"input": padded, "length": torch.tensor([len(one) for one in waveforms])}
