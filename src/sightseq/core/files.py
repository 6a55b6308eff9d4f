"""Atomic files and folders: complete or absent, even if the process is killed or the disk full. No heavy imports."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sightseq.core.errors import ConfigError, DiskError

CACHE = "paths.cache=FOLDER (or SIGHTSEQ_CACHE)"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PLACES = "paths.runs=FOLDER and paths.cache=FOLDER"
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, which replaces `path` if the block succeeds; otherwise the old file is kept.

    Raises:
        DiskError: see `disk_errors`.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with disk_errors(path), part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # otherwise `path` could be an empty file after a power failure
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def output_file(typed: str | None, default: Path) -> Path:
    """Return the path to write an output file to; create its folder.

    Raises:
        ConfigError: the path is a folder, or cannot be written.
        DiskError: the disk is full.
    """
    path = Path(typed) if typed else default
    with creating(path, "output=FILE"):
        if path.is_dir():
            raise ConfigError(f"output={path} is a folder; name a file in it")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return path


@contextmanager
def atomic_folder(folder: Path, option: str = CACHE) -> Iterator[Path | None]:
    """Yield an empty folder that becomes `folder` if the block succeeds; None if `folder` exists.

    If several processes enter at once, the others wait for the first. Folders left by a killed process are not used.

    Args:
        folder: the folder.
        option: option that sets another place, for messages.

    Raises:
        ConfigError: the folder cannot be created.
        DiskError: the disk is full.
    """
    with creating(folder, option):
        exists = folder.exists()
        if not exists:
            import filelock  # imports sockets; most commands lock nothing

            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder.with_name(folder.name + ".lock")).acquire()
    if exists:
        yield None
        return
    with lock:
        if folder.exists():
            yield None
            return
        with creating(folder, option):
            building = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
            building.chmod(0o755)
        try:
            with disk_errors(folder):
                yield building
            with creating(folder, option):
                os.replace(building, folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)


@contextmanager
def replacing_folder(folder: Path, known: str, option: str) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` if the block succeeds; otherwise the old one is kept.

    Args:
        folder: the folder.
        known: name of a file; an old folder without it may contain the user's own files, and is not replaced.
        option: option that sets another place, for messages.

    Raises:
        ConfigError: the folder cannot be created, or the old one is not empty and lacks `known`.
        DiskError: the disk is full.
    """
    with creating(folder, option):
        if folder.exists() and any(folder.iterdir()) and not (folder / known).is_file():
            raise ConfigError(f"{folder} contains other files; name a new folder with {option}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        building.chmod(0o755)
    try:
        with disk_errors(folder):
            yield building
        with creating(folder, option):
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def creating(path: Path, option: str) -> Iterator[None]:
    """Turn an OSError in a block that creates `path` into an error that names the option for another place.

    Args:
        path: what the block creates.
        option: option that sets another place, such as "output=FILE".

    Raises:
        ConfigError: `path` cannot be written.
        DiskError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full_error(path, error) from error
        raise ConfigError(
            f"{path} cannot be written ({error.strerror or error}); name another place with {option}"
        ) from error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError that prevents the block from writing `path` into an error that says so.

    Raises:
        DiskError: the disk is full, or `path` cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full_error(path, error) from error
        # The block may also fail to read another file; that error is not about this path.
        if error.errno in DENIED and Path(str(error.filename)).is_relative_to(path.parent):
            raise DiskError(f"{path} cannot be written ({error.strerror}); name another place with {PLACES}") from error
        raise


def disk_full_error(path: Path, error: OSError) -> DiskError:
    """Return the error of a full disk."""
    return DiskError(
        f"{path} cannot be written ({error.strerror}); free some space, or name another place with {PLACES}"
    )
