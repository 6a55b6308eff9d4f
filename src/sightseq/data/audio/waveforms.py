"""Reading recordings into a column of waveforms; for data with labels or transcripts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightseq.audio.features import INT16
from sightseq.audio.files import Remark, decode, duration
from sightseq.core.arrays import RaggedWriter
from sightseq.data.reading import Corrupt, read_each

TEXTS = {
    "silent": "silent recordings: {:,}",
    "clipped": "clipped recordings: {:,}",
    "scaled": "recordings scaled because of samples beyond 1: {:,}",
}


@dataclass(frozen=True)
class Piece:
    """A recording, or a part of it.

    Attributes:
        path: the file.
        start: seconds to skip.
        seconds: length in seconds; None: to the end, or the middle `longest` seconds if it is longer.
        gain: factor of the samples, in 0..1.
    """

    path: Path
    start: float = 0.0
    seconds: float | None = None
    gain: float = 1.0


def save_waveforms(
    folder: Path,
    split: str,
    pieces: Sequence[Piece],
    rate: int,
    *,
    name: str,
    longest: float | None = None,
    corrupt: Corrupt = "error",
) -> tuple[list[int], Counter[str]]:
    """Read recordings on all cores and save them as the ragged column `input`: int16 samples, mono.

    Only a few recordings are in memory at a time.

    Args:
        folder: the folder that `DataModule.process` receives.
        split: the publisher's split.
        pieces: the N recordings.
        rate: samples per second of the column, in Hz.
        name: name of the dataset, for messages.
        longest: seconds; of a longer recording, the middle is saved. None: no limit.
        corrupt: "skip" saves no samples for a file that cannot be read.

    Returns:
        The rows of files that cannot be read, and how many recordings are silent, clipped or scaled.

    Raises:
        DataError: a file cannot be read, and `corrupt` is "error".
    """

    def read(piece: Piece) -> tuple[NDArray[np.int16], Remark]:
        start, seconds = piece.start, piece.seconds
        if seconds is None and longest is not None:
            start, seconds = max(0.0, (duration(piece.path) - longest) / 2), longest
        waveform, remark = decode(piece.path, rate, start, seconds)
        samples = np.rint(waveform * (piece.gain * INT16)).clip(-INT16, INT16 - 1)
        return samples.astype(np.int16), remark

    (folder / split).mkdir(parents=True, exist_ok=True)
    column = RaggedWriter(folder / split / "input.npy", np.int16)
    bad: list[int] = []
    found: Counter[str] = Counter()
    results = read_each(pieces, read, name=name, corrupt=corrupt, title=f"decode {split}")
    for row, result in enumerate(results):
        if result is None:
            bad.append(row)
            column.append(np.zeros(0, np.int16))
        else:
            column.append(result[0])
            found[result[1].kind] += 1
    column.close()
    return bad, found


def remarks(found: Counter[str]) -> list[str]:
    """Return what the terminal says about the recordings."""
    return [text.format(found[kind]) for kind, text in TEXTS.items() if found[kind]]
