"""Decoding files on all cores; for any data."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

from rich.console import Console
from rich.progress import Progress

from sightseq.core.errors import DataError, InputError

Corrupt = Literal["error", "skip"]
"""What to do with a file that cannot be read: stop, or leave it out and count it."""
CHUNK = 64  # files decoded at a time: limits the results in memory
Item = TypeVar("Item")
Result = TypeVar("Result")


def read_each(
    files: Sequence[Item],
    read: Callable[[Item], Result],
    *,
    name: str,
    corrupt: Corrupt = "error",
    title: str = "decode",
) -> Iterator[Result | None]:
    """Decode files on all cores, with a progress bar; yield the results in order, with few of them in memory.

    Args:
        files: paths, or tuples of paths that belong together.
        read: decodes one item of `files`; raises `InputError` if it cannot be read.
        name: name of the dataset, for messages.
        corrupt: "skip" yields None for a file that cannot be read.
        title: title of the progress bar.

    Raises:
        DataError: a file cannot be read, and `corrupt` is "error".
    """

    def decode(file: Item) -> Result | None:
        try:
            return read(file)
        except InputError as error:
            if corrupt == "skip":
                return None
            raise DataError(
                f"{name}: {error}; remove the file, or leave such files out with data.corrupt=skip"
            ) from error

    bar = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with ThreadPoolExecutor() as pool, bar:
        step = bar.add_task(title, total=len(files))
        for start in range(0, len(files), CHUNK):
            for result in pool.map(decode, files[start : start + CHUNK]):
                bar.advance(step)
                yield result
