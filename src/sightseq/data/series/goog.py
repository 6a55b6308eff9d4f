"""The daily prices of Google that matplotlib includes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sightseq.data.series.synthetic import synthetic_prices, synthetic_times
from sightseq.data.series.tables import TableData
from sightseq.series.frame import Frame
from sightseq.series.tables import Table


class GooglePrices(TableData):
    """`goog.npz`: 1,047 trading days from August 2004 to October 2008; the log returns of the close are forecast."""

    def locate(self) -> list[Path]:
        """Return the file in matplotlib, or the generated one."""
        if self.synthetic:
            return [self.root / self.folders[0] / "goog.npz"]
        import matplotlib

        return [Path(matplotlib.get_data_path()) / "sample_data" / "goog.npz"]

    def read(self, sources: list[Path]) -> tuple[Frame, Mapping[str, tuple[str, ...]]]:
        """Read the structured array `price_data`."""
        with np.load(sources[0]) as file:
            prices = file["price_data"]
        columns = (*(self.layout.targets or ("close",)), *self.layout.past)
        values = np.stack([prices[name].astype(np.float64) for name in columns], axis=1)
        times = prices["date"].astype("datetime64[s]").astype(np.int64)
        numbers = np.zeros(len(times), np.int64)
        return self.arranged(Table(columns[:1], columns, values, times, False, numbers, ["GOOG"]))

    def write_synthetic(self, folder: Path) -> None:
        """Write 1,500 days."""
        kinds = [("date", "M8[D]"), *((name, "f8") for name in ("open", "high", "low", "close", "volume"))]
        prices = np.zeros(1500, np.dtype(kinds))
        prices["date"] = synthetic_times("2004-08-19", "B", 1500).astype("datetime64[s]").astype("datetime64[D]")
        for name, column in synthetic_prices(1500).items():
            prices[name] = column
        np.savez(folder / "goog.npz", price_data=prices)
