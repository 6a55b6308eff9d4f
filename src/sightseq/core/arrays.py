"""Processed data: arrays on disk, and the rows of them that make a split."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, SupportsIndex, cast

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sightseq.core.order import Batch

IN_MEMORY = 2**30  # bytes; larger arrays stay on disk, memory-mapped


class ArrayDataset(Dataset[Batch]):
    """Some rows of equally long arrays, read a whole batch at a time.

    Args:
        arrays: by name ("input", "target", ...), each [N, ...].
        rows: which of the N rows belong to this split, in ascending order.
        source: the publisher's split they are part of.
    """

    lengths: Tensor | None = None
    """Of the samples [N], where they differ and batches are to be of about one length."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64], source: str = "train") -> None:
        self.arrays, self.rows, self.source = arrays, rows, source

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
        """The batch of these samples: every array's rows [B, ...] and `index` [B], -1 where an index was -1."""
        rows = self.rows[indices.clamp(min=0).numpy()]
        batch = {name: torch.from_numpy(array[rows]) for name, array in self.arrays.items()}
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return batch

    def chunks(self, size: int) -> Iterator[dict[str, NDArray[Any]]]:
        """The rows of this split as they are, so many at a time."""
        for start in range(0, len(self.rows), size):
            rows = self.rows[start : start + size]
            yield {name: array[rows] for name, array in self.arrays.items()}

    def numpy(self) -> dict[str, NDArray[Any]]:
        """The rows of this split as they are."""
        return {name: array[self.rows] for name, array in self.arrays.items()}


def map_arrays(folder: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a folder, memory-mapped."""
    return {file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))}


def read_arrays(folder: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a folder, in memory if together they are small, else memory-mapped."""
    arrays = map_arrays(folder)
    small = sum(array.nbytes for array in arrays.values()) <= IN_MEMORY
    return {name: np.array(array) for name, array in arrays.items()} if small else arrays


def save_split(folder: Path, split: str, **arrays: NDArray[Any]) -> None:
    """Saves equally long arrays [N, ...] as one of the publisher's splits."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        save_array(folder / split / f"{name}.npy", array)


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


class Ragged:
    """Sequences of unequal lengths, kept one after another.

    Args:
        values: [sum of the lengths].
        ends: where each of the N sequences ends in it; [N].
    """

    def __init__(self, values: NDArray[Any], ends: NDArray[np.int64]) -> None:
        self.values, self.ends = values, ends

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Of the sequences, [N]."""
        return np.diff(self.ends, prepend=0)

    def row(self, number: int) -> NDArray[Any]:
        """One sequence."""
        return self.values[self.ends[number - 1] if number else 0 : self.ends[number]]


class ArrayWriter:
    """A one-dimensional array on disk (.npy) that grows: for what does not fit into memory and is not counted yet.

    Args:
        path: of the file.
        dtype: of the values.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self.dtype, self.count = np.dtype(dtype), 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, values: NDArray[Any]) -> None:
        """Writes further values."""
        self._file.write(values.astype(self.dtype, copy=False).tobytes())
        self.count += len(values)

    def close(self) -> None:
        """Writes down how many there are; before that, the array is empty."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        """The header of numpy's format, filled up to 128 bytes, whatever the count."""
        about = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count,)}
        self._file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + f"{about!r:<117}\n".encode())
