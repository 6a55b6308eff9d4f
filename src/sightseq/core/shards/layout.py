"""The list of all shards and of the files beside them: written once, read before a training."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from sightseq.core.arrays import ArrayDataset
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.files import atomic_folder
from sightseq.core.loading import POOL, BatchSampler, ShardSampler, StreamSampler
from sightseq.core.shards.ahead import DownloadAhead
from sightseq.core.shards.array import SUFFIX
from sightseq.core.shards.fetch import checksum, fetch, scheme
from sightseq.core.shards.store import ShardStore

MANIFEST = "shards.json"
FORMAT = 1
AHEAD = 2  # shards that are downloaded before they are needed
WINDOWS_AHEAD = 100  # of token streams: the windows whose shards are downloaded before they are needed
GIGABYTE = 10**9


@dataclass(frozen=True)
class ShardLayout:
    """Where the samples of a dataset are stored, and in which order they are read.

    Args:
        place: folder or URL of the shards.
        folder: the processed data, whose columns are in shards: see `ShardedArray`.
        sources: for each of the publisher's splits, `shards` (their number), `rows` (per shard), `bytes` (of a shard,
            all columns together) and `places` (path of the positions of the rows; None if they are stored as they are).
        opened: number of shards that are mixed in training.
        budget: disk budget in bytes; None for a local folder.
        size: size of all shards in bytes.
        synthetic: the data was generated.
    """

    place: str
    folder: Path
    sources: Mapping[str, Mapping[str, Any]]
    opened: int
    budget: int | None
    size: int
    synthetic: bool

    def sampler(self, dataset: ArrayDataset, options: Mapping[str, Any]) -> ShardSampler | None:
        """Return the sampler of a split; None if it has at most `opened` shards, or if a sample is not a stored row.

        Args:
            dataset: the split.
            options: arguments of `BatchSampler`.
        """
        positions = self._positions(dataset)
        if positions is None:
            return None
        sampler = ShardSampler(positions, self.sources[dataset.source]["rows"], self.opened, **options)
        return sampler if sampler.shard_count > self.opened else None

    def download_ahead(self, dataset: ArrayDataset, order: BatchSampler) -> None:
        """Have the shards of a URL downloaded some batches before they are needed.

        Raises:
            ConfigError: the disk budget does not hold the shards that are read at a time.
        """
        about = self.sources.get(dataset.source)
        if self.budget is None or not self.size or about is None:
            return
        size, positions = order.batch_size * order.world, self._positions(dataset)
        if isinstance(order, ShardSampler):
            pool = POOL * size if order.lengths is not None else 0
            needed = self.opened + 1 + AHEAD + pool // about["rows"]
            order.ahead = AHEAD * about["rows"] // size
        elif isinstance(order, StreamSampler):
            needed, order.ahead = size + AHEAD, WINDOWS_AHEAD
        elif positions is not None:
            needed = len(torch.unique(positions // about["rows"]))
        else:
            needed = about["shards"]
        if self.budget < (bytes_needed := min(needed * about["bytes"], self.size)):
            raise ConfigError(
                f"data.shards_disk={self.budget / GIGABYTE:g}: {bytes_needed / GIGABYTE:.3g} GB are needed for the "
                "shards read at a time; raise it, lower data.shards_open, or write smaller shards (shard_size=)"
            )
        order.announce = DownloadAhead(dataset, order.shards if isinstance(order, ShardSampler) else None)

    def _positions(self, dataset: ArrayDataset) -> torch.Tensor | None:
        """Return the position of each sample in the shards, [len(dataset)]; None if no column is stored by samples."""
        about, rows = self.sources.get(dataset.source), dataset.stored_rows
        if about is None or about["places"] is None or rows is None:
            return None
        places = np.load(self.folder.parent / about["places"], mmap_mode="r")
        return torch.from_numpy(places[rows])

    def check_recomputation(self) -> None:
        """Check that the whole data may be read again to compute what the shards do not contain.

        Raises:
            DataError: the disk budget does not hold it.
        """
        if self.budget is not None and self.budget < self.size:
            raise DataError(
                f"{self.place} was written with other options of this data, so its spec is not in the shards; use the "
                "same options, or write the shards again with these"
            )


def describe(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what a data module of a class, with the options that change its `process`, has saved."""
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "options": options}


def open_shards(place: str, cache: Path, disk: float, opened: int, expected: Mapping[str, Any]) -> ShardLayout:
    """Make the files beside the shards available in the cache; the shards are read later.

    Args:
        place: folder or URL of the shards.
        cache: folder of the dataset in the cache.
        disk: disk budget of downloaded shards, in GB.
        opened: number of shards that are mixed in training.
        expected: what the processed data should be, from `describe`.

    Raises:
        ConfigError: they are of another dataset or have other options, or an argument is invalid.
        DataError: there are no shards, or a reply is bad.
    """
    if opened < 1 or disk <= 0:
        raise ConfigError("data: shards_open must be at least 1, shards_disk above 0")
    remote, budget = scheme(place) is not None, round(disk * GIGABYTE)
    place = place.rstrip("/") if remote else str(Path(place).expanduser().resolve())
    content = _read_manifest(place, remote)
    try:
        manifest = json.loads(content)
        if manifest["format"] != FORMAT:
            raise DataError(f"{place} has the shard format {manifest['format']}; this version reads {FORMAT}")
        _check_names(manifest, place)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{place}/{MANIFEST} is not a list of shards; write them with sightseq data shards=DIR"
        ) from error
    _compare(manifest["data"], json.loads(json.dumps(expected)), place)
    root = cache.resolve() / f"shards-{sha256(content).hexdigest()[:16]}"
    with atomic_folder(root) as building:
        if building is not None:
            for name, (size, crc) in manifest["files"].items():
                target = building / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(f"{place}/{name}", target, (size, crc), remote)
            for name, about in manifest["columns"].items():
                target = building / f"{name}{SUFFIX}"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(json.dumps(about))
    ShardStore.configure(root, place, budget)
    return ShardLayout(
        place=place,
        folder=root / manifest["folder"],
        sources=manifest["sources"],
        opened=opened,
        budget=budget if remote else None,
        size=sum(size for column in manifest["columns"].values() for _, size, *_ in column["shards"]),
        synthetic=manifest["synthetic"],
    )


def _read_manifest(place: str, remote: bool) -> bytes:
    if not remote:
        try:
            return (Path(place) / MANIFEST).read_bytes()
        except OSError as error:
            raise DataError(
                f"there are no shards in {place} ({error.strerror}); write them with sightseq data shards=DIR"
            ) from error
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / MANIFEST
        fetch(f"{place}/{MANIFEST}", file)
        return file.read_bytes()


def _copy(source: str, target: Path, expected: tuple[int, int], remote: bool) -> None:
    if remote:
        fetch(source, target, expected)
        return
    try:
        target.write_bytes(Path(source).read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{source} is missing; copy the shards again, or write them again") from error
    if checksum(target) != expected:
        raise DataError(f"{source} is not complete; copy the shards again, or write them again")


def _check_names(manifest: Mapping[str, Any], place: str) -> None:
    """Check that a list from a server names nothing outside its own folder."""
    places = [about["places"] for about in manifest["sources"].values()]
    columns = manifest["columns"]
    shards = [f"{name}/{shard[0]}" for name, column in columns.items() for shard in column["shards"]]
    names = [*manifest["files"], *columns, *shards, manifest["folder"]]
    names += [name for name in (*places, *(column["places"] for column in columns.values())) if name is not None]
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            raise DataError(f"{place}/{MANIFEST} names a file outside its folder: {name!r}; nothing was read")


def _compare(found: Mapping[str, Any], expected: Mapping[str, Any], place: str) -> None:
    if found["class"] != expected["class"]:
        raise ConfigError(f"{place} has the data of {found['class']}, not of {expected['class']}; choose its data=")
    options = {**found["options"], **expected["options"]}
    for name in options:
        if (old := found["options"].get(name)) != (new := expected["options"].get(name)):
            raise ConfigError(
                f"{place} was written with data.{name}={old}, not {new}; use that, or write the shards again"
            )
