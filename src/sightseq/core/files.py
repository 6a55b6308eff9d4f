"""Files that are whole or not there, whatever happens to the process and the disk. Imports nothing heavy."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sightseq.core.errors import ConfigError, DiskError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the block ends well; else what was there stays.

    Raises:
        DiskError: see `room`.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with room(path), part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or, after a power cut, the name could stand for an empty file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def output_file(typed: str | None, default: Path) -> Path:
    """Where to write what was asked for, in a folder that is there then.

    Raises:
        ConfigError: a folder was named, not a file; or it cannot be written there.
    """
    path = Path(typed) if typed else default
    if path.is_dir():
        raise ConfigError(f"output={path} is a folder; name a file in it")
    make_folder(path.parent, "output=FILE")
    return path


def make_folder(folder: Path, key: str) -> None:
    """Makes a folder to write to, if it is not there.

    Args:
        folder: with all that it lies in.
        key: what names another place, for the message.

    Raises:
        ConfigError: it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made ({error.strerror}); name another place with {key}") from error
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{folder} cannot be written to; name another place with {key}")


@contextmanager
def room(path: Path) -> Iterator[None]:
    """Turns what prevents the block from writing `path` into an error that says so.

    Raises:
        DiskError: the disk is full, or nothing can be written there.
    """
    try:
        yield
    except OSError as error:
        # What is read in the block may be denied too, which is no matter of this path.
        denied = error.errno in DENIED and Path(str(error.filename)).is_relative_to(path.parent)
        if error.errno not in FULL and not denied:
            raise
        raise DiskError(
            f"{path} cannot be written ({error.strerror}); {'' if denied else 'make room, or '}name another place with "
            f"paths.runs=FOLDER and paths.cache=FOLDER"
        ) from error
