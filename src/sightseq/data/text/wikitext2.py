"""WikiText-2: articles of Wikipedia rated Good or Featured (Merity et al., 2017, arXiv 1609.07843)."""

from collections.abc import Iterator
from pathlib import Path

from sightseq.core.download import missing_error
from sightseq.data.text.streams import StreamData, read_text, synthetic_prose

FILES = {"train": "wiki.train", "val": "wiki.valid", "test": "wiki.test"}
SUFFIXES = (".tokens", ".raw")


class WikiText2(StreamData):
    """2,088,628 train, 217,646 validation and 245,569 test words, line ends included (as its paper counts).

    The files are read as published: `wiki.train.tokens` with 33,278 distinct words, or, for characters and subwords,
    `wiki.train.raw`, the original text.
    """

    def locate(self) -> list[Path]:
        """Return the three files with the first of the suffixes that exists.

        Raises:
            DataError: they are not there.
        """
        for base in (self.root / name for name in self.folders):
            for suffix in SUFFIXES:
                found = [base / f"{name}{suffix}" for name in FILES.values()]
                if all(file.is_file() for file in found):
                    return found
        raise missing_error(
            self.name, self.root, self.folders, ", ".join(f"{name}{SUFFIXES[0]}" for name in FILES.values())
        )

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """Yield each line as a document, as is usual for this dataset."""
        for split, file in zip(FILES, sources, strict=True):
            for line in "".join(read_text(file)).removesuffix("\n").split("\n"):
                yield split, line.strip()

    def write_synthetic(self, folder: Path) -> None:
        """Write 400 training, 40 validation and 40 test sentences."""
        for seed, (name, count) in enumerate(zip(FILES.values(), (400, 40, 40), strict=True)):
            (folder / f"{name}{SUFFIXES[0]}").write_text(synthetic_prose(count, seed))
