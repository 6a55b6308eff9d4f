"""Finds the files of arrays in the cache, and saves those that have none."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import READ, save_array


class Files:
    """Expressions that load arrays from files below a folder.

    Args:
        cache: the folder.
        name: subfolder for arrays that are in no file, such as the row numbers of a split.
    """

    def __init__(self, cache: Path, name: str, key: str) -> None:
        self.cache, self.folder, self.key = cache, cache / name / "eject", key
        self.read: list[str] = []
        """Paths of all files that are loaded, relative to the cache."""
        folders = sorted(
            (folder for folder in READ if cache in folder.parents), key=lambda folder: (folder.name != "train", folder)
        )
        paths = [path for folder in folders for path in sorted(folder.glob("*.npy"))]
        self._known = [(path, np.load(path, mmap_mode="r")) for path in paths]

    def expression(self, array: NDArray[Any], split: str | None = None) -> str:
        """Return the expression of an array; an array without a file is saved."""
        count = len(array) if array.ndim else 0
        if array.ndim == 0:
            return f"np.array({array.item()!r}, np.{array.dtype})"
        numbers = split is None and np.issubdtype(array.dtype, np.integer) and array.ndim == 1
        if numbers and (array == np.arange(count)).all():
            return f"np.arange({count})"
        path = self._save(array, split) if split else self._find(array) or self._save(array)
        shown = path.relative_to(self.cache).as_posix()
        if shown not in self.read:
            self.read.append(shown)
        return f"load({shown!r})"

    def _find(self, array: NDArray[Any]) -> Path | None:
        if isinstance(array, np.memmap) and array.base is None and (name := array.filename):
            return Path(str(name))
        for path, known in self._known:
            if known.shape == array.shape and known.dtype == array.dtype and np.array_equal(known, array):
                return path
        return None

    def _save(self, array: NDArray[Any], split: str | None = None) -> Path:
        content = np.ascontiguousarray(array)
        digest = hashlib.sha256(repr((array.dtype.str, array.shape)).encode())
        digest.update(content.data)
        path = self.folder / f"{digest.hexdigest()[:8]}.npy"
        if split:
            path = self.folder / self.key / f"{split}.npy"
        if split or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            save_array(path, content)
        return path
