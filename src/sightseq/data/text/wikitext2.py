"""WikiText-2: good articles of Wikipedia (Merity et al., 2017, arXiv 1609.07843)."""

from collections.abc import Iterator
from pathlib import Path

from sightseq.core.download import missing
from sightseq.data.text.streams import StreamData, read_text, synthetic_prose

FILES = {"train": "wiki.train", "val": "wiki.valid", "test": "wiki.test"}
SUFFIXES = (".tokens", ".raw")


class WikiText2(StreamData):
    """2,088,628 words to train, 217,646 to validate and 245,569 to test, line ends included (as its paper counts).

    Read as published: `wiki.train.tokens` of 33,278 different words, or, for characters and subwords,
    `wiki.train.raw`, the text itself.
    """

    def locate(self) -> list[Path]:
        """The three files of one of the two kinds; the first that is there."""
        for base in (self.root / name for name in self.folders):
            for suffix in SUFFIXES:
                found = [base / f"{name}{suffix}" for name in FILES.values()]
                if all(file.is_file() for file in found):
                    return found
        raise missing(self.name, self.root, self.folders, ", ".join(f"{name}{SUFFIXES[0]}" for name in FILES.values()))

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """Each line, as all do who read it."""
        for split, file in zip(FILES, sources, strict=True):
            for line in "".join(read_text(file)).removesuffix("\n").split("\n"):
                yield split, line.strip()

    def write_synthetic(self, folder: Path) -> None:
        """400 sentences to train, 40 to validate and 40 to test."""
        for seed, (name, count) in enumerate(zip(FILES.values(), (400, 40, 40), strict=True)):
            (folder / f"{name}{SUFFIXES[0]}").write_text(synthetic_prose(count, seed))
