"""Files that are whole or not there, whatever happens to the process and the disk. Imports nothing heavy."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sightseq.core.errors import ConfigError, DiskError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the block ends well; else what was there stays.

    Raises:
        DiskError: the disk is full.
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
        ConfigError: a folder was named, not a file.
    """
    path = Path(typed) if typed else default
    if path.is_dir():
        raise ConfigError(f"output={path} is a folder; name a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def room(path: Path) -> Iterator[None]:
    """Says, of what is written in the block, that there is no room for it.

    Raises:
        DiskError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskError(
            f"{path} cannot be written ({error.strerror}); make room, or name another place with paths.runs=FOLDER and "
            f"paths.cache=FOLDER"
        ) from error
