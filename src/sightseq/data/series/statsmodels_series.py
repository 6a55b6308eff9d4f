"""The series that statsmodels includes."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sightseq.core.extras import require
from sightseq.data.series.synthetic import synthetic_times, synthetic_values, write_table
from sightseq.data.series.tables import TableData
from sightseq.series.zones import format_times


class StatsmodelsSeries(TableData):
    """A table among the datasets of statsmodels (extra `forecasting`).

    Args:
        file: path in the folder `datasets` of statsmodels, such as "co2/co2.csv".
        common: see `TableData`, `SeriesData` and `DataModule`; the generated table has only `targets`.
    """

    def __init__(self, *, file: str, **common: Any) -> None:
        super().__init__(**common)
        self.file = file

    def locate(self) -> list[Path]:
        """Return the file in statsmodels, or the generated one.

        Raises:
            ConfigError: statsmodels is not installed.
        """
        if self.synthetic:
            return [self.root / self.folders[0] / Path(self.file).name]
        # `find_spec` does not import the package, which takes a second.
        origin = getattr(find_spec("statsmodels"), "origin", None) or require("statsmodels", "forecasting").__file__
        return [Path(str(origin)).parent / "datasets" / self.file]

    def write_synthetic(self, folder: Path) -> None:
        """Write 800 steps of seasonal waves; times are years or dates as YYYYMMDD."""
        targets, step = self.layout.targets or ("value",), self.frequency or "W"
        dates = [text[:10].replace("-", "") for text in format_times(synthetic_times("1200-01-01", step, 800))]
        times = [date[:4] for date in dates] if step == "YS" else dates
        header = [self.layout.time or "time", *targets]
        write_table(
            folder / Path(self.file).name, header, times, synthetic_values(800, len(targets), self.season or 12)
        )
