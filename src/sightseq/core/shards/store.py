"""Shards on this machine: files of a local folder, or copies of remote files within a disk budget."""

import contextlib
import json
import os
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import DataError
from sightseq.core.files import disk_errors, replacing
from sightseq.core.shards.fetch import Expected, fetch, scheme

HEADER = 12  # bytes before the values of a litdata chunk of one item: the number of items, its start and its end
LOCKS = 64  # files, each of which locks the downloads of some shards
MARK = 1.0  # seconds for which a shard counts as used
OPEN_MAPS = 128  # memory-mapped shards per process
STALE = 3600  # seconds after which the rest of an interrupted download is removed
STORE = "store.json"


class ShardStore:
    """Reads shards of a folder, or downloads those of a URL when they are needed.

    Downloaded shards are shared by all processes of the machine. Before a download, those that were not used for the
    longest time are removed until the new one fits the budget. It has no locks between threads, so that a
    forked worker can use its copy.

    Args:
        root: folder of the copies in the cache, with the file that `configure` wrote.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._maps: dict[str, tuple[NDArray[Any], float]] = {}  # and when the file was last marked as used

    @staticmethod
    def configure(root: Path, place: str, budget: int) -> None:
        """Set the folder or URL of the shards, and the disk budget of their copies in bytes."""
        with filelock.FileLock(root / "store.lock"), replacing(root / STORE) as file:
            file.write(json.dumps({"place": place, "budget": budget}).encode())

    @cached_property
    def config(self) -> dict[str, Any]:
        """What `configure` wrote."""
        content: dict[str, Any] = json.loads((self.root / STORE).read_text())
        return content

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_maps": {}}

    def read(self, name: str, expected: Expected, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the values of a shard, memory-mapped.

        Args:
            name: path of the shard below the folder or URL.
            expected: its size and checksum.
            dtype: dtype of its values.
            shape: shape of its values.

        Raises:
            DataError: it cannot be read; see `fetch`.
        """
        if 0 in shape:
            return np.empty(shape, dtype)
        found, used = self._maps.get(name, (None, 0.0))
        if found is not None and time.monotonic() - used < MARK:
            return found
        for _ in range(10):  # another process may remove the file before it is opened
            path = self._local(name, expected)
            found, _ = self._maps.pop(name, (None, 0.0))
            if found is None:
                try:
                    found = np.memmap(path, dtype, "r", HEADER, shape).view(np.ndarray)
                except FileNotFoundError:
                    continue
            self._maps[name] = found, time.monotonic()  # at the end, as the one used last
            while len(self._maps) > OPEN_MAPS:
                with contextlib.suppress(StopIteration, RuntimeError, KeyError):  # another thread removed one
                    self._maps.pop(next(iter(self._maps)))
            return found
        raise DataError(f"{name}: the disk budget is used up by other processes; raise data.shards_disk")

    def _local(self, name: str, expected: Expected) -> Path:
        """Return the file of a shard; download it if it is remote and not there."""
        if scheme(self.config["place"]) is None:
            path = Path(self.config["place"]) / name
            if name not in self._maps and (not path.is_file() or path.stat().st_size != expected[0]):
                raise DataError(f"{path} is missing or not complete; copy the shards again, or write them again")
            return path
        path = self.root / "shards" / name
        if not _touch(path):
            self._maps.pop(name, None)
            self._download(name, path, expected)
        return path

    def _download(self, name: str, path: Path, expected: Expected) -> None:
        locks = self.root / "locks"
        locks.mkdir(exist_ok=True)
        with filelock.FileLock(locks / f"{sum(name.encode()) % LOCKS}.lock"):
            if _touch(path):  # by another process, meanwhile
                return
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with filelock.FileLock(locks / "room.lock"), disk_errors(part):
                    self._make_room(self.config["budget"] - expected[0])
                    with part.open("wb") as file:  # other processes count it too
                        file.truncate(expected[0])
                fetch(f"{self.config['place']}/{name}", part, expected)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)

    def _make_room(self, budget: int) -> None:
        """Remove the shards used least recently until all others have at most `budget` bytes together."""
        files = []
        for path in (self.root / "shards").rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    files.append((path.stat().st_mtime, path.stat().st_size, path))
        total = sum(size for _, size, _ in files)
        for used, size, path in sorted(files):
            if total <= budget:
                break
            if path.suffix == ".part" and time.time() - used < STALE:
                continue
            with contextlib.suppress(OSError):  # on Windows, a file in use cannot be removed
                path.unlink(missing_ok=True)
                total -= size
        for name in list(self._maps):  # a file that is mapped still occupies the disk
            if not (self.root / "shards" / name).exists():
                self._maps.pop(name, None)


def _touch(path: Path) -> bool:
    """Mark a file as used now; return whether it exists."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except PermissionError:  # the file is another user's
        return True
    return True
