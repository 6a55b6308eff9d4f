"""Base of all datasets of MIDI files; many are read in several processes."""

import hashlib
import multiprocessing
import sys
from abc import abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from sightseq.core.arrays import save_about
from sightseq.core.environment import cores
from sightseq.core.errors import DataError, InputError
from sightseq.data.music.pieces import PieceData, remarks_on
from sightseq.music.midi import read_midi
from sightseq.music.piece import Piece

Corrupt = Literal["error", "skip"]
"""What to do with a file that cannot be read: stop, or leave it out and count it."""
PARALLEL = 100  # files; fewer are read in this process, as it takes seconds to start others
AHEAD = 4  # files per process that are read ahead; more would need more memory


class MidiData(PieceData):
    """Pieces of music in MIDI files. Files with the same notes belong to one group.

    A subclass defines `locate()`, and `split_of(file)`.

    Args:
        corrupt: "error" stops at a file that cannot be read or is of no use, such as one with only drums; "skip"
            leaves it out and counts it.
        common: see `SplitData` and `DataModule`.
    """

    def __init__(self, *, corrupt: Corrupt = "error", **common: Any) -> None:
        super().__init__(**common)
        self.corrupt = corrupt

    @abstractmethod
    def split_of(self, file: Path) -> str:
        """Return the publisher's split of a file that `locate` returned; "" if it is not a piece of music."""

    def cache_key(self) -> dict[str, Any]:
        """Options that change what is read from the files."""
        return {**super().cache_key(), "corrupt": self.corrupt}

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read all files, one at a time in memory, and save their pieces.

        Raises:
            DataError: a file cannot be read or is of no use, and `corrupt` is "error"; or none is left of a split.
        """
        splits: dict[str, list[Path]] = defaultdict(list)
        for file in sources:
            splits[self.split_of(file)].append(file)
        splits.pop("", None)
        skipped: list[str] = []
        dropped: Counter[str] = Counter()

        def pieces(files: list[Path], title: str) -> Iterator[tuple[Piece, int]]:
            for file, piece in zip(files, self._read(files, title), strict=True):
                if piece is None:
                    skipped.append(str(file))
                else:
                    dropped.update(piece.dropped)
                    yield piece, content_group(piece)

        for split, files in splits.items():
            before = len(skipped)
            dropped.update(self.save(folder, split, pieces(files, f"read {split}")))
            if len(skipped) - before == len(files):
                raise DataError(f"{self.name}: none of the {len(files)} files of {split} is of use, such as {files[0]}")
        save_about(folder, {"skipped": skipped, "remarks": remarks_on(dropped, "in the files")})

    def _read(self, files: list[Path], title: str) -> Iterator[Piece | None]:
        """Yield the piece of each file, or None for a file that is skipped, with a progress bar."""
        bar = Progress(
            *(*Progress.get_default_columns(), MofNCompleteColumn()),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        with bar:
            job = bar.add_task(title, total=len(files))
            for file, result in zip(files, _results(files), strict=True):
                try:
                    piece: Piece | None = result()
                    if piece is not None and (reason := self.reason_against(piece)):
                        raise InputError(f"{file}: {reason}")
                except InputError as error:
                    if self.corrupt == "error":
                        raise DataError(
                            f"{self.name}: {error}; remove the file, or leave such files out with data.corrupt=skip"
                        ) from error
                    piece = None
                except BrokenProcessPool as error:
                    raise DataError(
                        f"{self.name}: the process that read {file} was killed, perhaps for lack of memory; remove the "
                        "file"
                    ) from error
                bar.advance(job)
                yield piece


def content_group(piece: Piece) -> int:
    """Return a hash of the notes of a piece: the same number for copies of one piece."""
    content = hashlib.blake2b(piece.notes.tobytes(), digest_size=8).digest()
    return int.from_bytes(content, "big", signed=True)


def _results(files: Sequence[Path]) -> Iterator[Callable[[], Piece]]:
    """Yield, for each file in order, a function that returns its piece or raises an `InputError`."""
    if len(files) < PARALLEL or multiprocessing.current_process().daemon:  # such a process may have no children
        yield from (partial(read_midi, file) for file in files)
        return
    waiting: deque[Future[Piece]] = deque()
    pool = ProcessPoolExecutor(cores())
    try:
        for file in files:
            waiting.append(pool.submit(read_midi, file))
            if len(waiting) > AHEAD * cores():
                yield waiting.popleft().result
        while waiting:
            yield waiting.popleft().result
    finally:
        pool.shutdown(cancel_futures=True)
