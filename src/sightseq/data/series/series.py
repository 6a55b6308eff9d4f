"""Base of all datasets of time series: splits by time, spec, windows."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import ArrayDataset, save_about, save_split
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError, DataError, nearest
from sightseq.core.splits import check_fractions
from sightseq.data.series.windows import Rows, WindowDataset, find_origins, walk_forward
from sightseq.series.frame import Frame, select
from sightseq.series.scaling import fill_forward, log_returns, moments, seasonal_errors
from sightseq.series.spec import SeriesSpec
from sightseq.series.times import CYCLES, Frequency, calendar, calendar_names

SOURCE = "series"
SPLITS = ("train", "val", "test")
NAMED = 1000  # maximum number of series whose names are stored in the spec
Bounds = tuple[int, int, int]


class SeriesData(DataModule):
    """One or more time series, split by time into a training, a validation and a test part.

    A window belongs to the part that contains its whole target; its input may reach back into an earlier part. All such
    windows are used. All series share the limits of the parts. A series that is too short for a window in a part has
    none there. Statistics come from the training part only. See `WindowDataset` for the content of a batch.

    A subclass defines `locate()`, `read(sources)` and `write_synthetic(folder)`.

    Args:
        lookback: steps of the input, L.
        horizon: steps to forecast, H.
        season: steps of one season; None: the usual one of the frequency, such as 24 for hours.
        calendar: cycles whose sine and cosine are covariates known in advance, some of "hour" (of the day), "weekday"
            and "yearday"; True: all that vary at the frequency; False: none.
        val_fraction: fraction of the times in the validation part, which precedes the test part.
        test_fraction: fraction of the times in the test part, the last ones.
        fold: index of the tested block in a walk-forward backtest: the test part is cut into `folds` consecutive
            blocks, and the training and validation parts move forward with the tested block.
        folds: number of blocks.
        sliding: in a backtest, whether the training part keeps its length; otherwise it grows from block to block.
        common: see `DataModule`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"lookback", "horizon", "season", "calendar"})
    sample_unit: ClassVar[str] = "windows"
    example_spec: SeriesSpec = SeriesSpec(("value",), (), (), 48, 12, 1, "h", 3600.0, (0.0,), (1.0,), (), (), (1.0,))

    def __init__(
        self,
        *,
        lookback: int = 48,
        horizon: int = 12,
        season: int | None = None,
        calendar: bool | tuple[str, ...] = True,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        fold: int | None = None,
        folds: int = 5,
        sliding: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
        if val_fraction + test_fraction >= 1:
            raise ConfigError("data.val_fraction and data.test_fraction: leave a part of the times for training")
        if min(lookback, horizon) < 1 or (season is not None and season < 1):
            raise ConfigError("data.lookback, data.horizon and data.season must be at least 1")
        self.lookback, self.horizon, self.season = lookback, horizon, season
        self.cycles = (CYCLES if calendar else ()) if isinstance(calendar, bool) else calendar
        if unknown := set(self.cycles) - set(CYCLES):
            raise ConfigError(f"data.calendar: {min(unknown)} is not known; {nearest(min(unknown), CYCLES)}")
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        if folds < 1 or (fold is not None and not 0 <= fold < folds):
            raise ConfigError(f"data.fold={fold}: the data.folds={folds} blocks are numbered from 0")
        self.fold, self.folds, self.sliding = fold, folds, sliding
        features = calendar_names(Frequency.parse("h"), self.cycles)
        zeros, ones = (0.0,) * len(features), (1.0,) * len(features)
        windows = (lookback, horizon, season or 1, "h", 3600.0)
        self.example_spec = SeriesSpec(
            ("value",), (), features, *windows, (0.0,), (1.0,), zeros, ones, (1.0,), calendar=features
        )

    @abstractmethod
    def read(self, sources: list[Path]) -> tuple[Frame, Mapping[str, tuple[str, ...]]]:
        """Read the files.

        Returns:
            The series, and names of columns by role: "past" and "known" covariates, and "log_returns", the columns to
            replace by their log returns. Roles may be omitted.
        """

    def bounds(self, times: NDArray[np.int64]) -> Bounds:
        """Return the first times of the validation and the test part, and the end of the test part (exclusive).

        Args:
            times: times of all rows of all series, seconds since 1970, UTC, [T].
        """
        count = len(times)
        first = min(max(round(count * (1 - self.test_fraction - self.val_fraction)), 0), count - 1)
        second = min(max(round(count * (1 - self.test_fraction)), first), count - 1)
        ordered = np.partition(times, (first, second))
        return int(ordered[first]), int(ordered[second]), int(times.max()) + 1

    def process(self, sources: list[Path], folder: Path) -> None:
        """Save the columns in raw units, with NaN where a value is missing.

        Raises:
            DataError: a column is not finite in 32 bits, or a target has no value.
        """
        frame, roles = self.read(sources)
        known = roles.get("known", ())
        returns = roles.get("log_returns", ())
        inputs = tuple(name for name in frame.columns if name not in known)
        chosen = [frame.columns.index(name) for name in returns]
        levels = frame.values[:, [frame.columns.index(name) for name in frame.targets if name in returns]]
        if levels.shape[1] not in (0, len(frame.targets)):
            raise ConfigError(f"data={self.name}: either all targets are log returns, or none")
        values = frame.values
        if chosen:
            values = values.copy()
            values[:, chosen] = log_returns(values[:, chosen], frame.ends)
        targets = values[:, : len(frame.targets)]
        # A series starts with its first target value.
        begun = np.asarray(np.isfinite(fill_forward(targets, frame.ends)).any(axis=1))
        if not begun.any():
            raise DataError(f"{self.name}: the column {frame.targets[0]!r} has no value that can be forecast")
        frame = select(replace(frame, values=values), begun)
        columns: dict[str, NDArray[Any]] = {
            "values": self._narrow(frame, inputs),
            "target": self._narrow(frame, frame.targets),
            "known": self._narrow(frame, known),
            "calendar": calendar(frame.wall, calendar_names(frame.frequency)),
            "time": frame.utc,
            "ends": frame.ends,
        }
        if chosen and levels.shape[1]:
            columns["level"] = fill_forward(levels[begun], frame.ends).astype(np.float32)
        save_split(folder, SOURCE, **columns)
        about = {
            "targets": frame.targets,
            "past": inputs[len(frame.targets) :],
            "known": known,
            "log_returns": returns,
            "frequency": frame.frequency.alias,
            "timezone": frame.timezone,
            "series": frame.names if len(frame.names) <= NAMED else [],
        }
        save_about(folder, about)

    def _narrow(self, frame: Frame, names: tuple[str, ...]) -> NDArray[np.float32]:
        """Return columns as float32, [T, columns]."""
        with np.errstate(over="ignore"):
            narrow = frame.values[:, [frame.columns.index(name) for name in names]].astype(np.float32)
        if np.isinf(narrow).any():
            name = names[int(np.flatnonzero(np.isinf(narrow).any(axis=0))[0])]
            raise DataError(f"{self.name}: the column {name!r} exceeds the range of 32-bit numbers; use larger units")
        return narrow

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """Return the origins of the windows of each part; windows without any target value are omitted.

        Raises:
            DataError: a part is too short for a window.
        """
        arrays = splits[SOURCE]
        times, ends = arrays["time"], arrays["ends"]
        lookback, horizon = self._steps()
        limits = self._limits(times)
        origins = find_origins(ends, lookback, horizon)
        part = np.searchsorted(limits, times[origins], side="right")
        inside = part == np.searchsorted(limits, times[origins + horizon - 1], side="right")
        valued = np.cumsum(np.append(0, np.isfinite(arrays["target"]).any(axis=1)))
        inside &= valued[origins + horizon] > valued[origins]
        rows = {split: (SOURCE, origins[inside & (part == number)]) for number, split in enumerate(SPLITS, 1)}
        for split, (_, found) in rows.items():
            if not len(found):
                raise DataError(
                    f"{self.name}: the {split} part has no window of data.lookback={lookback} and "
                    f"data.horizon={horizon} steps, as the longest of {len(ends):,} series has "
                    f"{np.diff(ends, prepend=0).max():,} steps in all parts; lower both, or change data.val_fraction "
                    "and data.test_fraction"
                )
        return rows

    def spec_key(self) -> dict[str, Any]:
        """Return the options of windows, calendar and parts; those of the checkpoint's spec if one is given."""
        given = self.given_spec if isinstance(self.given_spec, SeriesSpec) else None
        chosen = (given.season, given.calendar) if given else (self.season, self.cycles)
        return {
            "windows": (*self._steps(), *chosen),
            "parts": (self.val_fraction, self.test_fraction, self.fold, self.folds, self.sliding),
        }

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> SeriesSpec:
        """Compute the statistics of all rows of the training part.

        Raises:
            DataError: a target is constant, or has no value there.
        """
        arrays: Any = train.arrays
        rows = self._training(arrays)
        step = Frequency.parse(about["frequency"])
        given = self.given_spec if isinstance(self.given_spec, SeriesSpec) else None
        season = given.season if given else self.season or step.season
        features = given.calendar if given else calendar_names(step, self.cycles)
        mean, std = moments(arrays["values"], rows)
        known_mean, known_std = moments(arrays["known"], rows)
        for number, name in enumerate(about["targets"]):
            chosen = arrays["target"][rows, number]
            if not (np.nanmin(chosen, initial=np.inf) < np.nanmax(chosen, initial=-np.inf)):
                raise DataError(
                    f"{self.name}: the target {name!r} has one value or none in the training part, so there is nothing "
                    "to learn; leave it out of data.targets"
                )
        scale, _ = seasonal_errors(arrays["target"], arrays["ends"], rows, 0 if "level" in arrays else season)
        lookback, horizon = self._steps()
        lengths = np.diff(arrays["ends"], prepend=0)
        return SeriesSpec(
            targets=tuple(about["targets"]),
            past=tuple(about["past"]),
            known=(*about["known"], *features),
            lookback=lookback,
            horizon=horizon,
            season=season,
            frequency=step.alias,
            step_seconds=step.seconds,
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
            known_mean=(*known_mean.tolist(), *(0.0 for _ in features)),
            known_std=(*known_std.tolist(), *(1.0 for _ in features)),
            scale=tuple(scale.tolist()),
            log_returns=tuple(about["log_returns"]),
            calendar=features,
            timezone=about["timezone"],
            series=tuple(about["series"]),
            num_series=len(lengths),
            short_series=int((lengths < lookback + horizon).sum()),
        )

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Return the windows of each part; all share the same arrays."""
        spec: Any = self.spec
        arrays = dict(datasets["train"].arrays)
        ends = arrays["ends"]
        _, scale = seasonal_errors(
            arrays["target"], ends, self._training(arrays), 0 if "level" in arrays else spec.season
        )
        known = fill_forward(arrays["known"], ends, np.array(spec.known_mean))
        every = calendar_names(Frequency.parse(spec.frequency))
        known = np.concatenate([known, arrays["calendar"][:, [every.index(name) for name in spec.calendar]]], axis=1)
        columns = {
            "values": fill_forward(arrays["values"], ends, np.array(spec.mean)),
            "target": arrays["target"],
            "known": known,
            "time": arrays["time"],
            "ends": ends,
            "scale": scale.astype(np.float32),
        }
        if "level" in arrays:
            columns["level"] = arrays["level"]
        return {
            split: WindowDataset(columns, data.rows, spec.lookback, spec.horizon, SOURCE)
            for split, data in datasets.items()
        }

    def _training(self, arrays: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Return whether each row belongs to the training part, [T]."""
        first, end, *_ = self._limits(arrays["time"])
        rows: NDArray[np.bool_] = (arrays["time"] >= first) & (arrays["time"] < end)
        return rows

    def _limits(self, times: NDArray[np.int64]) -> tuple[int, int, int, int]:
        """Return the first times of training, validation and test, and the end of the test part (exclusive)."""
        val, test, end = self.bounds(times)
        if self.fold is None:
            return int(times.min()), val, test, end
        return walk_forward(times, (val, test, end), self.fold, self.folds, self.sliding)

    def _steps(self) -> tuple[int, int]:
        """Return lookback and horizon: those of the checkpoint's spec if one is given."""
        given = self.given_spec
        return (given.lookback, given.horizon) if isinstance(given, SeriesSpec) else (self.lookback, self.horizon)
