"""Daily stock prices: one CSV file per company."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sightseq.core.download import missing_error
from sightseq.core.errors import ConfigError, nearest
from sightseq.data.series.synthetic import synthetic_prices, synthetic_times, write_table
from sightseq.data.series.tables import TableData
from sightseq.series.frame import Frame
from sightseq.series.tables import Table, read_table


class StockPrices(TableData):
    """Files `TICKER.csv` or `TICKER_....csv` with the columns Date, Open, High, Low, Close and Volume.

    Each company is one series of trading days; all share the limits of the parts. The targets are log returns, because
    prices are nearly a random walk, whose last value is hard to beat. `level`, the last close, converts forecasts to
    prices.

    Args:
        companies: tickers; None: all with a file.
        common: see `TableData`, `SeriesData` and `DataModule`.
    """

    def __init__(self, *, companies: tuple[str, ...] | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.companies = companies

    def locate(self) -> list[Path]:
        """Return the files of the companies, in the order of their tickers.

        Raises:
            DataError: there are none.
            ConfigError: a company has none.
        """
        for folder in self.folders:
            found = {_ticker(file): file for file in sorted((self.root / folder).glob("*.csv"))}
            if not found:
                continue
            if absent := set(self.companies or ()) - set(found):
                first = min(absent)
                raise ConfigError(
                    f"data.companies: {first} has no file in {self.root / folder}; {nearest(first, found)}"
                )
            return [file for ticker, file in sorted(found.items()) if ticker in (self.companies or found)]
        raise missing_error(self.name, self.root, self.folders, "files such as AAPL.csv")

    def read(self, sources: list[Path]) -> tuple[Frame, Mapping[str, tuple[str, ...]]]:
        """Read the tables of all companies as one."""
        tables = [read_table(file, self.layout) for file in sources]
        return self.arranged(
            Table(
                tables[0].targets,
                tables[0].columns,
                np.concatenate([table.values for table in tables]),
                np.concatenate([table.times for table in tables]),
                tables[0].in_utc,
                np.repeat(np.arange(len(tables)), [len(table.times) for table in tables]),
                [_ticker(file) for file in sources],
            )
        )

    def write_synthetic(self, folder: Path) -> None:
        """Write 1,500 days of three companies."""
        times = synthetic_times("2010-01-04", "B", 1500)
        for seed, ticker in enumerate(("AAA", "BBB", "CCC")):
            prices = synthetic_prices(1500, seed)
            header = ("Date", "Open", "High", "Low", "Close", "Volume")
            write_table(folder / f"{ticker}_2010-01-04.csv", header, times, *prices.values())


def _ticker(file: Path) -> str:
    return file.stem.partition("_")[0]
