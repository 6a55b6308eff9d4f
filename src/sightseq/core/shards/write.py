"""`sightseq data shards=DIR`: writes prepared data as shards in the chunk format of litdata."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import READ, ArrayDataset, Ragged, map_arrays, save_array
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError
from sightseq.core.extras import require
from sightseq.core.files import atomic_folder
from sightseq.core.shards.fetch import checksum
from sightseq.core.shards.layout import FORMAT, MANIFEST, describe

SMALL = 16  # bytes per row: smaller columns, such as labels, are never cut into shards
SEED = 0  # of the order of the training samples in the shards

Rows = NDArray[np.int64]


def write_shards(data: DataModule, target: Path, size: int) -> Mapping[str, Any]:
    """Write the prepared data to a new folder, from which `data.shards` reads it; return its list of shards.

    A column that is larger than a shard, and whose rows are the samples or which is read as a stream, becomes a litdata
    dataset of its own: each chunk has one item, the values of consecutive rows. litdata's `StreamingDataset` with
    `TokensLoader` can read it too. With `data.shuffle`, training samples are stored in random order, so that a few
    shards are a random sample of them. Validation and test samples are stored in order. Other columns, the spec and
    what else `process` has saved are copied.

    Args:
        data: prepared data.
        target: the folder; it must not exist.
        size: size of a shard in bytes.

    Raises:
        ConfigError: the folder exists or cannot be written, or litdata is not installed.
        DiskError: the disk is full.
    """
    require("litdata", "shards")
    if data.sharded is not None:
        raise ConfigError("shards=: the data is read from shards already; leave data.shards out to write new ones")
    if target.exists():
        raise ConfigError(f"shards={target} exists; name a new folder")
    with atomic_folder(target, "shards=FOLDER") as building:
        if building is None:
            raise ConfigError(f"shards={target} was just written by another process")
        manifest = _Writer(data, building, size).write()
        (building / MANIFEST).write_text(json.dumps(manifest))
    return manifest


class _Writer:
    def __init__(self, data: DataModule, target: Path, size: int) -> None:
        self.data, self.target, self.size = data, target, size
        main = data.folder
        used = {path for path in main.parent.glob(f"{main.name}-*") if any(one.is_relative_to(path) for one in READ)}
        self.folders = [main, *sorted(used)]
        self.columns: dict[str, Any] = {}
        self.files: dict[str, Any] = {}
        self.orders = {path.name: self._order(path.name) for path in sorted(main.iterdir()) if path.is_dir()}

    def write(self) -> dict[str, Any]:
        sources = {name: self._source(name) for name in self.orders}
        for folder in self.folders:
            for path in sorted(folder.iterdir()):
                if path.is_dir():
                    self._write_columns(path, sources)
                elif not path.name.startswith(".") and path.suffix != ".part":
                    self._keep(path, f"{folder.name}/{path.name}")
        return {
            "format": FORMAT,
            "data": describe(type(self.data), self.data.cache_key()),
            "name": self.data.name,
            "synthetic": self.data.synthetic,
            "folder": self.data.folder.name,
            "sources": sources,
            "columns": self.columns,
            "files": self.files,
        }

    def _order(self, source: str) -> Rows | None:
        """Return the rows of a source in the order in which they are stored; None: as they are."""
        parts: dict[str, Rows] = {}
        for split in ("val", "test", "train"):
            dataset: ArrayDataset = self.data.dataset(split)
            if dataset.source == source:
                if dataset.stored_rows is None or self.data.streams:
                    return None
                parts[split] = np.unique(dataset.stored_rows)
        if not parts:
            return None
        if "train" in parts and self.data.shuffle:
            parts["train"] = np.random.default_rng(SEED).permutation(parts["train"])
        count = len(next(iter(map_arrays(self.data.folder / source).values())))
        order = np.concatenate(list(parts.values()))
        return np.concatenate([order, np.setdiff1d(np.arange(count), order)])

    def _source(self, source: str) -> dict[str, Any]:
        """Describe a source: rows per shard of the columns that have its number of rows."""
        order = self.orders[source]
        stored = [column for path in self._folders_of(source) for column in map_arrays(path).values()]
        count = len(stored[0]) if order is None else len(order)
        each = (
            sum(column.nbytes for column in stored if len(column) == count and self._is_large(column, source)) / count
        )
        rows = max(1, int(self.size / each)) if each else count
        places = None
        if order is not None and each:
            places = f"places/{source}.npy"
            (self.target / "places").mkdir(exist_ok=True)
            inverse = np.empty_like(order)
            inverse[order] = np.arange(count)
            save_array(self.target / places, inverse)
            self.files[places] = checksum(self.target / places)
        return {"shards": -(-count // rows), "rows": rows, "bytes": round(rows * each), "places": places}

    def _folders_of(self, source: str) -> list[Path]:
        return [
            path
            for folder in self.folders
            for path in sorted(folder.iterdir())
            if path.is_dir() and _source_of(path, self.orders) == source
        ]

    def _is_large(self, column: Any, source: str | None) -> bool:
        """Return whether a column is cut into shards."""
        if source is None or not (self.orders[source] is not None or self.data.streams):
            return False
        each = SMALL + 1 if isinstance(column, Ragged) else column.nbytes / max(len(column), 1)
        return bool(column.nbytes > self.size and each > SMALL)

    def _write_columns(self, folder: Path, sources: Mapping[str, Mapping[str, Any]]) -> None:
        relative = folder.relative_to(self.data.folder.parent).as_posix()
        source = _source_of(folder, self.orders)
        large = {name: column for name, column in map_arrays(folder).items() if self._is_large(column, source)}
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.stem not in large:
                self._keep(path, f"{relative}/{path.name}")
        for name, column in large.items():
            about, order = sources[str(source)], self.orders[str(source)]
            if order is None or len(order) != len(column):
                order, about = None, {"rows": max(1, self.size * len(column) // column.nbytes), "places": None}
            shards = _write_column(column, self.target / relative / name, order, about["rows"])
            values = column.values if isinstance(column, Ragged) else column
            self.columns[f"{relative}/{name}"] = {
                "dtype": values.dtype.str,
                "shape": list(values.shape),
                "places": about["places"],
                "shards": shards,
            }

    def _keep(self, path: Path, name: str) -> None:
        target = self.target / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        self.files[name] = checksum(target)


def _source_of(folder: Path, sources: Mapping[str, Any]) -> str | None:
    """Return the source of a folder of columns: its name, or the name before a hyphen."""
    return next((name for name in sources if f"{folder.name}-".startswith(f"{name}-")), None)


def _write_column(column: Any, folder: Path, order: Rows | None, rows: int) -> list[tuple[str, int, int, int]]:
    """Write a column as a litdata dataset; return the file, size, checksum and number of values of each chunk.

    Args:
        column: array [N, ...] or `Ragged`.
        folder: the new folder.
        order: the order of the N rows.
        rows: rows per chunk.
    """
    from litdata.streaming.item_loader import TokensLoader
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir(parents=True)
    writer = BinaryWriter(str(folder), chunk_size=1, item_loader=TokensLoader())  # a chunk for each item
    counts = []
    for number, start in enumerate(range(0, len(column), rows)):
        stop = min(start + rows, len(column))
        chosen = np.arange(start, stop) if order is None else order[start:stop]
        part = column[chosen]
        values = np.ascontiguousarray(part.values if isinstance(part, Ragged) else part)
        counts.append(len(values))
        writer.add_item(number, values.reshape(-1).view(_known(values.dtype)))
    writer.done()
    index = next(folder.glob("*.index.json")).rename(folder / "index.json")
    files = [chunk["filename"] for chunk in json.loads(index.read_text())["chunks"]]
    return [(file, *checksum(folder / file), count) for file, count in zip(files, counts, strict=True)]


def _known(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype if litdata can name it, else bytes."""
    from litdata.constants import _NUMPY_DTYPES_MAPPING

    return dtype if dtype in _NUMPY_DTYPES_MAPPING.values() else np.dtype(np.uint8)
