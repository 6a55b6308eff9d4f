"""A user's own sentence pairs: two line-aligned files, a table of two columns, or a translation memory."""

from pathlib import Path
from typing import Any

from sightseq.core.arrays import save_about
from sightseq.core.download import find_own, own_path
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.parallel.aligned import read_aligned, read_columns
from sightseq.data.parallel.grouped import GroupedPairs
from sightseq.data.parallel.synthetic import synthetic_pairs
from sightseq.data.parallel.tmx import read_tmx

SPLITS = ("train", "val", "test")
SUFFIXES = (".tsv", ".tmx")


class ParallelFiles(GroupedPairs):
    """One corpus, or a folder with the files of train, and of val and test if there are any.

    A corpus is two text files, line N of one translating line N of the other; a `.tsv` file without a header, source
    TAB target; or a `.tmx` file. In a folder they are named `train.de` and `train.en` (the language codes are
    `source` and `target`), `train.tsv` or `train.tmx`.

    Splits that have no file are drawn from train: see `GroupedPairs`.

    Args:
        path: the folder, the corpus, or the file of the source language; by default the first of `folders` under
            `root`.
        target_path: the file of the target language, where `path` is that of the source language.
        source, target: codes of the languages. If None, they are the suffixes of the two files, or else the words
            "source" and "target". A `.tmx` file needs them.
        common: see `GroupedPairs`.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        target_path: str | None = None,
        source: str | None = None,
        target: str | None = None,
        **common: Any,
    ) -> None:
        suffixes = [Path(file or "").suffix[1:] or None for file in (path, target_path)]
        if target_path and suffixes[0] != suffixes[1]:  # not two .txt files
            source, target = source or suffixes[0], target or suffixes[1]
        super().__init__(source=source or "source", target=target or "target", **common)
        self.given = (source, target)
        self.path = None if self.synthetic else own_path(path)
        self.target_path = None if self.synthetic else own_path(target_path)
        if self.target_path and not self.path:
            raise ConfigError(
                "data.target_path is the file of the target language; name that of the source: data.path="
            )

    def locate(self) -> list[Path]:
        """Return the file or files of the corpus, or those of the splits in the folder.

        Raises:
            DataError: there are none, or there are several for one split.
        """
        wanted = "FOLDER, FILE.tsv, FILE.tmx, or two files: data.path=SOURCE data.target_path=TARGET"
        place = find_own(self.name, self.path, self.root, self.folders, wanted)
        if self.target_path:
            return [place, find_own(self.name, self.target_path, self.root, self.folders, wanted)]
        if place.is_file():
            if place.suffix.lower() not in SUFFIXES:
                raise DataError(
                    f"{self.name}: {place} is not .tsv or .tmx; name its translation: data.target_path=FILE"
                )
            return [place]
        files = [file for split in SPLITS for file in self._split_files(place, split)]
        if not any(file.stem == "train" for file in files):
            names = " and ".join(f"train.{language}" for language in self.languages)
            raise DataError(f"{self.name}: {place} needs train.tsv, train.tmx, or {names} (data.source=, data.target=)")
        return files

    def _split_files(self, folder: Path, split: str) -> list[Path]:
        """Return the one file of a split in a folder, or its two files, or none."""
        tables = [folder / f"{split}{suffix}" for suffix in SUFFIXES]
        pair = [folder / f"{split}.{language}" for language in self.languages]
        found = [file for file in tables if file.is_file()]
        both = [file for file in pair if file.is_file()]
        if len(both) == 1:
            (missing,) = set(pair) - set(both)
            raise DataError(f"{self.name}: there is {both[0]}, but no {missing}")
        if len(found) + bool(both) > 1:
            names = ", ".join(str(file) for file in (*found, *both))
            raise DataError(f"{self.name}: several files for {split}: {names}; keep one corpus")
        return found or both

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the files; pairs with an empty side are left out and counted.

        Raises:
            DataError: two files have different numbers of lines, a file is not UTF-8 or not in its format, or a split
                has no pairs.
        """
        skipped: list[str] = []
        several = self.target_path is None and len(sources) > 1
        splits = [split for split in SPLITS if any(file.stem == split for file in sources)] if several else ["train"]
        for split in splits:
            files = [file for file in sources if file.stem == split] if several else sources
            pairs = self._read(files, skipped)
            if not pairs:
                raise DataError(f"{self.name}: {files[0]} has no pair with a text on both sides")
            self.save(folder, split, pairs)
        save_about(folder, {"skipped": skipped})

    def _read(self, files: list[Path], skipped: list[str]) -> list[tuple[str, str]]:
        if len(files) == 2:
            return read_aligned(files[0], files[1], skipped)
        if files[0].suffix.lower() == ".tmx":
            return read_tmx(files[0], self.given, skipped)
        return read_columns(files[0], skipped)

    def write_synthetic(self, folder: Path) -> None:
        """Write 400 sentence pairs in a table."""
        rows = ["\t".join(pair) for pair in synthetic_pairs(400, 0, ("en", "fr"))]
        (folder / "train.tsv").write_text("\n".join(rows) + "\n")
