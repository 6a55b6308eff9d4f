"""Reading audio files as mono waveforms of one rate; the same for training data and for `predict`."""

import sys
import warnings
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sightseq.audio.opening import Source, opened_sound, source_name, truncated_error
from sightseq.core.errors import InputError, InputWarning
from sightseq.core.extras import require
from sightseq.core.inputs import named_files

# Files with these suffixes are read from folders. Those of the last line cannot be decoded: they are listed so that
# they give an error that names the remedy; otherwise they would be ignored without a message.
SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".sph"}
    | {".m4a", ".aac", ".mp4", ".wma", ".webm", ".amr"}
)
FRAMES = 2**20  # frames read at a time: limits the memory for many channels
SILENCE = 1e-4  # largest absolute sample of a silent recording: -80 dB
LIMIT = 0.9999  # absolute samples from here on are at the limit
CLIPPED = 0.005  # share of equal neighbours at the limit that counts as clipping; a loud, low tone has fewer
LARGEST_RATIO = 500  # of torchaudio's resampling: its table has about the square of this many values


class Remark(NamedTuple):
    """What is unusual about a recording that can be read."""

    kind: Literal["", "silent", "clipped", "scaled"] = ""
    text: str = ""


def audio_files(folder: Path) -> list[Path]:
    """Return the audio files in a folder and its subfolders, sorted, without hidden files and hidden folders."""
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(file for file in files if not any(part[0] == "." for part in file.relative_to(folder).parts))


def find_files(given: str) -> list[Path]:
    """Return the file, the audio files in the folder and its subfolders, or the pattern's matches, sorted.

    Raises:
        InputError: there are none.
    """
    return named_files(given, audio_files, f"sounds ({', '.join(sorted(SUFFIXES))})")


def read_audio(source: Source, rate: int, start: float = 0.0, seconds: float | None = None) -> NDArray[np.float32]:
    """Read a sound as a mono waveform [N] in -1..1: the mean of the channels, resampled.

    Args:
        source: path, content or open file: WAV, FLAC, OGG, MP3, AIFF ..., of any rate and number of channels.
        rate: samples per second of the result, in Hz.
        start: seconds to skip.
        seconds: longest result in seconds; None: to the end.

    Raises:
        InputError: the file cannot be read, is empty or truncated, or has no samples.
        ConfigError: the extra `audio` is not installed.

    Warns:
        InputWarning: the recording is silent or clipped, or its float samples are beyond 1.
    """
    waveform, remark = decode(source, rate, start, seconds)
    _warn(source, remark)
    return waveform


def decode(
    source: Source, rate: int, start: float = 0.0, seconds: float | None = None
) -> tuple[NDArray[np.float32], Remark]:
    """Read a sound like `read_audio`, but return what it would warn about.

    Arguments and errors: see `read_audio`.
    """
    with opened_sound(source) as file:
        first = round(start * file.samplerate)
        file.seek(min(first, file.frames))
        wanted = None if seconds is None else round(seconds * file.samplerate)
        waveform = _read(file, wanted)
        expected = file.frames - first if wanted is None else min(wanted, file.frames - first)
        # The number of frames in the header of a compressed file may be an estimate, a little above or below.
        if file.format == "FLAC" and len(waveform) < expected:
            raise truncated_error(source)
        waveform, remark = _checked(waveform, source, file.subtype)
        own_rate = file.samplerate
    return resample(waveform, own_rate, rate), remark


def duration(source: Source) -> float:
    """Return the length of a sound in seconds, from its header.

    Raises:
        InputError: see `read_audio`.
    """
    with opened_sound(source) as file:
        return float(file.frames / file.samplerate)


def blocks(
    source: Source, rate: int, seconds: float, overlap: float = 0.0
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Read a sound of any length in windows, of which only one is in memory.

    Args:
        source: see `read_audio`.
        rate: samples per second of the windows, in Hz.
        seconds: length of a window; the last one is shorter.
        overlap: seconds that two neighbouring windows share; less than `seconds`.

    Yields:
        The start of each window in seconds, and its waveform [N] in -1..1.

    Raises:
        InputError: see `read_audio`.

    Warns:
        InputWarning: the recording is clipped, or its float samples are beyond 1; once for a recording.
    """
    with opened_sound(source) as file:
        size = max(1, round(seconds * file.samplerate))
        kept = min(round(overlap * file.samplerate), size - 1)
        window, start = _read(file, size), 0
        silenced = {"", "silent"}  # there are pauses in a long recording; of the others, one of each kind is said
        while True:
            checked, remark = _checked(window, source, file.subtype)
            if remark.kind not in silenced:
                silenced.add(remark.kind)
                _warn(source, remark, f" (in the window at {start / file.samplerate:.0f} s)")
            following = _read(file, size - kept) if len(window) == size else window[:0]
            yield start / file.samplerate, resample(checked, file.samplerate, rate)
            if not len(following):
                return
            start += size - kept
            window = np.concatenate([window[size - kept :], following])


def resample(waveform: NDArray[np.float32], own: int, rate: int) -> NDArray[np.float32]:
    """Resample a waveform [N] from `own` to `rate` samples per second (windowed sinc interpolation).

    A ratio of large numbers, such as 16,000 / 24,414, is replaced by a near one (less than 1e-5 away).
    """
    if own == rate or not len(waveform):
        return waveform
    ratio = Fraction(rate, own).limit_denominator(LARGEST_RATIO)
    with torch.inference_mode():
        resampled = _resampler(ratio.denominator, ratio.numerator)(torch.from_numpy(waveform))
    return np.asarray(resampled.clamp(-1, 1).numpy(), np.float32)


@lru_cache(maxsize=16)
def _resampler(own: int, rate: int) -> Any:
    return require("torchaudio.transforms", "audio").Resample(own, rate)


def _read(file: Any, wanted: int | None) -> NDArray[np.float32]:
    """Read at most `wanted` frames, or all, from the current position; return the mean of the channels [N]."""
    pieces, left = [np.zeros(0, np.float32)], sys.maxsize if wanted is None else wanted
    while left > 0:
        piece = file.read(min(left, FRAMES), dtype="float32", always_2d=True)
        if not len(piece):
            break
        pieces.append(piece.mean(axis=1, dtype=np.float32))
        left -= len(piece)
    return np.concatenate(pieces)


def _checked(waveform: NDArray[np.float32], source: Source, subtype: str) -> tuple[NDArray[np.float32], Remark]:
    """Return a waveform in -1..1, and a remark on it.

    Raises:
        InputError: there are no samples, or some are not finite.
    """
    name = source_name(source)
    if not len(waveform):
        raise InputError(f"{name}: has no samples there; the recording is shorter")
    peak = float(np.abs(waveform).max())
    if not np.isfinite(peak):
        raise InputError(f"{name}: has samples that are not finite numbers; export it again, with 16 bits")
    if subtype in ("FLOAT", "DOUBLE") and peak > 1:
        return waveform / np.float32(peak), Remark("scaled", f"its samples reach {peak:.3g}; they were scaled to 1")
    waveform = waveform.clip(-1, 1)  # the decoder of a lossy format may exceed 1 a little
    if peak < SILENCE:
        return waveform, Remark("silent", "is silent")
    flat = (np.abs(waveform[1:]) >= LIMIT) & (waveform[1:] == waveform[:-1])
    share = float(flat.sum() / len(waveform))
    if share > CLIPPED:
        return waveform, Remark("clipped", f"is clipped: {share:.1%} of its samples are at the limit")
    return waveform, Remark()


def _warn(source: Source, remark: Remark, where: str = "") -> None:
    if remark.kind:
        warnings.warn(f"{source_name(source)}: {remark.text}{where}", InputWarning, stacklevel=3)
