"""Recordings of sensors on a regular grid of times."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
GAP = 10  # steps without a sample; after a longer gap, another recording begins


def median_rate(times: NDArray[np.float64]) -> float | None:
    """Return the usual number of samples per second: one over the median distance of different times, in seconds.

    None if all times are equal. Times [N] may have any order.
    """
    steps = np.diff(np.unique(times))
    return float(f"{1 / np.median(steps):.6g}") if len(steps) else None


def regular(times: NDArray[np.float64], values: NDArray[np.floating], rate: float) -> list[tuple[float, Values]]:
    """Put samples of irregular times on a grid.

    A step of the grid has the mean of its samples, so samples of the same time and of higher rates are averaged. Steps
    without a sample are interpolated. After a gap of more than `GAP` steps, and of ten times the usual distance of the
    samples, another recording begins. A value that is NaN in all samples of a step stays NaN.

    Args:
        times: in seconds, in any order, [N].
        values: NaN where a value is missing, [N, D].
        rate: steps per second of the grid, in Hz.

    Returns:
        For each recording its first time in seconds, and its values [T, D].
    """
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    distances = np.diff(times)
    usual = np.median(distances[distances > 0]) if (distances > 0).any() else 0.0
    # Half a step is tolerance: times are often rounded.
    cuts = np.flatnonzero(distances > GAP * max(1 / rate, usual) + 0.5 / rate) + 1
    parts = zip(np.split(times, cuts), np.split(values, cuts), strict=True)
    return [(float(t[0]), _gridded((t - t[0]) * rate, v)) for t, v in parts]


def _gridded(places: NDArray[np.float64], values: NDArray[np.floating]) -> Values:
    """Return the values [T, D] at the steps 0, 1, ..., given samples [N, D] at ascending places in steps."""
    bins = np.rint(places).astype(np.int64)
    known = ~np.isnan(values)
    count = np.zeros((bins[-1] + 1, values.shape[1]))
    total, samples = np.zeros_like(count), np.bincount(bins)
    np.add.at(count, bins, known)
    np.add.at(total, bins, np.where(known, values, 0.0))
    with np.errstate(invalid="ignore"):
        grid = total / count  # 0 / 0 is NaN
    filled, empty = np.flatnonzero(samples), np.flatnonzero(samples == 0)
    for channel in grid.T if len(empty) else ():
        channel[empty] = np.interp(empty, filled, channel[filled])  # NaN between a value and a NaN
    return grid.astype(np.float32)
