"""Predictions of a trained forecaster: from tables to forecasts with quantiles."""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveInt

from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.errors import ConfigError, DataError, InputError
from sightseq.core.files import creating, replacing
from sightseq.core.page import Widget
from sightseq.core.plots import style
from sightseq.core.predictor import Predictor, Row
from sightseq.series.frame import arrange
from sightseq.series.spec import SeriesSpec
from sightseq.series.tables import SUFFIXES, Layout, Table, read_table
from sightseq.series.zones import format_times
from sightseq.tasks.forecasting.figures import labels, windows_figure
from sightseq.tasks.forecasting.task import ForecastingTask
from sightseq.tasks.forecasting.windows import LastWindows, last_windows

PLOTTED = 6  # forecasts in the plot
BATCH = 256  # windows at a time


class ForecastingSettings(BaseModel):
    """Options of `sightseq predict` for a forecaster."""

    horizon: PositiveInt | None = Field(
        None, description="steps to forecast, at most the horizon of the model; null: its horizon"
    )
    output: str | None = Field(
        None, description="CSV file to write; a plot is written beside it; null: NAME-forecast.csv"
    )
    overwrite: bool = Field(False, description="replace files that exist")
    time: str | None = Field(None, description="column of the times; null: the first one")
    series: str | None = Field(None, description="column that names the series of a row; null: the table is one series")
    gaps: Literal["error", "fill", "keep"] | None = Field(
        None, description="missing times: error, fill or keep; null: keep for trading days, else fill"
    )
    time_format: str | None = Field(None, description="format of the times, such as %d.%m.%Y, or unix; null: ISO 8601")
    delimiter: str | None = Field(
        None, description="comma, semicolon, tab, bar, or a character; null: as in the header"
    )
    decimal: str = Field(".", description="decimal point: . or ,")


@dataclass(frozen=True)
class Source:
    """A file and the options to read it."""

    file: Path
    options: ForecastingSettings


class ForecastingPredictor(Predictor):
    """A trained forecaster. Arguments and errors: see `Predictor`.

    A table needs columns with the names of the targets and covariates of the model; other columns are ignored. Each row
    is the forecast of one series, step and target: `series` (if the table has several), `time`, `target`, `forecast`
    (the median), and each quantile under its level. If the model forecasts log returns, the table has prices, and
    `price` is the price that follows from the last one and the forecasts.
    """

    Settings: ClassVar[type[ForecastingSettings]] = ForecastingSettings
    local: ClassVar[Collection[str]] = ("output", "overwrite")
    widget: ClassVar[Widget | None] = Widget("file", "a table of the past", tuple(SUFFIXES))
    task: ForecastingTask

    @property
    def spec(self) -> SeriesSpec:
        """Spec of the model."""
        return self.task.spec

    def check(self, inputs: Sequence[Any], options: ForecastingSettings) -> None:
        """Raise ConfigError for a horizon beyond the model's, or one output for several inputs."""
        if options.horizon and options.horizon > self.spec.horizon:
            raise ConfigError(
                f"horizon={options.horizon}: this model forecasts {self.spec.horizon} steps; train one with "
                f"data.horizon={options.horizon}"
            )
        if options.output and len(inputs) > 1:
            raise ConfigError(f"output={options.output} is one file for {len(inputs)} inputs; leave it out")

    def expand(self, given: str, options: ForecastingSettings) -> list[tuple[str, Source]]:
        """Return the file.

        Raises:
            InputError: it does not exist, is not a table, or its output already exists.
        """
        file = Path(given)
        if not file.is_file():
            raise InputError(f"{given} does not exist; give a table of the past: {', '.join(SUFFIXES)}")
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(f"{given} is not a table; give one of {', '.join(SUFFIXES)}")
        target = output_of(file, options)
        if target.exists() and not options.overwrite:
            raise InputError(f"{given}: {target} exists already; to replace it, add overwrite=true")
        return [(given, Source(file, options))]

    def predict(self, inputs: Sequence[str | Path], **options: Any) -> list[Row]:
        """Forecast from files and write the results, as on the command line. For arrays use `forecast`."""
        settings = self.options(options)
        self.check(inputs, settings)
        sources = [source for given in inputs for _, source in self.expand(str(given), settings)]
        return super().predict(sources, **options)

    def read(self, raw: Source) -> tuple[Source, LastWindows]:
        """Read a table.

        Raises:
            InputError: see `read_table`, `arrange` and `last_windows`.
        """
        given = raw.options
        layout = Layout(
            self.spec.targets,
            self.spec.past,
            self._own_known(),
            given.time,
            given.series,
            given.delimiter,
            given.decimal,
            given.time_format,
        )
        try:
            return raw, self._windows(read_table(raw.file, layout), str(raw.file), given.gaps)
        except (DataError, ConfigError) as error:  # the messages name options of `data` in training
            raise InputError(str(error).replace("data.", "")) from error

    def _own_known(self) -> tuple[str, ...]:
        """Return the known covariates without the calendar features."""
        return self.spec.known[: len(self.spec.known) - len(self.spec.calendar)]

    def _windows(self, table: Table, place: str, gaps: Literal["error", "fill", "keep"] | None) -> LastWindows:
        gaps = gaps or ("keep" if self.spec.frequency == "B" else "fill")
        frequency = self.spec.frequency if gaps != "keep" or len(table.times) < 2 else None
        frame = arrange(table, place, timezone=self.spec.timezone, frequency=frequency, gaps=gaps)
        return last_windows(frame, self.spec, place)

    def predict_items(
        self, items: Sequence[tuple[Source, LastWindows]], options: ForecastingSettings
    ) -> list[list[Row]]:
        """Write the forecasts of each table and return them."""
        found = []
        for source, windows in items:
            quantiles = self._quantiles(windows)[:, : options.horizon]
            rows = self._rows(windows, quantiles)
            target = output_of(source.file, options)
            with creating(target.parent, "output=FILE"):
                target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as file:
                file.write(as_csv(rows))
            with style():
                self._figure(windows, quantiles).savefig(target.with_suffix(".png"), dpi=150)
            found.append(rows)
        return found

    @torch.inference_mode()
    def _quantiles(self, windows: LastWindows) -> NDArray[np.float32]:
        """Return quantiles [N, H, C, Q]."""
        parts = []
        for start in range(0, len(windows.inputs), BATCH):
            batch = (windows.inputs[start : start + BATCH], windows.known[start : start + BATCH])
            parts.append(self.task(*(torch.from_numpy(one).to(self.task.device) for one in batch)).float().cpu())
        quantiles: NDArray[np.float32] = torch.cat(parts).numpy()
        return quantiles

    def _rows(self, windows: LastWindows, quantiles: NDArray[np.float32]) -> list[Row]:
        rows: list[Row] = []
        middle = quantiles.shape[-1] // 2
        returns = quantiles[..., middle].cumsum(1, dtype=np.float64) if self.task.of_returns else 0.0
        prices = windows.levels[:, None] * np.exp(returns)
        for number, name in enumerate(windows.names):
            times = format_times(windows.walls[number, self.spec.lookback :])
            for step, target in np.ndindex(*quantiles.shape[1:3]):
                levels = zip(self.task.quantiles, quantiles[number, step, target].tolist(), strict=True)
                row: Row = {"series": name} if len(windows.names) > 1 else {}
                row |= {"time": times[step], "target": self.spec.targets[target]}
                row["forecast"] = float(quantiles[number, step, target, middle])
                row |= {str(level): value for level, value in levels if level != 0.5}
                if self.task.of_returns:
                    row["price"] = float(prices[number, step, target])
                rows.append(row)
        return rows

    def _figure(self, windows: LastWindows, quantiles: NDArray[np.float32]) -> Any:
        shown = min(PLOTTED, max(len(windows.names), len(self.spec.targets)))
        rows = np.arange(shown) % len(windows.names)
        horizon, middle = quantiles.shape[1], quantiles.shape[-1] // 2
        batch = {
            "input": windows.inputs[rows],
            "target": np.full((shown, horizon, len(self.spec.targets)), np.nan, np.float32),
            "prediction": quantiles[rows][..., middle],
            "quantiles": quantiles[rows],
            "time": windows.walls[rows, : self.spec.lookback + horizon],
        }
        names = [windows.names[row] for row in rows] if len(windows.names) > 1 else None
        tensors = {name: torch.from_numpy(one) for name, one in batch.items()}
        return windows_figure(tensors, labels(self.spec), self.spec.lookback, names)

    def shown(self, item: tuple[Source, LastWindows], rows: Sequence[Row]) -> list[Block]:
        """Return the plot, and the table."""
        steps = len({row["time"] for row in rows})
        figure = FigureBlock("Forecast", self._figure(item[1], self._quantiles(item[1])[:, :steps]))
        return [figure, *super().shown(item, rows)]

    def origin(self, place: str, item: Any) -> Row:
        """Return the file."""
        return {"input": place}

    def cells(self, row: Row) -> dict[str, str]:
        """Return all columns except `input`; numbers have 5 digits."""
        return {
            name: f"{value:.5g}" if isinstance(value, float) else str(value)
            for name, value in row.items()
            if name != "input"
        }

    def forecast(
        self,
        table: Any,
        times: NDArray[Any] | None = None,
        horizon: int | None = None,
        gaps: Literal["error", "fill", "keep"] | None = None,
    ) -> Any:
        """Forecast one series from memory.

        Args:
            table: a pandas DataFrame with a DatetimeIndex and the columns of the model; or an array [T, columns] of the
                targets, the past covariates and the known covariates without the calendar features.
            times: for an array: datetime64 or seconds since 1970 [T], in the time zone of the model (default: UTC).
            horizon: steps, at most the horizon of the model; None: its horizon.
            gaps: see `ForecastingSettings`.

        Returns:
            For a DataFrame: a DataFrame with the time as its index, and the columns `target`, `forecast` and the
            quantiles. For an array: the quantiles [H, C, Q].

        Raises:
            InputError: the table has no such columns, or is too short.
            ConfigError: the horizon is longer than the horizon of the model.
        """
        self.check([table], self.options({"horizon": horizon}))
        columns = (*self.spec.inputs, *self._own_known())
        frame = table if hasattr(table, "columns") else None
        if frame is not None:
            if missing := [name for name in columns if name not in frame.columns]:
                raise InputError(f"the DataFrame has no column {', '.join(missing)}")
            in_utc = getattr(frame.index, "tz", None) is not None
            stamps = (frame.index.tz_convert("UTC").tz_localize(None) if in_utc else frame.index).to_numpy()
            values = frame[list(columns)].to_numpy(np.float64)
        else:
            values, stamps, in_utc = np.asarray(table, np.float64), times, False
            if stamps is None or values.shape != (len(stamps), len(columns)):
                raise InputError(f"give an array [T, {len(columns)}] of {', '.join(columns)}, and times [T]")
        seconds = np.asarray(stamps)
        if seconds.dtype.kind == "M":
            seconds = seconds.astype("datetime64[s]").astype(np.int64)
        numbers = np.zeros(len(values), np.int64)
        read = Table(self.spec.targets, columns, values, seconds.astype(np.int64), in_utc, numbers, ["table"])
        try:
            windows = self._windows(read, "the table", gaps)
        except DataError as error:
            raise InputError(str(error).replace("data.", "")) from error
        quantiles = self._quantiles(windows)[:, :horizon]
        if frame is None:
            return quantiles[0]
        rows = self._rows(windows, quantiles)
        found = type(frame)(rows)
        found["time"] = (
            windows.walls[0, self.spec.lookback :][: quantiles.shape[1]]
            .repeat(len(self.spec.targets))
            .astype("datetime64[s]")
        )
        return found.set_index("time")


def output_of(file: Path, options: ForecastingSettings) -> Path:
    """Return the CSV file that the forecasts of a table are written to."""
    return Path(options.output) if options.output else file.with_name(f"{file.stem}-forecast.csv")


def as_csv(rows: Sequence[Row]) -> bytes:
    """Return rows as a CSV file with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
