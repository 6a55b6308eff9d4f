"""Base of all datasets of piano rolls: pieces as frames of keys that sound."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset, RaggedWriter, save_split
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.loading import Batch
from sightseq.core.splits import Rows, SplitData
from sightseq.data.plain import PlainRolls
from sightseq.music.roll import KEYS, LOWEST
from sightseq.music.spec import RollSpec


class RollDataset(ArrayDataset):
    """Piano rolls of one split; a sample is a whole piece or, if `crop` is set, a part of one.

    A batch has `target` uint8 [B, T, 88], 1 where a key sounds in a frame; `input` uint8 [B, T, 88], the frame before
    each of them (zeros before the first frame of a piece; the true frame before the first one of a later part);
    `length` int64 [B], the number of frames; and `index` int64 [B]. Both rolls are padded with zeros.

    All pieces of the publisher's split are divided into parts, which are numbered in order; `index` is the number of
    the part, or of the first part of a whole piece. Without `crop` it is the row of the piece.

    Args:
        arrays: `target`, the rolls of N pieces, a `Ragged` of frames uint8 [88].
        pieces: rows of the pieces of this split, in ascending order.
        source: see `ArrayDataset`.
        crop: longest part in frames; None for whole pieces. The parts of a piece have equal lengths, give or take one.
        whole: a sample is a whole piece even with `crop`, as in validation and test.
    """

    def __init__(
        self, arrays: Mapping[str, Any], pieces: Rows, source: str, crop: int | None = None, whole: bool = False
    ) -> None:
        rolls, self.pieces, self.whole = arrays["target"], pieces, whole
        self.counts: Rows = np.ones(len(rolls), np.int64) if crop is None else -(-rolls.lengths // crop)
        self.ends = np.cumsum(self.counts)  # of the parts of each piece
        rows = np.flatnonzero(np.isin(np.repeat(np.arange(len(rolls)), self.counts), pieces))
        super().__init__(arrays, (self.ends - self.counts)[pieces] if whole else rows, source)
        _, starts, stops = self._bounds(self.rows)
        self.lengths = torch.from_numpy(stops - starts)

    @property
    def stored_rows(self) -> Rows:
        """Piece of each sample."""
        return self._bounds(self.rows)[0]

    def plain(self) -> PlainRolls:
        """See `ArrayDataset.plain`."""
        pieces, starts, stops = self._bounds(self.rows)
        rolls = self.arrays["target"]
        before = rolls.ends[pieces] - rolls.lengths[pieces]
        return PlainRolls(rolls.values, np.stack([before + starts, before + stops, starts == 0], axis=1))

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these indices: see `RollDataset`; the index -1 is a padding row."""
        rows = self.rows[indices.clamp(min=0).numpy()]
        pieces, starts, stops = self._bounds(rows)
        lengths = stops - starts
        target = np.zeros((len(rows), lengths.max(initial=0), KEYS), np.uint8)
        before = np.zeros_like(target)
        for row, (piece, start, stop) in enumerate(zip(pieces.tolist(), starts.tolist(), stops.tolist(), strict=True)):
            roll = self.arrays["target"].row(piece)
            target[row, : stop - start] = roll[start:stop]
            first = max(start - 1, 0)
            before[row, first + 1 - start : stop - start] = roll[first : stop - 1]
        return {
            "input": torch.from_numpy(before),
            "target": torch.from_numpy(target),
            "length": torch.from_numpy(lengths),
            "index": torch.where(indices < 0, indices, torch.from_numpy(rows)),
        }

    def chunks(self, size: int) -> Iterator[dict[str, Any]]:
        """Yield the whole pieces of this split, `size` at a time: `target`, a `Ragged` of frames uint8 [88]."""
        for start in range(0, len(self.pieces), size):
            yield {"target": self.arrays["target"][self.pieces[start : start + size]]}

    def numpy(self) -> dict[str, Any]:
        """Return the whole pieces of this split: see `chunks`."""
        return next(self.chunks(len(self.pieces)))

    def _bounds(self, parts: Rows) -> tuple[Rows, Rows, Rows]:
        """Return the piece of each part, its first frame, and the frame after its last one; each [B]."""
        pieces = np.searchsorted(self.ends, parts, side="right")
        lengths = self.arrays["target"].lengths[pieces]
        if self.whole:
            return pieces, np.zeros_like(lengths), lengths
        counts = self.counts[pieces]
        number = parts - (self.ends[pieces] - counts)
        return pieces, number * lengths // counts, (number + 1) * lengths // counts


class RollData(SplitData):
    """Pieces of music as piano rolls.

    A subclass's `process` saves the pieces of each split with `RollWriter`. Splits are by piece.

    Args:
        step: length of a frame in beats (quarter notes).
        crop: training pieces of more frames are read in consecutive parts; None: pieces are whole, as they always are
            in validation and test.
        common: see `SplitData` and `DataModule`.
    """

    sample_unit = "piano rolls"
    example_spec: RollSpec = RollSpec(step=1.0, tempo=120.0, voices=4)

    def __init__(self, *, step: float, crop: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        if step <= 0:
            raise ConfigError(f"data.step={step}: must be above 0 beats")
        if crop is not None and crop < 1:
            raise ConfigError(f"data.crop={crop}: must be at least 1 frame, or null for whole pieces")
        self.step, self.crop = step, crop

    def spec_key(self) -> dict[str, Any]:
        """Options that are part of the spec."""
        return {"step": self.step}

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> RollSpec:
        """Return the step, the median tempo, and the largest number of keys that sound at once.

        Raises:
            DataError: no training piece has a note.
        """
        rolls: Any = train.arrays["target"]
        voices = max(int(rolls.row(row).sum(axis=1).max()) for row in train.rows)
        if not voices:
            raise DataError(f"{self.name}: the training pieces have no notes")
        return RollSpec(step=self.step, tempo=float(np.median(train.arrays["tempo"][train.rows])), voices=voices)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Return the pieces of each split; of the training split in parts, if `crop` is set."""
        return {
            split: RollDataset(dataset.arrays, dataset.rows, dataset.source, self.crop, whole=split != "train")
            for split, dataset in datasets.items()
        }


class RollWriter:
    """Writes the piano rolls of one of the publisher's splits, one piece at a time.

    Args:
        folder: the folder that `DataModule.process` receives.
        split: name of the split.
    """

    def __init__(self, folder: Path, split: str) -> None:
        (folder / split).mkdir()
        self.folder, self.split = folder, split
        self._writer = RaggedWriter(folder / split / "target.npy", np.uint8, (KEYS,))
        self._tempi: list[float] = []
        self._groups: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        columns = {"tempo": np.array(self._tempi, np.float64)}
        if self._groups:
            columns["group"] = np.array(self._groups, np.int64)
        save_split(self.folder, self.split, **columns)

    def append(self, roll: NDArray[np.uint8], tempo: float, group: int | None = None) -> None:
        """Write a piece.

        Args:
            roll: [T, 88] with at least one frame, 1 where a key sounds.
            tempo: beats per minute.
            group: the same number for pieces that belong to one split; either all pieces have one, or none.
        """
        self._writer.append(roll)
        self._tempi.append(tempo)
        if group is not None:
            self._groups.append(group)


def roll_of(frames: Sequence[Sequence[float]]) -> NDArray[np.uint8]:
    """Return the piano roll [T, 88] of the MIDI pitches (21 to 108) that sound in each of T frames; -1 is a rest.

    Raises:
        ValueError: there are no frames; or a pitch is not a whole number, or not on the keyboard.
    """
    if not len(frames):
        raise ValueError("a piece has no frames")
    lengths = [len(frame) for frame in frames]
    pitches = np.array([pitch for frame in frames for pitch in frame])
    roll = np.zeros((len(frames), KEYS), np.uint8)
    if len(pitches):
        if not (np.issubdtype(pitches.dtype, np.number) and (pitches == np.rint(pitches)).all()):
            raise ValueError("pitches must be whole numbers")
        times, sounds = np.repeat(np.arange(len(frames)), lengths), pitches != -1
        keys = pitches[sounds].astype(np.int64) - LOWEST
        if len(keys) and not 0 <= keys.min() <= keys.max() < KEYS:
            raise ValueError(f"pitches must be between {LOWEST} and {LOWEST + KEYS - 1}")
        roll[times[sounds], keys] = 1
    return roll
