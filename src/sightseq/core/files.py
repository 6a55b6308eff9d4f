"""Files that are whole or not there, whatever happens to the process and the disk. Imports nothing heavy."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import filelock

from sightseq.core.errors import ConfigError, DiskError

CACHE = "paths.cache=FOLDER (or SIGHTSEQ_CACHE)"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PLACES = "paths.runs=FOLDER and paths.cache=FOLDER"
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
        ConfigError: a folder was named, not a file, or nothing can be written there.
    """
    path = Path(typed) if typed else default
    with making(path, "output=FILE"):
        if path.is_dir():
            raise ConfigError(f"output={path} is a folder; name a file in it")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return path


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path | None]:
    """Yields an empty folder that becomes `folder`, in the cache, when the block ends well, or None if it is there.

    Processes that come here together wait for the first. What a killed process left behind is not believed.

    Raises:
        ConfigError: it cannot be made.
        DiskError: the disk is full.
    """
    with making(folder, CACHE):
        there = folder.exists()
        if not there:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder.with_name(folder.name + ".lock")).acquire()
    if there:
        yield None
        return
    with lock:
        if folder.exists():
            yield None
            return
        with making(folder, CACHE):
            building = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
            building.chmod(0o755)
        try:
            with room(folder):
                yield building
            with making(folder, CACHE):
                os.replace(building, folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)


@contextmanager
def making(path: Path, option: str) -> Iterator[None]:
    """Says, of what is made in the block, that it cannot be, and which option names another place.

    Raises:
        ConfigError: it cannot be written.
        DiskError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise full(path, error) from error
        raise ConfigError(
            f"{path} cannot be written ({error.strerror or error}); name another place with {option}"
        ) from error


@contextmanager
def room(path: Path) -> Iterator[None]:
    """Turns what prevents the block from writing `path` into an error that says so.

    Raises:
        DiskError: the disk is full, or nothing can be written there.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise full(path, error) from error
        # What is read in the block may be denied too, which is no matter of this path.
        if error.errno in DENIED and Path(str(error.filename)).is_relative_to(path.parent):
            raise DiskError(f"{path} cannot be written ({error.strerror}); name another place with {PLACES}") from error
        raise


def full(path: Path, error: OSError) -> DiskError:
    """What to say of a disk that is full."""
    return DiskError(f"{path} cannot be written ({error.strerror}); make room, or name another place with {PLACES}")
