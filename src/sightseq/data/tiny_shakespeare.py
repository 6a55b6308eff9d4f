"""Tiny Shakespeare: Karpathy, 2015 (karpathy.github.io/2015/05/21/rnn-effectiveness)."""

from collections.abc import Iterator
from pathlib import Path

from sightseq.core.download import download, find_folder, missing
from sightseq.data.streams import StreamData, cut, read_text, synthetic_prose

FILE = "input.txt"


class TinyShakespeare(StreamData):
    """A million characters of the plays: the last tenth tests, the beginning validates."""

    def locate(self) -> list[Path]:
        """The file, downloaded if need be."""
        folder = find_folder(self.root, self.folders)
        if folder is None and self.url and not self.synthetic:
            folder = self.root / self.folders[0]
            download(self.name, self.url, self.files, folder)
        if folder is None or not (folder / FILE).is_file():
            raise missing(self.name, self.root, self.folders, FILE)
        return [folder / FILE]

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """The three parts of the file."""
        return cut("".join(read_text(sources[0])), self.val_fraction, self.test_fraction)

    def write_synthetic(self, folder: Path) -> None:
        """20,000 characters or so of made-up prose."""
        (folder / FILE).write_text(synthetic_prose(400, seed=0))
