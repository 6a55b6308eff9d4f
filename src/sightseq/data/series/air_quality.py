"""Hourly air quality and weather in Beijing, 2010 to 2014: Liang et al., 2015, UCI "Beijing PM2.5"."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sightseq.core.download import missing_error
from sightseq.core.errors import DataError
from sightseq.core.extras import require
from sightseq.data.series.synthetic import synthetic_times, synthetic_values
from sightseq.data.series.tables import TableData
from sightseq.series.frame import Frame
from sightseq.series.tables import EXTRA, Layout, Table, read_table

FILES = ("pollution.csv", "PRSA_data_2010.1.1-2014.12.31.csv")
WIND = ("NW", "NE", "SE", "cv")  # cv: calm and variable
CLOCK = ("year", "month", "day", "hour")


class AirQuality(TableData):
    """PM2.5 in micrograms per cubic metre, and the weather up to the forecast origin.

    The past covariates are dew point, temperature, pressure, wind speed, hours of snow and of rain, and the one-hot
    wind direction (`wind_NW`, ...). PM2.5 is missing in 2,067 hours.
    """

    def locate(self) -> list[Path]:
        """Return the CSV file.

        Raises:
            DataError: it is missing.
        """
        for path in (self.root / folder / name for folder in self.folders for name in FILES):
            if path.is_file():
                return [path]
        raise missing_error(self.name, self.root, self.folders, FILES[0])

    def read(self, sources: list[Path]) -> tuple[Frame, Mapping[str, tuple[str, ...]]]:
        """Read the table; its times are in four columns, and its wind directions are text."""
        targets, past = self.layout.targets or ("pm2.5",), self.layout.past
        weather = tuple(name for name in past if not name.startswith("wind_"))
        layout = Layout(targets, (*weather, *CLOCK[1:]), time=CLOCK[0], series="cbwd")
        table = read_table(sources[0], layout)
        month, day, hour = (table.values[:, table.columns.index(name)].astype(np.int64) for name in CLOCK[1:])
        months = table.times.astype("datetime64[s]").astype("datetime64[M]") + (month - 1)
        times = months.astype("datetime64[s]").astype(np.int64) + (day - 1) * 86_400 + hour * 3600
        wind = np.array(table.names)[table.series]
        if strange := set(table.names) - set(WIND):
            raise DataError(f"{sources[0]}: the wind direction {min(strange)!r} is not one of {', '.join(WIND)}")
        columns = [
            (wind == name.removeprefix("wind_")).astype(np.float64)
            if name.startswith("wind_")
            else table.values[:, table.columns.index(name)]
            for name in (*targets, *past)
        ]
        series = np.zeros(len(times), np.int64)
        return self.arranged(
            Table(targets, (*targets, *past), np.stack(columns, axis=1), times, False, series, ["Beijing"])
        )

    def write_synthetic(self, folder: Path) -> None:
        """Write 2,000 hours of daily waves; in some, PM2.5 is missing."""
        pyarrow, writer = require("pyarrow", EXTRA), require("pyarrow.csv", EXTRA)
        stamps = synthetic_times("2010-01-01", "h", 2000).astype("datetime64[s]").tolist()
        values = synthetic_values(2000, 7, 24).round(1)
        names = ("pm2.5", "DEWP", "TEMP", "PRES", "Iws", "Is", "Ir")
        columns = {name: pyarrow.array(column) for name, column in zip(names, values.T, strict=True)}
        gone = np.random.default_rng(0).random(2000) < 0.05
        columns["pm2.5"] = pyarrow.array(
            [None if hole else value for hole, value in zip(gone, values[:, 0], strict=True)]
        )
        clock = {name: pyarrow.array([getattr(stamp, name) for stamp in stamps]) for name in CLOCK}
        wind = {"cbwd": pyarrow.array([WIND[number // 6 % 4] for number in range(2000)])}
        writer.write_csv(pyarrow.table({**clock, **columns, **wind}), folder / FILES[0])
