"""The user's own series: a CSV, TSV or Parquet file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sightseq.core.datamodule import digest
from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.data.series.synthetic import synthetic_times, synthetic_values, write_table
from sightseq.data.series.tables import TableData
from sightseq.series.tables import SUFFIXES


class SeriesCSV(TableData):
    """A table with a header: a column of times, columns of numbers, and for several series a column of their names.

    Rows may be in any order; each series has one row per step. Repeated, missing and irregular times, text in columns
    of numbers, and infinities are errors; see `series.frame.arrange` and `series.tables.read_table`. Missing values in
    the input are replaced by the last value before them; missing targets are not counted.

    Args:
        path: the file; None: the only one in the first of `folders` that exists.
        series: column with the series name of each row; None: the table is one series.
        delimiter: comma, semicolon, tab, bar, or a character; None: the one in the header.
        decimal: decimal point, "." or ",".
        time_format: format of times, such as "%d.%m.%Y %H:%M", or "unix"; None: ISO 8601.
        common: see `TableData`, `SeriesData` and `DataModule`.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        series: str | None = None,
        delimiter: str | None = None,
        decimal: str = ".",
        time_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)
        if self.synthetic:  # the generated table has the chosen columns and default formats
            self.root, self.timezone = self.root / digest(self.cache_key()), None
        else:
            self.layout = replace(
                self.layout, series=series, delimiter=delimiter, decimal=decimal, time_format=time_format
            )

    def locate(self) -> list[Path]:
        """Return the file.

        Raises:
            DataError: there is none, or more than one.
        """
        kinds = ", ".join(SUFFIXES)
        place = find_own(self.name, self.path, self.root, self.folders, f"FILE ({kinds})")
        files = (
            [place] if place.is_file() else sorted(file for file in place.iterdir() if file.suffix.lower() in SUFFIXES)
        )
        if len(files) != 1 or files[0].suffix.lower() not in SUFFIXES:
            what = f"{place} is none of" if place.is_file() else f"{place} has {len(files)} files of the kinds"
            raise DataError(f"{self.name}: {what} {kinds}; name one with data.path=FILE")
        return files

    def write_synthetic(self, folder: Path) -> None:
        """Write 2,000 steps of one seasonal series, with the chosen column names."""
        columns = (*(self.layout.targets or ("value",)), *self.layout.past, *self.layout.known)
        header = [self.layout.time or "time", *columns]
        values = synthetic_values(2000, len(columns), 24)
        write_table(folder / "series.csv", header, synthetic_times("2024-01-01", self.frequency or "h", 2000), values)
