"""Downloads of one file each: by HTTP, or by litdata from an object store; a bad reply is retried."""

import os
import re
import time
import urllib.request
import zlib
from functools import lru_cache
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any

from sightseq.core.errors import ConfigError, DataError
from sightseq.core.extras import require
from sightseq.core.files import FULL, disk_errors

ATTEMPTS = 5
WAIT = 0.5  # seconds before the second attempt; doubled before each further one
TIMEOUT = 30.0  # seconds without a byte
SLOWEST = 20_000  # bytes per second, on average after `TIMEOUT`
OBJECT_STORES = ("s3", "gs", "azure", "r2")
PIECE = 2**18  # bytes read at a time

Expected = tuple[int, int]
"""Size in bytes and CRC-32 of a file."""


def scheme(place: str) -> str | None:
    """Return the scheme of a URL, such as "http" or "s3"; None for a local folder.

    Raises:
        ConfigError: the scheme is not supported.
    """
    found = re.match(r"([a-zA-Z][\w+.-]*)://", place)
    if found is None:
        return None
    name = found[1].lower()
    if name not in ("http", "https", *OBJECT_STORES):
        known = ", ".join(f"{one}://" for one in ("http", "https", *OBJECT_STORES))
        raise ConfigError(f"data.shards={place}: name a folder, or a URL that begins with one of {known}")
    return name


def fetch(url: str, path: Path, expected: Expected | None = None) -> None:
    """Download a file to `path`; verify its size and checksum if they are known.

    Raises:
        DataError: all `ATTEMPTS` failed; the message names the URL, the last reply and the remedy.
        DiskError: the disk is full.
    """
    get = _http if scheme(url) in ("http", "https") else _object_store
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(WAIT * 2 ** (attempt - 1))
        try:
            get(url, path)
            if expected is None or checksum(path) == expected:
                return
            size = path.stat().st_size
            reply = f"{size:,} of {expected[0]:,} bytes" if size != expected[0] else "other bytes than were written"
        except _BadReplyError as error:
            reply = str(error)
    raise DataError(
        f"{url} cannot be read ({reply}, after {ATTEMPTS} attempts); check the server and data.shards=, or copy the "
        "shards to a folder and name that. An interrupted training resumes with resume=auto"
    )


class _BadReplyError(Exception):
    """A request that failed; another attempt may succeed."""


def _http(url: str, path: Path) -> None:
    began = time.monotonic()
    with disk_errors(path), path.open("wb") as file:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as reply:
                received = 0
                while piece := reply.read1(PIECE):
                    file.write(piece)
                    received += len(piece)
                    if (seconds := time.monotonic() - began) > TIMEOUT + received / SLOWEST:
                        raise TimeoutError(f"only {received:,} bytes in {seconds:.0f} s")
                if reply.length:  # `read1` does not notice that the connection ended early
                    raise IncompleteRead(b"", reply.length)
        except (HTTPException, urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise _BadReplyError(_describe(error)) from error


def _object_store(url: str, path: Path) -> None:
    downloader = _downloader(url.partition("://")[0], os.getpid())
    with disk_errors(path), path.open("wb") as file:
        try:
            # Not `download_file`: its obstore does not survive a fork and refuses a server without TLS, such as MinIO.
            downloader.download_fileobj(url, file)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise _BadReplyError(_describe(error)) from error
        except Exception as error:  # each store has its own exceptions
            raise _BadReplyError(_describe(error)) from error


@lru_cache(maxsize=4)
def _downloader(scheme: str, process: int) -> Any:
    """Return litdata's downloader for an object store; a forked process needs its own."""
    return require("litdata.streaming.downloader", "shards").get_downloader(f"{scheme}://", "", [])


def _describe(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def checksum(path: Path) -> Expected:
    """Return the size and the CRC-32 of a file."""
    size, crc = 0, 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            size, crc = size + len(piece), zlib.crc32(piece, crc)
    return size, crc
