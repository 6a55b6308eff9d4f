"""Processed data: arrays on disk, and the rows of them that make a split."""

import json
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, SupportsIndex, cast

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sightseq.core.loading import Batch

ENDS, PADDING = "_ends", "_padding"  # after the name of a ragged column, in the names of its files
IN_MEMORY = 2**30  # bytes; larger arrays stay on disk, memory-mapped


class Ragged:
    """A column of sequences of unequal lengths (tokens, waveforms, boxes), kept one after another.

    Args:
        values: of all sequences, [sum of the lengths, ...].
        ends: where each of the N sequences ends in it; [N].
        padding: what fills up the shorter sequences of a batch; its dtype is that of the batch. Without it, 0 of the
            dtype of the values.
    """

    def __init__(self, values: NDArray[Any], ends: NDArray[np.int64], padding: Any = None) -> None:
        self.values, self.ends = values, ends
        self.padding: NDArray[Any] = np.zeros((), values.dtype) if padding is None else np.asarray(padding)

    @classmethod
    def of(cls, sequences: Sequence[NDArray[Any]], padding: Any = None) -> Self:
        """Of arrays [length, ...], at least one; one without values has the shape [0, ...]."""
        ends = np.cumsum([len(sequence) for sequence in sequences], dtype=np.int64)
        return cls(np.concatenate(sequences), ends, padding)

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def nbytes(self) -> int:
        """Of all values and ends."""
        return self.values.nbytes + self.ends.nbytes

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Of the sequences, [N]."""
        return np.diff(self.ends, prepend=0)

    def row(self, number: int) -> NDArray[Any]:
        """One sequence."""
        return self.values[self.ends[number - 1] if number else 0 : self.ends[number]]

    def __getitem__(self, rows: NDArray[np.int64]) -> Any:
        """These sequences, as a `Ragged` of their own."""
        ends = np.cumsum([len(self.row(row)) for row in rows], dtype=np.int64)
        return Ragged(np.concatenate([self.values[:0], *map(self.row, rows)]), ends, self.padding)

    def padded(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """These sequences [B, longest, ...], filled up with `padding`, and their lengths [B]."""
        sequences = [self.row(row) for row in rows]
        lengths = np.array([len(sequence) for sequence in sequences], np.int64)
        shape = (len(rows), lengths.max(initial=0), *self.values.shape[1:])
        found = np.full(shape, self.padding, self.padding.dtype)
        for place, sequence in enumerate(sequences):
            found[place, : len(sequence)] = sequence
        return found, lengths

    def in_memory(self) -> "Ragged":
        """A copy that is not memory-mapped."""
        return Ragged(np.array(self.values), np.array(self.ends), self.padding)


class ArrayDataset(Dataset[Batch]):
    """Some rows of columns of N samples, read a whole batch at a time.

    Args:
        arrays: by name ("input", "target", ...), each an array [N, ...] or a `Ragged` of N sequences.
        rows: which of the N rows belong to this split, in ascending order.
        source: the publisher's split they are part of.
    """

    lengths: Tensor | None
    """Of the inputs of this split, where they differ: batches are then of about one length."""

    def __init__(self, arrays: Mapping[str, Any], rows: NDArray[np.int64], source: str = "train") -> None:
        self.arrays, self.rows, self.source = arrays, rows, source
        inputs = arrays.get("input")
        self.lengths = torch.from_numpy(inputs.lengths[rows]) if isinstance(inputs, Ragged) else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: Tensor | SupportsIndex | slice | Sequence[int]) -> Batch:
        """One sample for a number; a batch for a tensor [B], in which -1 is filler, a slice or a sequence.

        Raises:
            IndexError: a number is not that of a sample.
        """
        if isinstance(indices, Tensor) and indices.ndim:
            return self.batch(indices)
        numbers = range(len(self))
        if isinstance(indices, slice):
            return self.batch(torch.tensor(numbers[indices], dtype=torch.int64))
        if isinstance(indices, Sequence | np.ndarray):
            return self.batch(torch.tensor([numbers[index] for index in indices], dtype=torch.int64))
        return {name: rows[0] for name, rows in self.batch(torch.tensor([numbers[indices]])).items()}

    def batch(self, indices: Tensor) -> Batch:
        """The batch of these samples: every array's rows [B, ...] and `index` [B], -1 where an index was -1.

        The sequences of a `Ragged` are filled up to the longest of them; `<name>_length` [B] says how long each is.
        """
        rows = self.rows[indices.clamp(min=0).numpy()]
        batch: Batch = {}
        for name, column in self.arrays.items():
            if isinstance(column, Ragged):
                values, lengths = column.padded(rows)
                batch |= {name: torch.from_numpy(values), f"{name}_length": torch.from_numpy(lengths)}
            else:
                batch[name] = torch.from_numpy(column[rows])
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return batch

    def chunks(self, size: int) -> Iterator[dict[str, Any]]:
        """The rows of this split as they are, so many at a time."""
        for start in range(0, len(self.rows), size):
            rows = self.rows[start : start + size]
            yield {name: column[rows] for name, column in self.arrays.items()}

    def numpy(self) -> dict[str, Any]:
        """The rows of this split as they are."""
        return {name: column[self.rows] for name, column in self.arrays.items()}


def map_arrays(folder: Path) -> dict[str, Any]:
    """The columns of a folder, arrays or `Ragged`, memory-mapped."""
    found: dict[str, Any] = {file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))}
    for name in [name for name in found if f"{name}{ENDS}" in found]:
        found[name] = Ragged(found[name], found.pop(f"{name}{ENDS}"), found.pop(f"{name}{PADDING}"))
    return found


def read_arrays(folder: Path) -> dict[str, Any]:
    """As `map_arrays`, but in memory if together they are small."""
    found = map_arrays(folder)
    if sum(column.nbytes for column in found.values()) > IN_MEMORY:
        return found
    return {name: one.in_memory() if isinstance(one, Ragged) else np.array(one) for name, one in found.items()}


def save_split(folder: Path, split: str, **columns: "NDArray[Any] | Ragged") -> None:
    """Saves columns of N samples, arrays [N, ...] or `Ragged`, as one of the publisher's splits."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    for name, column in columns.items():
        path = folder / split / f"{name}.npy"
        if isinstance(column, Ragged):
            save_array(path, column.values)
            _save_ends(path, column.ends, column.padding)
        else:
            save_array(path, column)


def _save_ends(path: Path, ends: NDArray[np.int64], padding: NDArray[Any]) -> None:
    """What a `Ragged` has besides the values at `path`."""
    save_array(path.with_name(f"{path.stem}{ENDS}.npy"), ends)
    save_array(path.with_name(f"{path.stem}{PADDING}.npy"), padding)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """As `np.save`, which would not notice that the disk is full if only the last block does not fit."""
    with path.open("wb") as file:
        np.lib.format.write_array(cast(Any, SimpleNamespace(write=file.write)), array, allow_pickle=False)


def new_array(folder: Path, split: str, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array of bytes on disk, to be filled: what `save_split` does for arrays that do not fit into memory."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    path = folder / split / f"{name}.npy"
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    if hasattr(os, "posix_fallocate"):  # on a full disk, writing to what is mapped would kill the process
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def save_about(folder: Path, about: dict[str, Any]) -> None:
    """Saves what the files say of themselves besides the arrays, for `make_spec`: "skipped" lists what was left out."""
    (folder / "about.json").write_text(json.dumps(about))


class RaggedWriter:
    """A `Ragged` on disk that grows by a sequence at a time: for what does not fit into memory and is not counted yet.

    Args:
        path: of the values' file; the name of the column and ".npy".
        dtype: of the values.
        shape: of one value; a number each by default.
        padding: see `Ragged`.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...] = (), padding: Any = None) -> None:
        self.path, self.dtype, self.shape = path, np.dtype(dtype), shape
        self.padding = np.zeros((), self.dtype) if padding is None else np.asarray(padding)
        self.ends = array("q")
        self._file = path.open("wb")
        self._write_header()

    def append(self, values: NDArray[Any]) -> None:
        """Writes one more sequence [length, *shape]."""
        self._file.write(values.astype(self.dtype, copy=False).tobytes())
        self.ends.append(self._count() + len(values))

    def close(self) -> None:
        """Writes down how many there are; before that, the column is empty."""
        self._file.seek(0)
        self._write_header()
        self._file.close()
        _save_ends(self.path, np.array(self.ends, np.int64), self.padding)

    def _count(self) -> int:
        return self.ends[-1] if self.ends else 0

    def _write_header(self) -> None:
        """The header of numpy's format, filled up to 128 bytes, whatever the count."""
        about = {"descr": self.dtype.str, "fortran_order": False, "shape": (self._count(), *self.shape)}
        self._file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + f"{about!r:<117}\n".encode())
