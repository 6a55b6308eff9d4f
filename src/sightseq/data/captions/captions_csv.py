"""A user's own captioned images: a folder of images and a table of captions."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError, nearest
from sightseq.data.captions.photo_captions import Entry, PhotoCaptions
from sightseq.data.captions.synthetic import write_photos
from sightseq.data.image.image_folder import SPLITS
from sightseq.text.tables import SUFFIXES, read_table
from sightseq.vision.image import image_files


class CaptionsCSV(PhotoCaptions):
    """A table with one caption a row: image, caption and, if there is such a column, split.

    The table is a `.csv` or `.tsv` file with a header, or a `.jsonl` file with one object a line, in which the caption
    may be a list of captions. An image is named by its file name, with or without its folder. A column of splits must
    have train (or training), val (valid, validation) or test (testing) in each row; splits that it does not have, or
    all without it, are drawn by image: see `SplitData`.

    Args:
        path: the table, or a folder that contains one; by default the first of `folders` under `root`.
        images: folder of the images; by default that of the table.
        image, caption, split: names of the columns.
        delimiter: between columns: comma, semicolon, tab, bar, or one character; by default that of the file's suffix.
        common: see `PhotoCaptions`.
    """

    def __init__(
        self,
        *,
        images: str | None = None,
        image: str = "image",
        caption: str = "caption",
        split: str = "split",
        delimiter: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.images = None if self.synthetic else own_path(images)
        self.columns, self.split, self.delimiter = (image, caption), split, delimiter

    def cache_key(self) -> dict[str, Any]:
        """Options that change what is read from the files."""
        return {**super().cache_key(), "columns": [*self.columns, self.split], "delimiter": self.delimiter}

    def locate(self) -> list[Path]:
        """Return the table, and all images in the folder and its subfolders.

        Raises:
            DataError: there is no table, or there are several; or there are no images.
        """
        table = find_own(self.name, self.path, self.root, self.folders, f"FILE ({', '.join(SUFFIXES)})")
        if table.is_dir():
            tables = [file for file in sorted(table.iterdir()) if file.suffix.lower() in SUFFIXES]
            if len(tables) != 1:
                found = ", ".join(file.name for file in tables[:3]) or "none"
                raise DataError(
                    f"{self.name}: {table} needs one table of captions ({', '.join(SUFFIXES)}), and has {found}; "
                    "name yours with data.path=FILE"
                )
            table = tables[0]
        elif table.suffix.lower() not in SUFFIXES:
            raise DataError(f"{self.name}: {table} is not one of {', '.join(SUFFIXES)}")
        self.base = self.images or table.parent
        if not (photos := image_files(self.base)):
            raise DataError(f"{self.name}: {self.base} contains no images; name their folder with data.images=FOLDER")
        return [table, *photos]

    def entries(self, files: list[Path], photos: list[Path]) -> Iterator[Entry]:
        """Yield the captions of each row.

        Raises:
            DataError: a column is missing, or a split is unknown.
        """
        has_splits: bool | None = None
        for place, row in read_table(files[0], self.columns, self.delimiter):
            for column, option in zip(self.columns, ("image", "caption"), strict=True):
                if column not in row:
                    raise DataError(
                        f"{self.name}: {place}, has no column {column!r}; {nearest(column, [str(k) for k in row])}; "
                        f"name yours with data.{option}="
                    )
            split = "train"
            if has_splits := self.split in row if has_splits is None else has_splits:
                given = str(row.get(self.split) or "").strip()
                if given.lower() not in SPLITS:
                    raise DataError(
                        f"{self.name}: {place}, has {given!r} in the column {self.split!r}; it must be train, val or "
                        "test, in each row"
                    )
                split = SPLITS[given.lower()]
            name, caption = (row[column] for column in self.columns)
            for text in caption if isinstance(caption, list) else [caption]:
                yield Entry(place, str(name or ""), text if isinstance(text, str) else "", split)

    def write_synthetic(self, folder: Path) -> None:
        """Write 60 generated photographs and their table."""
        captions = write_photos(folder / "photos", 60)
        with (folder / "captions.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "caption"])
            writer.writerows((name, text) for name, texts in captions.items() for text in texts)
