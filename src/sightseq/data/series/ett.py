"""Electricity transformer temperature: Zhou et al., 2021, "Informer" (arXiv 2012.07436)."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.download import missing_error
from sightseq.data.series.series import Bounds
from sightseq.data.series.synthetic import synthetic_times, synthetic_values, write_table
from sightseq.data.series.tables import TableData

COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
MONTHS = 20  # of 30 days, which the official split uses: 12 to train, 4 to validate, 4 to test
ROWS = 14_400  # hours in them


class ETT(TableData):
    """Six loads and the oil temperature (OT) of one transformer, from July 2016: hourly or every 15 minutes.

    The split is the official one: 12, 4 and 4 months of 30 days; later rows are not used.

    Args:
        variant: transformer and step: ETTh1, ETTh2 (1 hour), ETTm1 or ETTm2 (15 minutes).
        common: see `TableData`, `SeriesData` and `DataModule`.
    """

    def __init__(self, *, variant: Literal["ETTh1", "ETTh2", "ETTm1", "ETTm2"] = "ETTh1", **common: Any) -> None:
        super().__init__(**common)
        self.variant = variant
        self.hourly = variant.startswith("ETTh")

    def locate(self) -> list[Path]:
        """Return the CSV file of the variant.

        Raises:
            DataError: it is missing.
        """
        for folder in self.folders:
            if (file := self.root / folder / f"{self.variant}.csv").is_file():
                return [file]
        raise missing_error(self.name, self.root, self.folders, f"{self.variant}.csv")

    def bounds(self, times: NDArray[np.int64]) -> Bounds:
        """Return the limits of the official split; for a shorter file, the same fractions."""
        rows = min(len(times), ROWS * (1 if self.hourly else 4))
        ordered = np.sort(times)
        return int(ordered[rows * 12 // MONTHS]), int(ordered[rows * 16 // MONTHS]), int(ordered[rows - 1]) + 1

    def write_synthetic(self, folder: Path) -> None:
        """Write 4,800 steps of daily waves for each variant."""
        values = synthetic_values(4800, len(COLUMNS), 24)
        for variant, step in (("ETTh1", "h"), ("ETTh2", "h"), ("ETTm1", "15min"), ("ETTm2", "15min")):
            times = synthetic_times("2016-07-01", step, 4800)
            write_table(folder / f"{variant}.csv", ("date", *COLUMNS), times, values)
