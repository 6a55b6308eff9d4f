"""Tiny Shakespeare: Karpathy, 2015 (karpathy.github.io/2015/05/21/rnn-effectiveness)."""

from collections.abc import Iterator
from pathlib import Path

from sightseq.core.download import download, missing
from sightseq.data.text.streams import StreamData, cut, read_text, synthetic_prose

FILE = "input.txt"


class TinyShakespeare(StreamData):
    """A million characters of the plays: the last tenth tests, the beginning validates."""

    def locate(self) -> list[Path]:
        """The file, downloaded if need be."""
        places = [self.root / name / FILE for name in self.folders]
        if self.url and not self.synthetic and not any(place.is_file() for place in places):
            download(self.name, self.url, self.files, places[0].parent)
        found = [place for place in places if place.is_file()]
        if not found:
            raise missing(self.name, self.root, self.folders, FILE)
        return found[:1]

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """The three parts of the file."""
        return cut("".join(read_text(sources[0])), self.val_fraction, self.test_fraction)

    def write_synthetic(self, folder: Path) -> None:
        """20,000 characters or so of made-up prose."""
        (folder / FILE).write_text(synthetic_prose(400, seed=0))
