"""The last windows of the series in a table: the inputs of a trained model."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import InputError, InputWarning
from sightseq.series.frame import Frame
from sightseq.series.scaling import fill_forward, log_returns
from sightseq.series.spec import SeriesSpec
from sightseq.series.times import calendar, future_times
from sightseq.series.zones import Seconds, to_wall


@dataclass(frozen=True)
class LastWindows:
    """The last window of each of N series: it ends with the last known target.

    Attributes:
        names: names of the series, [N].
        inputs: targets and past covariates, as log returns where the model expects them, [N, L, C + P].
        known: known covariates, [N, L + H, K].
        times: times of all steps, seconds since 1970, UTC, [N, L + H].
        walls: the same times as wall times of the model's time zone, [N, L + H].
        levels: last values of the targets in the table, [N, C].
    """

    names: list[str]
    inputs: NDArray[np.float32]
    known: NDArray[np.float32]
    times: Seconds
    walls: Seconds
    levels: NDArray[np.float64]


def last_windows(frame: Frame, spec: SeriesSpec, place: str) -> LastWindows:
    """Cut the last window of each series.

    The forecast starts after the last row with a value of any target. Later rows contain the known covariates of the
    horizon. Missing values are replaced by the last value before them.

    Args:
        frame: its columns are the targets, the past covariates and the known covariates without the calendar features.
        spec: spec of the model.
        place: name of the table, for messages.

    Raises:
        InputError: no series is long enough, or known covariates of the horizon are missing.

    Warns:
        InputWarning: some series are too short and are left out.
    """
    inputs = len(spec.inputs)
    own = len(spec.known) - len(spec.calendar)
    values = frame.values.copy()
    returns = [spec.inputs.index(name) for name in spec.log_returns]
    values[:, returns] = log_returns(values[:, returns], frame.ends)
    filled = fill_forward(values, frame.ends, np.array([*spec.mean, *spec.known_mean[:own]]))
    levels = fill_forward(frame.values[:, : len(spec.targets)], frame.ends)
    has_target: NDArray[np.bool_] = np.isfinite(frame.values[:, : len(spec.targets)]).max(axis=1)
    found: list[dict[str, Any]] = []
    short = 0
    for name, start, end in zip(frame.names, np.append(0, frame.ends[:-1]), frame.ends, strict=True):
        with_target = np.flatnonzero(has_target[start:end])
        origin = start + (with_target[-1] + 1 if len(with_target) else 0)
        first = start + (with_target[0] if len(with_target) else 0) + bool(returns)
        if origin - first < spec.lookback:
            short += 1
            continue
        past = slice(origin - spec.lookback, origin)
        future = slice(origin, min(origin + spec.horizon, end))
        given = frame.values[future, inputs : inputs + own]
        if own and (len(given) < spec.horizon or np.isnan(given).any()):
            raise InputError(
                f"{place}: the model needs {', '.join(spec.known[:own])} for {spec.horizon} steps after the last value "
                f"of {', '.join(spec.targets)}{f' of the series {name!r}' if len(frame.names) > 1 else ''}; add rows "
                "with these columns and no targets"
            )
        ahead = future_times(int(frame.utc[origin - 1]), spec.horizon, spec.frequency, spec.timezone)
        times = np.concatenate([frame.utc[past], ahead])
        walls = to_wall(times, spec.timezone)
        known = np.concatenate([filled[past, inputs:], given]) if own else np.zeros((len(times), 0))
        found.append(
            {
                "name": name,
                "inputs": filled[past, :inputs],
                "known": np.concatenate([known, calendar(walls, spec.calendar)], axis=1),
                "times": times,
                "walls": walls,
                "levels": levels[origin - 1],
            }
        )
    needed = f"the model reads {spec.lookback} steps{' and the value before them' if returns else ''}"
    if not found:
        raise InputError(f"{place}: no series is long enough: {needed}")
    if short:
        warnings.warn(InputWarning(f"{place}: {short:,} series are too short and are left out: {needed}"), stacklevel=2)
    stacked = {name: np.stack([one[name] for one in found]) for name in found[0] if name != "name"}
    stacked |= {name: stacked[name].astype(np.float32) for name in ("inputs", "known")}
    return LastWindows([one["name"] for one in found], **stacked)
