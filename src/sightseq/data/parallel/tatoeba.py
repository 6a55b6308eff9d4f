"""Tatoeba: short sentences with their translations, in the bilingual files of the Tab-delimited sentence pairs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import save_about
from sightseq.core.download import missing_error
from sightseq.core.errors import ConfigError
from sightseq.core.splits import Rows
from sightseq.data.parallel.aligned import read_columns
from sightseq.data.parallel.grouped import GroupedPairs, group_pairs
from sightseq.data.parallel.parallel import save_pairs
from sightseq.data.parallel.synthetic import synthetic_pairs

FILES = {"de": "deu", "es": "spa", "fr": "fra", "hi": "hin", "it": "ita", "ur": "urd"}  # others have their own code


class Tatoeba(GroupedPairs):
    """English sentences and their translations into another language, in either direction.

    The files are those of manythings.org/anki, such as `fra.txt`: English TAB French [TAB attribution]. Many sentences
    have several translations; all of them are in one split.

    A language with few pairs learns from others (Johnson et al., 2017, arXiv 1611.04558): with `auxiliary` languages,
    their pairs with English are training pairs too, and all languages share the vocabulary of their side. If they are
    targets, their sources begin with a tag such as <2fr>; a source without a tag is translated into `target`. No
    English sentence of validation or test, nor a translation of it, is among them. The column `auxiliary` marks them;
    baselines leave them out.

    Args:
        auxiliary: further languages.
        repeat: how often a training pair of `source` and `target` occurs in an epoch, if there are auxiliary languages.
        common: see `GroupedPairs`; one of `source` and `target` is "en", and the other a code such as "fr", or the
            name of its file.
    """

    def __init__(self, *, auxiliary: Sequence[str] = (), repeat: int = 1, **common: Any) -> None:
        super().__init__(**common)
        if repeat < 1:
            raise ConfigError(f"data.repeat={repeat}: must be at least 1")
        self.repeat = repeat
        if "en" not in self.languages:
            raise ConfigError(
                f"data.source={self.languages[0]} data.target={self.languages[1]}: {self.name} has pairs with English; "
                "one of them must be en"
            )
        self.reverse = self.languages[1] == "en"
        others = [self.languages[0 if self.reverse else 1], *auxiliary]
        self.sentence_files = [f"{FILES.get(other, other)}.txt" for other in others]
        self.auxiliary = tuple(auxiliary)

    def cache_key(self) -> dict[str, Any]:
        """Options that change what is read from the files."""
        return super().cache_key() | ({"auxiliary": self.auxiliary} if self.auxiliary else {})

    def locate(self) -> list[Path]:
        """Return the files of the other languages.

        Raises:
            DataError: one is not there.
        """
        for base in (self.root / name for name in self.folders):
            if all((base / file).is_file() for file in self.sentence_files):
                return [base / file for file in self.sentence_files]
        raise missing_error(self.name, self.root, self.folders, " and ".join(self.sentence_files))

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the pairs.

        Raises:
            DataError: a line has no tab, or is not UTF-8.
        """
        skipped: list[str] = []
        languages = [read_columns(source, skipped) for source in sources]
        pairs = [(two, one) if self.reverse else (one, two) for language in languages for one, two in language]
        main, family = len(languages[0]), group_pairs(pairs)
        group = np.concatenate([group_pairs(pairs[:main]), family[main:]])
        if not self.reverse:
            tags = ["", *(f"<2{name}> " for name in self.auxiliary)]
            prefixes = np.repeat(tags, [len(language) for language in languages]).tolist()
            pairs = [(prefix + one, two) for prefix, (one, two) in zip(prefixes, pairs, strict=True)]
        save_pairs(folder, "train", pairs, group=group, family=family, auxiliary=np.arange(len(pairs)) >= main)
        save_about(folder, {"skipped": skipped})

    def strata(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return -1 for auxiliary pairs, which are in no split, and 0 for the others."""
        return np.where(np.asarray(arrays["auxiliary"]), -1, 0)

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """Draw the splits of the two languages, and add the auxiliary pairs to training."""
        rows = super().split_rows(splits)
        if self.auxiliary:
            auxiliary, family = (np.asarray(splits["train"][name]) for name in ("auxiliary", "family"))
            held = family[np.concatenate([rows["val"][1], rows["test"][1]])]
            added = np.flatnonzero(auxiliary & ~np.isin(family, held))
            source, train = rows["train"]
            rows["train"] = source, np.concatenate([np.repeat(train, self.repeat), added])
        return rows

    def write_synthetic(self, folder: Path) -> None:
        """Write 400 sentences in English and another language."""
        for language, name in FILES.items():
            rows = [f"{one}\t{two}\tattribution" for one, two in synthetic_pairs(400, 0, ("en", language))]
            (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
