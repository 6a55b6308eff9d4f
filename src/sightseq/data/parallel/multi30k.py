"""Multi30k: descriptions of photos in several languages (Elliott et al., 2016, arXiv 1605.00459)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightseq.core.arrays import save_about
from sightseq.core.download import missing_error
from sightseq.core.errors import ConfigError, nearest
from sightseq.data.parallel.aligned import read_aligned
from sightseq.data.parallel.parallel import ParallelData, save_pairs
from sightseq.data.parallel.synthetic import synthetic_pairs

TESTS = ("test_2016_flickr", "test_2017_flickr", "test_2017_mscoco", "test_2018_flickr")
LAYOUTS = ("", "raw", "task1/raw", "data/task1/raw")  # folders of the files, below an accepted folder
SUFFIXES = ("", ".gz")


class Multi30k(ParallelData):
    """29,000 training, 1,014 validation and 1,000 test sentences in English, German, French (and Czech).

    The files are those of the publisher, `train.en`, `val.en`, `test_2016_flickr.en`, ..., with or without `.gz`: raw
    text. Any two of its languages may be chosen.

    Args:
        test: name of the test set: one of `TESTS`.
        common: see `ParallelData`.
    """

    def __init__(self, *, test: str = "test_2016_flickr", **common: Any) -> None:
        super().__init__(**common)
        if test not in TESTS:
            raise ConfigError(f"data.test={test}: there is no such test set; {nearest(test, TESTS)}")
        self.splits = {"train": "train", "val": "val", "test": test}

    def cache_key(self) -> dict[str, Any]:
        """The languages and the test set."""
        return {**super().cache_key(), "splits": self.splits}

    def locate(self) -> list[Path]:
        """Return the files of both languages: source and target of train, then of val, then of test.

        Raises:
            DataError: not all of them are in one folder.
        """
        names = [f"{stem}.{language}" for stem in self.splits.values() for language in self.languages]
        for base in (self.root / name / layout for name in self.folders for layout in LAYOUTS):
            found = [self._find(base, name) for name in names]
            files = [file for file in found if file is not None]
            if len(files) == len(names):
                return files
        raise missing_error(self.name, self.root, self.folders, " or ".join([", ".join(names), "the same with .gz"]))

    def _find(self, folder: Path, name: str) -> Path | None:
        return next((folder / f"{name}{end}" for end in SUFFIXES if (folder / f"{name}{end}").is_file()), None)

    def process(self, sources: Sequence[Path], folder: Path) -> None:
        """Read the files of each split.

        Raises:
            DataError: two files have different numbers of lines, or one is not UTF-8.
        """
        skipped: list[str] = []
        for split, source, target in zip(self.splits, sources[::2], sources[1::2], strict=True):
            save_pairs(folder, split, read_aligned(source, target, skipped))
        save_about(folder, {"skipped": skipped})

    def write_synthetic(self, folder: Path) -> None:
        """Write 400 training, 40 validation and 40 test sentences, in the languages of the real data."""
        for seed, stem in enumerate(("train", "val", *TESTS)):
            for language in ("cs", "de", "en", "fr"):
                lines = [text for _, text in synthetic_pairs(40 if seed else 400, seed, ("en", language))]
                (folder / f"{stem}.{language}").write_text("\n".join(lines) + "\n")
