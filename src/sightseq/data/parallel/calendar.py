"""Dates, times, numbers, amounts and names in two languages: the Unicode CLDR, which Babel carries."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sightseq.core.errors import ConfigError, nearest
from sightseq.core.extras import require
from sightseq.data.parallel.parallel import ParallelData, save_pairs
from sightseq.data.parallel.synthetic import synthetic_pairs
from sightseq.text.sentences import clean_sentence, read_lines

FORTIETHS = {"val": 1, "test": 2}  # shares of the keys; the others are for training


class CalendarPairs(ParallelData):
    """About 40,000 phrases such as "Monday, May 3, 2021", "12.5 kilometers per hour" or "French (Canada)".

    Any two languages of Babel (extra `translation`) may be chosen. Numbers have the default digits of the language.

    A hash of what a phrase is about (a date, a number with its unit, a language and a country) decides its split. So
    no string of the test has been seen in training, and no date of the test in any of its forms. Bare names of
    languages and countries are in the training split only: the test has them in new combinations. Each source has one
    right translation: sources with two different ones are left out, and names of which the language pair has none.
    """

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        if not self.synthetic:
            known = require("babel.localedata", "translation")
            for side, language in zip(("source", "target"), self.languages, strict=True):
                if not known.exists(language):
                    names = known.locale_identifiers()
                    raise ConfigError(f"data.{side}={language}: Babel has no such language; {nearest(language, names)}")

    def locate(self) -> list[Path]:
        """Return Babel's files of both languages, or the generated file."""
        if self.synthetic:
            return [self.root / self.folders[0] / "phrases.tsv"]
        folder = Path(str(require("babel", "translation").__file__)).parent
        return [folder / "global.dat", *(folder / "locale-data" / f"{name}.dat" for name in self.languages)]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Format all phrases in both languages."""
        phrases: Iterable[tuple[str, str, str]]
        if self.synthetic:
            phrases = (_columns(line) for line in read_lines(sources[0]))
        else:
            from sightseq.data.parallel.cldr import cldr_pairs  # imports Babel

            phrases = cldr_pairs(*self.languages)
        found: dict[str, tuple[str, str]] = {}  # split and target by source
        ambiguous: set[str] = set()
        for key, *texts in phrases:
            source, target = map(clean_sentence, texts)
            if found.setdefault(source, (split_of(key), target))[1] != target:
                ambiguous.add(source)
        for split in ("train", *FORTIETHS):
            pairs = [(one, two) for one, (own, two) in found.items() if own == split and one not in ambiguous]
            save_pairs(folder, split, pairs)

    def write_synthetic(self, folder: Path) -> None:
        """Write 600 generated sentence pairs: key, source and target."""
        pairs = synthetic_pairs(600, 0, ("en", "fr"))
        (folder / "phrases.tsv").write_text("".join(f"{source}\t{source}\t{target}\n" for source, target in pairs))


def split_of(key: str) -> str:
    """Return the split of the phrases with a key: it depends on nothing else. An empty key is for training."""
    part = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 40 if key else 40
    return next((split for split, count in FORTIETHS.items() if (part := part - count) < 0), "train")


def _columns(line: str) -> tuple[str, str, str]:
    key, source, target = line.split("\t")
    return key, source, target
