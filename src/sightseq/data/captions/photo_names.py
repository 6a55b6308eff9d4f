"""Finds image files by the names that a table of captions gives them."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sightseq.core.errors import DataError

Parts = tuple[str, ...]


class PhotoNames:
    """Image files, found by names in any case, with or without folders.

    A name fits a file if one of the two paths ends with the other: "1.jpg" and "Photos/1.JPG" both fit the file
    photos/1.jpg, and "b/1.jpg" does not fit a/1.jpg.

    Args:
        files: image files below `base`.
        base: folder that contains the images.
    """

    def __init__(self, files: Iterable[Path], base: Path) -> None:
        self._files: dict[str, list[tuple[Parts, Path]]] = {}
        self._given: dict[Path, Parts] = {}  # longest name so far that each file was found by
        for file in files:
            self._files.setdefault(file.name.casefold(), []).append((file.relative_to(base).parts, file))

    def find(self, name: str, place: str) -> Path | None:
        """Return the file with this name, or None if there is none.

        Args:
            name: name in the table; folders are separated by slashes or backslashes.
            place: the place of the name, for messages.

        Raises:
            DataError: several files fit the name, or the file also fits another name, in another folder.
        """
        given = PurePosixPath(name.strip().replace("\\", "/")).parts
        if not given:
            return None
        near = [(parts, file) for parts, file in self._files.get(given[-1].casefold(), []) if _fits(parts, given, True)]
        exact = [(parts, file) for parts, file in near if _fits(parts, given, False)]
        same = [(parts, file) for parts, file in near if parts == given]
        files = [file for _, file in same or exact or near]
        if len(files) > 1:
            raise DataError(f"{place}: {name} may be {files[0]} and {files[1]}; name its folder, too")
        if not files:
            return None
        file = files[0]
        known = self._given.setdefault(file, given)
        if not _fits(known, given, True):
            raise DataError(
                f"{place}: {name} and {'/'.join(known)} are two images, but there is only {file}; add the folders"
            )
        self._given[file] = max(known, given, key=len)
        return file


def _fits(one: Parts, other: Parts, fold: bool) -> bool:
    """Whether one path ends with the other; with `fold` in any case."""
    count = min(len(one), len(other))
    ends = one[-count:], other[-count:]
    return ends[0] == ends[1] or (fold and [p.casefold() for p in ends[0]] == [p.casefold() for p in ends[1]])
