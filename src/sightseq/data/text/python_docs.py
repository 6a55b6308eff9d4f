"""The prose inside Python itself: the topics of `help()`."""

import pydoc_data.topics
import re
from collections.abc import Iterator
from pathlib import Path

from sightseq.data.text.streams import StreamData, split_document, synthetic_prose

RULE = re.compile(r"^[^\w\n]{3,}\n", re.MULTILINE)  # the line below a title, or the frame of a table


class PythonDocs(StreamData):
    """Documents on the Python language; each Python version has its own.

    Python 3.11 has 79 documents with 77,621 words and punctuation marks, without title underlines, table frames and
    repeated paragraphs. The beginning of each document is the validation split, and its end the test split.
    """

    def locate(self) -> list[Path]:
        """Return the module of the standard library, or the synthetic file."""
        if self.synthetic:
            return [self.root / self.folders[0] / "topics.txt"]
        return [Path(pydoc_data.topics.__file__)]

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """Yield the parts of each topic, in the order of their names."""
        texts = [sources[0].read_text()] if self.synthetic else [t for _, t in sorted(pydoc_data.topics.topics.items())]
        seen: set[str] = set()
        for text in texts:
            # Topics repeat paragraphs. A paragraph counts for the first topic with it only, so it is in one split only.
            paragraphs = {" ".join(part.split()): part for part in RULE.sub("", text).split("\n\n")}
            own = [paragraph for key, paragraph in paragraphs.items() if key not in seen]
            seen |= set(paragraphs)
            yield from split_document("\n\n".join(own), self.val_fraction, self.test_fraction)

    def write_synthetic(self, folder: Path) -> None:
        """Write about 20,000 characters of synthetic prose."""
        (folder / "topics.txt").write_text(synthetic_prose(400, seed=0))
