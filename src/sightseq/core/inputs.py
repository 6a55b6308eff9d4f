"""Input files named by a path, a folder or a pattern, and the files that a command writes for them."""

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sightseq.core.errors import ConfigError, InputError


def named_files(given: str, in_folder: Callable[[Path], list[Path]], contents: str) -> list[Path]:
    """Return the file, the files of the folder, or the pattern's matches, sorted.

    Args:
        given: a file, a folder or a pattern.
        in_folder: returns the files to read in a folder and its subfolders.
        contents: what a folder should contain, such as "images (.jpg, .png)".

    Raises:
        InputError: there are none.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        files = in_folder(path)
        if not files:
            raise InputError(f"{given}: contains no {contents}")
        return files
    if path.exists():
        return [path]
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob does not accept absolute patterns)
    files = sorted(Path(name) for name in names if Path(name).is_file())
    if not files:
        raise InputError(f"{given}: there is no such file, folder, or match of the pattern")
    return files


def check_targets(files: Sequence[tuple[Path | None, Path]]) -> None:
    """Check, before the first file is written, that no file would replace an input or another result.

    Args:
        files: the input of each file, or None for a result without one, and the path of the file.

    Raises:
        ConfigError: two inputs have the same target, a target is an input, or its folder is not writable.
    """
    sources = {source.resolve(): source for source, _ in files if source}
    # Device and inode numbers also match for hard links and other spellings of a path.
    existing = any(target.exists() for _, target in files)
    file_ids = {_file_id(source): source for source in sources.values() if source.exists()} if existing else {}
    assigned: dict[Path, Path | None] = {}  # source by target
    for source, target in files:
        resolved = target.resolve()
        replaced = sources.get(resolved) or (file_ids.get(_file_id(target)) if target.exists() else None)
        if replaced is not None:
            raise ConfigError(f"{target} is an input and would be replaced; name another place with output=")
        if (other := assigned.setdefault(resolved, source)) != source:
            raise ConfigError(
                f"{other} and {source} would both be written to {target}; "
                "give a folder that contains both as the input, or run the command for each with its own output="
            )
    for folder in {target.parent for _, target in files}:
        parent = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise ConfigError(f"{folder} cannot be written; name another place with output=")


def _file_id(path: Path) -> tuple[int, int]:
    """Return the device and inode number of a file."""
    status = path.stat()
    return status.st_dev, status.st_ino
