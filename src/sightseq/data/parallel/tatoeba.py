"""Tatoeba: short sentences with their translations, in the bilingual files of the Tab-delimited sentence pairs."""

from pathlib import Path
from typing import Any

from sightseq.core.arrays import save_about
from sightseq.core.download import missing_error
from sightseq.core.errors import ConfigError
from sightseq.data.parallel.aligned import read_columns
from sightseq.data.parallel.grouped import GroupedPairs
from sightseq.data.parallel.synthetic import synthetic_pairs

FILES = {"de": "deu", "es": "spa", "fr": "fra", "hi": "hin", "it": "ita", "ur": "urd"}  # others have their own code


class Tatoeba(GroupedPairs):
    """English sentences and their translations into another language, in either direction.

    The files are those of manythings.org/anki, such as `fra.txt`: English TAB French [TAB attribution]. Many sentences
    have several translations; all of them are in one split.

    Args:
        common: see `GroupedPairs`; one of `source` and `target` is "en", and the other a code such as "fr", or the
            name of its file.
    """

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        if "en" not in self.languages:
            raise ConfigError(
                f"data.source={self.languages[0]} data.target={self.languages[1]}: {self.name} has pairs with English; "
                "one of them must be en"
            )
        self.reverse = self.languages[1] == "en"
        other = self.languages[0 if self.reverse else 1]
        self.file = f"{FILES.get(other, other)}.txt"

    def locate(self) -> list[Path]:
        """Return the file of the other language.

        Raises:
            DataError: it is not there.
        """
        for base in (self.root / name for name in self.folders):
            if (base / self.file).is_file():
                return [base / self.file]
        raise missing_error(self.name, self.root, self.folders, self.file)

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the pairs.

        Raises:
            DataError: a line has no tab, or is not UTF-8.
        """
        skipped: list[str] = []
        pairs = read_columns(sources[0], skipped)
        self.save(folder, "train", [(two, one) for one, two in pairs] if self.reverse else pairs)
        save_about(folder, {"skipped": skipped})

    def write_synthetic(self, folder: Path) -> None:
        """Write 400 sentences in English and another language."""
        for language, name in FILES.items():
            rows = [f"{one}\t{two}\tattribution" for one, two in synthetic_pairs(400, 0, ("en", language))]
            (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
