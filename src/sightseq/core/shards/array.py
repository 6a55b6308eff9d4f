"""Columns whose values are in shards; they are indexed like arrays."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.shards.store import ShardStore

SUFFIX = ".shards"  # of the file that describes a column


class ShardedArray:
    """An array [N, ...] in shards along its first axis, which are read when they are needed.

    It is indexed like an array by an index, a slice, an array of indices or a mask, or by a tuple that begins with one
    of the last three. `numpy.asarray` reads all of it.

    Args:
        store: where the shards are.
        name: folder of the shards below the folder or URL of the store.
        about: `dtype` and `shape` of the array, and for each shard its file, size, checksum and number of rows.
        places: position in the shards of each row [N]; None: the rows are stored in order.
    """

    def __init__(
        self, store: ShardStore, name: str, about: dict[str, Any], places: NDArray[np.int64] | None = None
    ) -> None:
        self.store, self.name, self.places = store, name, places
        self.dtype: np.dtype[Any] = np.dtype(about["dtype"])
        self.shape = tuple(about["shape"])
        self.shards: list[tuple[str, int, int, int]] = [tuple(shard) for shard in about["shards"]]
        self.shard_ends = np.cumsum([rows for *_, rows in self.shards], dtype=np.int64)

    def __len__(self) -> int:
        return int(self.shape[0])

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of all values in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if isinstance(key, tuple):
            return self[key[0]][(slice(None), *key[1:])]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            return self.gather(np.arange(start, stop, step))
        rows = np.asarray(key)
        if rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)
        found = self.gather(np.atleast_1d(rows))
        return found if rows.ndim else found[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        values = self[:]
        return values if dtype is None else values.astype(dtype)

    def gather(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows of these indices, [B, ...]."""
        positions = np.where(rows < 0, rows + len(self), rows)
        if self.places is not None:
            positions = self.places[positions]
        values = np.empty((len(rows), *self.shape[1:]), self.dtype)
        shards = np.searchsorted(self.shard_ends, positions, side="right")
        for shard in np.unique(shards):
            stored, inside = self.shard(shard), np.flatnonzero(shards == shard)
            # One row at a time, as `values[inside] = stored[...]` copies each twice.
            for row, place in zip(inside.tolist(), (positions[inside] - self._start(shard)).tolist(), strict=True):
                values[row] = stored[place]
        return values

    def shard(self, number: int) -> NDArray[Any]:
        """Return the rows of one shard, memory-mapped."""
        file, size, crc, rows = self.shards[number]
        return self.store.read(f"{self.name}/{file}", (size, crc), self.dtype, (rows, *self.shape[1:]))

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return the values at the positions `start` to `stop`, in the order of the shards; a view if possible."""
        first = int(np.searchsorted(self.shard_ends, start, side="right"))
        parts = [np.empty((0, *self.shape[1:]), self.dtype)]
        while start < stop:
            base = self._start(first)
            part = self.shard(first)[start - base : stop - base]
            parts.append(part)
            start += len(part)
            first += 1
        return parts[-1] if len(parts) <= 2 else np.concatenate(parts)

    def _start(self, shard: int) -> int:
        return int(self.shard_ends[shard - 1]) if shard else 0


class ShardedValues(ShardedArray):
    """The values of a `Ragged` in shards: `values[start:stop]` as in the array of all sequences in order.

    Args:
        store, name, about: see `ShardedArray`.
        places: position in the shards of each sequence [N].
        ends: ends of the sequences, see `Ragged`; memory-mapped.
    """

    def __init__(
        self, store: ShardStore, name: str, about: dict[str, Any], places: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> None:
        super().__init__(store, name, about)
        self.sequence_places, self.ends = places, ends

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Start of each sequence in the shards, [N]."""
        lengths = np.diff(self.ends, prepend=0)
        stored = np.empty_like(lengths)
        stored[self.sequence_places] = lengths
        starts: NDArray[np.int64] = (np.cumsum(stored) - stored)[self.sequence_places]
        return starts

    def __getitem__(self, key: Any) -> NDArray[Any]:
        start, stop, step = (key if isinstance(key, slice) else slice(key, key + 1)).indices(len(self))
        row = int(np.searchsorted(self.ends, start, side="right"))
        parts = [np.empty((0, *self.shape[1:]), self.dtype)]
        while start < stop:
            end = int(self.ends[row])
            place = int(self.starts[row]) + start - (int(self.ends[row - 1]) if row else 0)
            part = self.stored(place, place + min(stop, end) - start)
            parts.append(part)
            start = end
            row += 1
        values = parts[-1] if len(parts) <= 2 else np.concatenate(parts)
        return values[::step] if isinstance(key, slice) else values[0]


class ShardedStream(ShardedArray):
    """An array in shards in order, such as a stream of tokens: a slice is a view if it is within one shard."""

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self.stored(start, stop)
        return super().__getitem__(key)


def open_column(file: Path) -> ShardedArray:
    """Return the column that a `.shards` file describes.

    The file is in the root of the store, at `FOLDER/SPLIT/COLUMN.shards`.
    """
    about = json.loads(file.read_text())
    root = file.parents[2]
    store, name = ShardStore(root), file.relative_to(root).with_suffix("").as_posix()
    if about["places"] is None:
        return ShardedStream(store, name, about)
    places = np.load(root / about["places"], mmap_mode="r")
    ends = file.with_name(f"{file.stem}_ends.npy")
    if ends.exists():
        return ShardedValues(store, name, about, places, np.load(ends, mmap_mode="r"))
    return ShardedArray(store, name, about, places)
