"""Spec of time series: columns, windows, and training statistics."""

import json
from dataclasses import dataclass
from typing import Any

from sightseq.core.errors import CheckpointError
from sightseq.core.spec import Spec


@dataclass(frozen=True)
class SeriesSpec(Spec):
    """One or more time series of the same columns, cut into windows of `lookback` + `horizon` steps.

    The input columns are the targets followed by the past covariates. All statistics are computed from finite values
    of the training part, in raw units (log returns for the columns in `log_returns`).

    Attributes:
        targets: names of the C columns to forecast.
        past: names of the P covariates known only up to the forecast origin.
        known: names of the K covariates known in advance; the calendar features come last.
        lookback: steps of the input, L.
        horizon: steps that are forecast, H.
        season: steps of one season; 1: none.
        frequency: step between two times, such as "h", "15min", "D", "B", "W" or "MS"; see `series.times`.
        step_seconds: length of a step in seconds, the mean length for months and business days.
        mean, std: mean and standard deviation of each input column, [C + P]; `std` is 1 for a constant column.
        known_mean, known_std: the same for each known covariate, [K]; 0 and 1 for calendar features.
        scale: mean absolute error of the seasonal naive forecast for each target, [C], pooled over the series: the
            denominator of MASE. For log returns it is the error of the last price: the mean absolute return. Never 0.
        log_returns: the input columns that are log returns ln(x[t] / x[t - 1]) of the values in the table.
        calendar: names of the calendar features, in the order of `series.times.calendar`.
        timezone: IANA name of the time zone in which calendar features are computed.
        series: names of the series, by index; empty if there are more than 1,000.
        num_series: number of series.
        short_series: number of series shorter than one window; they are used only for the statistics.
    """

    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]
    lookback: int
    horizon: int
    season: int
    frequency: str
    step_seconds: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    known_mean: tuple[float, ...]
    known_std: tuple[float, ...]
    scale: tuple[float, ...]
    log_returns: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()
    timezone: str = "UTC"
    series: tuple[str, ...] = ()
    num_series: int = 1
    short_series: int = 0

    def __post_init__(self) -> None:
        inputs, known = len(self.targets) + len(self.past), len(self.known)
        sizes = (len(self.mean), len(self.std), len(self.known_mean), len(self.known_std), len(self.scale))
        if sizes != (inputs, inputs, known, known, len(self.targets)) or not self.targets:
            raise CheckpointError("the number of columns in the spec differs from the number of statistics")
        if min(self.lookback, self.horizon, self.season) < 1 or min(*self.std, *self.known_std, *self.scale) <= 0:
            raise CheckpointError("a lookback, horizon, season or scale in the spec is not positive")
        if self.known[known - len(self.calendar) :] != self.calendar:
            raise CheckpointError("the calendar features are not the last known covariates of the spec")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input columns: targets, then past covariates, [C + P]."""
        return self.targets + self.past

    @property
    def forecasts_returns(self) -> bool:
        """Return whether the targets are log returns; a batch then has `level`, the last prices."""
        return set(self.targets) <= set(self.log_returns)

    def difference(self, other: Spec) -> str:
        """Return the difference in columns or frequency as a text; statistics and series may differ."""
        if not isinstance(other, SeriesSpec):
            return super().difference(other)
        for label, own, given in (
            ("forecasts", self.targets, other.targets),
            ("has the past covariates", self.past, other.past),
            ("has the known covariates", self.known, other.known),
            ("was trained on log returns of", self.log_returns, other.log_returns),
            ("was trained on the frequency", (self.frequency,), (other.frequency,)),
        ):
            if own != given:
                return f"it {label} {', '.join(own) or 'none'}, and the data has {', '.join(given) or 'none'}"
        return ""

    def net_arguments(self) -> dict[str, Any]:
        """Return `num_targets`, `num_inputs`, `num_known`, `lookback`, `horizon` and `season`."""
        return {
            "num_targets": len(self.targets),
            "num_inputs": len(self.inputs),
            "num_known": len(self.known),
            "lookback": self.lookback,
            "horizon": self.horizon,
            "season": self.season,
        }

    def summary(self) -> dict[str, Any]:
        """Return targets, lookback, horizon, season and frequency."""
        found: dict[str, Any] = {"targets": _few(self.targets)}
        if self.past:
            found["past covariates"] = _few(self.past)
        if self.known:
            found["known covariates"] = _few(self.known)
        if self.num_series > 1:
            found["series"] = self.num_series
        if self.short_series:
            found["too short series"] = self.short_series
        return found | {
            "lookback": self.lookback,
            "horizon": self.horizon,
            "season": self.season,
            "frequency": self.frequency,
        }

    def metadata(self) -> dict[str, str]:
        """Return `labels`, the targets, and `preprocessing`, the columns and steps of an input."""
        about = {
            "inputs": self.inputs,
            "known": self.known,
            "calendar": self.calendar,
            "log_returns": self.log_returns,
            "lookback": self.lookback,
            "horizon": self.horizon,
            "frequency": self.frequency,
            "timezone": self.timezone,
        }
        return {"labels": json.dumps(self.targets), "preprocessing": json.dumps(about)}


def _few(names: tuple[str, ...], most: int = 8) -> str:
    """Return the names as a text; a long list is truncated."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)})"
