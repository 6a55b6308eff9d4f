"""Daily minimum temperatures in Melbourne, 1981 to 1990 (Australian Bureau of Meteorology)."""

from pathlib import Path

from sightseq.core.download import missing_error
from sightseq.data.series.synthetic import synthetic_times, synthetic_values, write_table
from sightseq.data.series.tables import TableData

FILE = "daily-min-temperatures.csv"


class MinTemperatures(TableData):
    """`daily-min-temperatures.csv`: 3,650 days in degrees Celsius; the last days of two leap years are missing."""

    def locate(self) -> list[Path]:
        """Return the CSV file.

        Raises:
            DataError: it is missing.
        """
        for folder in self.folders:
            if (file := self.root / folder / FILE).is_file():
                return [file]
        raise missing_error(self.name, self.root, self.folders, FILE)

    def write_synthetic(self, folder: Path) -> None:
        """Write 4,000 days of yearly waves."""
        write_table(
            folder / FILE, ("Date", "Temp"), synthetic_times("1981-01-01", "D", 4000), synthetic_values(4000, 1, 365)
        )
