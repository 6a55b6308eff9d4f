"""A user's own labelled texts: tables with a column of texts and a column of labels."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from sightseq.core.arrays import save_about
from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError, nearest
from sightseq.data.text.texts import TextData, save_texts, synthetic_reviews
from sightseq.text.tables import SUFFIXES, is_unicode, read_table

SPLITS = ("train", "val", "test")


class TextCSV(TextData):
    """One table, such as `reviews.csv`, or a folder with `train.csv`, `val.csv` and `test.csv`.

    A table is a `.csv` or `.tsv` file with a header, or a `.jsonl` file with one object per line.

    Splits that have no file are stratified parts of the training file.

    Args:
        path: the file or the folder; by default the first of `folders` under `root`.
        text: name of the column of texts.
        label: name of the column of labels: any words or numbers.
        delimiter: between columns: comma, semicolon, tab, bar, or one character; by default that of the file's suffix.
        corrupt: "error" stops at a row without text or label, "skip" leaves it out and counts it.
        common: see `TextData`.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        text: str = "text",
        label: str = "label",
        delimiter: str | None = None,
        corrupt: Literal["error", "skip"] = "error",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)
        self.text, self.label, self.delimiter, self.corrupt = text, label, delimiter, corrupt

    def cache_key(self) -> dict[str, Any]:
        """Options that change what is read from the files."""
        key = {"text": self.text, "label": self.label, "delimiter": self.delimiter, "corrupt": self.corrupt}
        return key | ({"classes": getattr(self.encoder, "classes", ())} if self.encoder else {})

    def locate(self) -> list[Path]:
        """Return the file, or the files of the splits in the folder.

        Raises:
            DataError: there are none, or several for one split.
        """
        place = find_own(self.name, self.path, self.root, self.folders, f"FILE ({', '.join(SUFFIXES)})")
        if place.is_file():
            if place.suffix.lower() not in SUFFIXES:
                raise DataError(f"{self.name}: {place} is not one of {', '.join(SUFFIXES)}")
            return [place]
        found = [place / f"{split}{suffix}" for split in SPLITS for suffix in SUFFIXES]
        found = [file for file in found if file.is_file()]
        splits = [file.stem for file in found]
        if "train" not in splits or len(set(splits)) < len(splits):
            raise DataError(
                f"{self.name}: {place} needs one train.csv (or {', '.join(SUFFIXES)}), at most one val and one test"
            )
        return found

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the tables.

        Raises:
            DataError: a file is not a valid table; a row has no text or no label, and `corrupt` is "error"; there are
                fewer than two labels, or one per row; or a split has labels that "train" does not have.
        """
        skipped: list[str] = []
        names = [file.stem for file in sources] if len(sources) > 1 else ["train"]
        splits = {name: list(self._rows(file, skipped)) for name, file in zip(names, sources, strict=True)}
        classes = self.order_classes({label for _, label in splits["train"]})
        if len(classes) < 2:
            raise DataError(f"{self.name}: all training texts have the label {classes}; at least two are needed")
        if len(classes) == len(splits["train"]) > 2:
            raise DataError(
                f"{self.name}: each of the {len(classes)} rows has a different label in the column {self.label!r} "
                f"({', '.join(map(repr, classes[:3]))}, ...), so nothing can be learned; name another with data.label="
            )
        for split, rows in splits.items():
            if unknown := {label for _, label in rows} - set(classes):
                raise DataError(f"{self.name}: {split} has labels that train does not have: {sorted(unknown)[:5]}")
            save_texts(folder, split, [text for text, _ in rows], [classes.index(label) for _, label in rows])
        save_about(folder, {"classes": classes, "skipped": skipped})

    def _rows(self, file: Path, skipped: list[str]) -> Iterator[tuple[str, str]]:
        """Text and label of each row."""
        for place, row in read_table(file, (self.text, self.label), self.delimiter):
            for column in (self.text, self.label):
                if column not in row:
                    raise DataError(
                        f"{self.name}: {place}, has no column {column!r}; {nearest(column, [str(k) for k in row])}; "
                        f"name yours with data.text= and data.label="
                    )
            text, label = row[self.text], row[self.label]
            if isinstance(text, str) and text.strip() and is_unicode(text) and label not in (None, ""):
                yield text, str(label)
            elif self.corrupt == "skip":
                skipped.append(place)
            else:
                raise DataError(
                    f"{self.name}: {place}, has no text (or invalid Unicode) or no label; correct it, or leave such "
                    "rows out with data.corrupt=skip"
                )

    def write_synthetic(self, folder: Path) -> None:
        """Write 200 synthetic reviews in one table."""
        texts, labels = synthetic_reviews(200, seed=0)
        with (folder / "train.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows((text, ["bad", "good"][label]) for text, label in zip(texts, labels, strict=True))
