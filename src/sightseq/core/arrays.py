"""Processed data: arrays on disk, and the rows that form a split."""

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
from sightseq.core.shards.array import SUFFIX, ShardedArray, open_column

ENDS, PADDING = "_ends", "_padding"  # after the name of a ragged column, in the names of its files
IN_MEMORY = 2**30  # bytes; larger arrays stay on disk, memory-mapped
READ: set[Path] = set()  # folders whose columns this process has loaded: shards are written of these


class Ragged:
    """A column of N sequences of unequal lengths (tokens, waveforms, boxes), stored as one concatenated array.

    Args:
        values: values of all sequences, [sum of the lengths, ...].
        ends: end of each sequence in `values` (exclusive), [N].
        padding: value that pads the shorter sequences of a batch; its dtype is the dtype of the batch. By default 0 of
            the dtype of the values.
    """

    def __init__(self, values: NDArray[Any], ends: NDArray[np.int64], padding: Any = None) -> None:
        self.values, self.ends = values, ends
        self.padding: NDArray[Any] = np.zeros((), values.dtype) if padding is None else np.asarray(padding)

    @classmethod
    def of(cls, sequences: Sequence[NDArray[Any]], padding: Any = None) -> Self:
        """Concatenate arrays [length, ...], at least one; an empty sequence has the shape [0, ...]."""
        ends = np.cumsum([len(sequence) for sequence in sequences], dtype=np.int64)
        return cls(np.concatenate(sequences), ends, padding)

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def nbytes(self) -> int:
        """Size of the values and ends in bytes."""
        return self.values.nbytes + self.ends.nbytes

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Lengths of the sequences, [N]."""
        return np.diff(self.ends, prepend=0)

    def row(self, number: int) -> NDArray[Any]:
        """Return one sequence, [length, ...]."""
        return self.values[self.ends[number - 1] if number else 0 : self.ends[number]]

    def __getitem__(self, rows: NDArray[np.int64]) -> Any:
        """Return the selected sequences as a new `Ragged`."""
        ends = np.cumsum([len(self.row(row)) for row in rows], dtype=np.int64)
        return Ragged(np.concatenate([self.values[:0], *map(self.row, rows)]), ends, self.padding)

    def padded(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the selected sequences [B, longest, ...], padded with `padding`, and their lengths [B]."""
        sequences = [self.row(row) for row in rows]
        lengths = np.array([len(sequence) for sequence in sequences], np.int64)
        shape = (len(rows), lengths.max(initial=0), *self.values.shape[1:])
        batch = np.full(shape, self.padding, self.padding.dtype)
        for row, sequence in enumerate(sequences):
            batch[row, : len(sequence)] = sequence
        return batch, lengths

    def in_memory(self) -> "Ragged":
        """Return a copy that is not memory-mapped."""
        return Ragged(np.array(self.values), np.array(self.ends), self.padding)


class ArrayDataset(Dataset[Batch]):
    """The rows of one split, selected from columns of N samples; read a whole batch at a time.

    Args:
        arrays: columns by name ("input", "target", ...), each an array [N, ...] or a `Ragged` of N sequences.
        rows: indices of the rows that belong to this split, in ascending order.
        source: the publisher's split that the columns belong to.
    """

    lengths: Tensor | None
    """Lengths of the inputs of this split if they are ragged, else None; batches then contain similar lengths."""
    unread: frozenset[str] = frozenset()
    """Columns that batches do not contain; `chunks` and `numpy` return them all the same."""

    def __init__(self, arrays: Mapping[str, Any], rows: NDArray[np.int64], source: str = "train") -> None:
        self.arrays, self.rows, self.source = arrays, rows, source
        inputs = arrays.get("input")
        self.lengths = torch.from_numpy(inputs.lengths[rows]) if isinstance(inputs, Ragged) else None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def stored_rows(self) -> NDArray[np.int64] | None:
        """Row of the columns that each sample is read from; None if it is not read from one row."""
        return self.rows

    def __getitem__(self, indices: Tensor | SupportsIndex | slice | Sequence[int]) -> Batch:
        """Return one sample for an index; a batch for a slice, a sequence, or a tensor [B] in which -1 is padding.

        Raises:
            IndexError: an index is out of range.
        """
        if isinstance(indices, Tensor) and indices.ndim:
            return self.batch(indices)
        samples = range(len(self))
        if isinstance(indices, slice):
            return self.batch(torch.tensor(samples[indices], dtype=torch.int64))
        if isinstance(indices, Sequence | np.ndarray):
            return self.batch(torch.tensor([samples[index] for index in indices], dtype=torch.int64))
        return {name: rows[0] for name, rows in self.batch(torch.tensor([samples[indices]])).items()}

    def plain(self) -> Any:
        """Return an object with the same `rows`, `lengths` and `batch`, for `sightseq eject`: simpler, if possible."""
        return self

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these samples.

        It contains the rows [B, ...] of every array that is not `unread`, and `index` [B], the row in the publisher's
        split (-1 where an index was -1). The sequences of a `Ragged` are padded to the longest one; `<name>_length` [B]
        contains their lengths.
        """
        rows = self.rows[indices.clamp(min=0).numpy()]
        batch: Batch = {}
        for name, column in self.arrays.items():
            if name in self.unread:
                continue
            if isinstance(column, Ragged):
                values, lengths = column.padded(rows)
                batch |= {name: torch.from_numpy(values), f"{name}_length": torch.from_numpy(lengths)}
            else:
                batch[name] = torch.from_numpy(column[rows])
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return batch

    def chunks(self, size: int) -> Iterator[dict[str, Any]]:
        """Yield the rows of this split, `size` at a time: arrays, or `Ragged` without padding."""
        for start in range(0, len(self.rows), size):
            rows = self.rows[start : start + size]
            yield {name: column[rows] for name, column in self.arrays.items()}

    def numpy(self) -> dict[str, Any]:
        """Return the rows of this split: arrays, or `Ragged` without padding."""
        return {name: column[self.rows] for name, column in self.arrays.items()}


class ComputedDataset(ArrayDataset):
    """A dataset whose samples are computed by `batch`, not rows of stored columns; baselines read the same batches."""

    @property
    def stored_rows(self) -> NDArray[np.int64] | None:
        """None: a sample may be read from many rows."""
        return None

    def chunks(self, size: int) -> Iterator[dict[str, Any]]:
        """Yield batches of arrays in order, each of at most `size` samples."""
        for start in range(0, len(self), size):
            indices = torch.arange(start, min(start + size, len(self)))
            yield {name: tensor.numpy() for name, tensor in self.batch(indices).items()}

    def numpy(self) -> dict[str, Any]:
        """Return the whole split as one batch of arrays."""
        return {name: tensor.numpy() for name, tensor in self.batch(torch.arange(len(self))).items()}


def map_arrays(folder: Path) -> dict[str, Any]:
    """Load the columns of a folder, arrays or `Ragged`, memory-mapped; those in shards as `ShardedArray`."""
    READ.add(folder)
    columns: dict[str, Any] = {file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))}
    columns |= {file.stem: open_column(file) for file in sorted(folder.glob(f"*{SUFFIX}"))}
    for name in [name for name in columns if f"{name}{ENDS}" in columns]:
        columns[name] = Ragged(columns[name], columns.pop(f"{name}{ENDS}"), columns.pop(f"{name}{PADDING}"))
    return columns


def read_arrays(folder: Path) -> dict[str, Any]:
    """Load the columns of a folder into memory if they are at most `IN_MEMORY` bytes together, else memory-mapped.

    Columns in shards stay there.
    """
    columns = map_arrays(folder)
    whole = {name: one for name, one in columns.items() if not isinstance(getattr(one, "values", one), ShardedArray)}
    if sum(column.nbytes for column in whole.values()) > IN_MEMORY:
        return columns
    loaded = {name: one.in_memory() if isinstance(one, Ragged) else np.array(one) for name, one in whole.items()}
    return columns | loaded


def save_split(folder: Path, split: str, **columns: "NDArray[Any] | Ragged") -> None:
    """Save columns of N samples, arrays [N, ...] or `Ragged`, as one of the publisher's splits."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    for name, column in columns.items():
        path = folder / split / f"{name}.npy"
        if isinstance(column, Ragged):
            save_array(path, column.values)
            _save_ends(path, column.ends, column.padding)
        else:
            save_array(path, column)


def _save_ends(path: Path, ends: NDArray[np.int64], padding: NDArray[Any]) -> None:
    """Save the ends and the padding of the `Ragged` whose values are at `path`."""
    save_array(path.with_name(f"{path.stem}{ENDS}.npy"), ends)
    save_array(path.with_name(f"{path.stem}{PADDING}.npy"), padding)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Save an array like `np.save`, which does not notice a full disk if only the last block does not fit."""
    with path.open("wb") as file:
        np.lib.format.write_array(cast(Any, SimpleNamespace(write=file.write)), array, allow_pickle=False)


def new_array(folder: Path, split: str, name: str, shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> NDArray[Any]:
    """Create a memory-mapped array on disk, for the caller to write.

    It replaces `save_split` for arrays that do not fit into memory.
    """
    (folder / split).mkdir(parents=True, exist_ok=True)
    path = folder / split / f"{name}.npy"
    array = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
    if hasattr(os, "posix_fallocate"):  # otherwise writing to the map on a full disk kills the process
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def save_about(folder: Path, about: dict[str, Any]) -> None:
    """Save metadata of the files for `make_spec`; "skipped" lists the files or rows that were left out."""
    (folder / "about.json").write_text(json.dumps(about))


class RaggedWriter:
    """Write a `Ragged` to disk one sequence at a time: for data that exceeds memory and whose size is not known yet.

    Args:
        path: file of the values; its name is the name of the column and ".npy".
        dtype: dtype of the values.
        shape: shape of one value; by default (), a scalar.
        padding: see `Ragged`.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...] = (), padding: Any = None) -> None:
        self.path, self.dtype, self.shape = path, np.dtype(dtype), shape
        self.padding = np.zeros((), self.dtype) if padding is None else np.asarray(padding)
        self.ends = array("q")
        self._file = path.open("wb")
        self._write_header()

    def append(self, values: NDArray[Any]) -> None:
        """Append one sequence [length, *shape]."""
        self._file.write(values.astype(self.dtype, copy=False).tobytes())
        self.ends.append(self._count() + len(values))

    def close(self) -> None:
        """Save the number of values and the ends; until then the column on disk is empty."""
        self._file.seek(0)
        self._write_header()
        self._file.close()
        _save_ends(self.path, np.array(self.ends, np.int64), self.padding)

    def _count(self) -> int:
        return self.ends[-1] if self.ends else 0

    def _write_header(self) -> None:
        """Write the header of the .npy format, padded to 128 bytes so that a later count fits too."""
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self._count(), *self.shape)}
        self._file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + f"{header!r:<117}\n".encode())
