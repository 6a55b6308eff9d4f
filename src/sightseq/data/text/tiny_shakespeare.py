"""Tiny Shakespeare: Karpathy, 2015 (karpathy.github.io/2015/05/21/rnn-effectiveness)."""

from collections.abc import Iterator
from pathlib import Path

from sightseq.core.download import download, missing_error
from sightseq.data.text.streams import StreamData, read_text, split_document, synthetic_prose

FILE = "input.txt"


class TinyShakespeare(StreamData):
    """A million characters of the plays: the last tenth is the test split, the beginning the validation split."""

    def locate(self) -> list[Path]:
        """Return the file; it is downloaded if absent.

        Raises:
            DataError: it is absent and cannot be downloaded.
        """
        places = [self.root / name / FILE for name in self.folders]
        if self.url and not self.synthetic and not any(place.is_file() for place in places):
            download(self.name, self.url, self.files, places[0].parent)
        found = [place for place in places if place.is_file()]
        if not found:
            raise missing_error(self.name, self.root, self.folders, FILE)
        return found[:1]

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """Yield the three parts of the file."""
        return split_document("".join(read_text(sources[0])), self.val_fraction, self.test_fraction)

    def write_synthetic(self, folder: Path) -> None:
        """Write about 20,000 characters of synthetic prose."""
        (folder / FILE).write_text(synthetic_prose(400, seed=0))
