"""The prose that Python itself carries: what `help()` says of its topics."""

import pydoc_data.topics
import re
from collections.abc import Iterator
from pathlib import Path

from sightseq.data.text.streams import StreamData, cut, synthetic_prose

RULE = re.compile(r"^[^\w\n]{3,}\n", re.MULTILINE)  # what underlines a title, or frames a table


class PythonDocs(StreamData):
    """79 documents on the Python language, 77,621 words and signs without rules and repeated paragraphs in
    Python 3.11.

    Each version of Python has its own.

    Of each document the beginning validates and the end tests.
    """

    def locate(self) -> list[Path]:
        """The module of the standard library, or the synthetic file."""
        if self.synthetic:
            return [self.root / self.folders[0] / "topics.txt"]
        return [Path(pydoc_data.topics.__file__)]

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """The parts of each topic, in the order of their names."""
        texts = [sources[0].read_text()] if self.synthetic else [t for _, t in sorted(pydoc_data.topics.topics.items())]
        seen: set[str] = set()
        for text in texts:
            # Topics repeat each other: a paragraph belongs to the first that has it, and so to one split.
            paragraphs = {" ".join(part.split()): part for part in RULE.sub("", text).split("\n\n")}
            own = [paragraph for key, paragraph in paragraphs.items() if key not in seen]
            seen |= set(paragraphs)
            yield from cut("\n\n".join(own), self.val_fraction, self.test_fraction)

    def write_synthetic(self, folder: Path) -> None:
        """20,000 characters or so of made-up prose."""
        (folder / "topics.txt").write_text(synthetic_prose(400, seed=0))
