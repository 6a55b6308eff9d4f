"""Missing values, log returns, and training statistics of series."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Rows = NDArray[np.int64]


def starts_of(ends: Rows) -> Rows:
    """Return the first row of each row's series, [T]; `ends` are the rows after the last of each series, [S]."""
    begins = np.concatenate([[0], ends[:-1]])
    return np.repeat(begins, ends - begins)


def fill_forward(values: Values, ends: Rows, default: Values | None = None) -> Values:
    """Replace missing values by the last value before them in their series.

    A row does not depend on later rows. Values that are missing at the start of a series become `default`.

    Args:
        values: NaN where a value is missing, [T, D].
        ends: row after the last of each series, [S].
        default: [D]; None: these values stay missing.

    Returns:
        [T, D]: the argument itself if no value is missing, else a copy.
    """
    if not np.isnan(values).any():
        return values
    filled = values.copy()
    starts, rows = starts_of(ends), np.arange(len(values))
    for number, column in enumerate(filled.T):
        missing = np.isnan(column)
        if missing.any():
            last = np.maximum.accumulate(np.where(missing, -1, rows))
            column[:] = column[np.maximum(last, 0)]
            column[last < starts] = np.nan if default is None else default[number]
    return filled


def log_returns(prices: Values, ends: Rows) -> Values:
    """Return ln(x[t] / x[t - 1]) within each series, [T, D]; NaN for its first row and for prices that are 0 or less.

    Args:
        prices: [T, D].
        ends: row after the last of each series, [S].
    """
    with np.errstate(invalid="ignore"):
        logs = np.log(np.where(prices > 0, prices, np.nan))
    returns = np.full_like(logs, np.nan)
    returns[1:] = np.diff(logs, axis=0)
    returns[ends[:-1]] = np.nan
    return returns


def moments(values: Values, rows: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the chosen rows of each column, [D]; missing values are ignored.

    The mean of a column without values is 0; the deviation of a constant column or one without values is 1.

    Args:
        values: [T, D].
        rows: the chosen rows, [T].
    """
    mean, std = np.zeros(values.shape[1]), np.ones(values.shape[1])
    for number, column in enumerate(values.T):
        chosen = column[rows & ~np.isnan(column)].astype(np.float64)
        if len(chosen):
            mean[number] = chosen.mean()
            if chosen.min() < chosen.max():
                std[number] = chosen.std()
    return mean, std


def seasonal_errors(
    targets: Values, ends: Rows, rows: NDArray[np.bool_], season: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean absolute error of the seasonal naive forecast x[t] = x[t - season]: the denominator of MASE.

    Hyndman and Koehler, 2006, "Another look at measures of forecast accuracy".

    Args:
        targets: [T, C].
        ends: row after the last of each series, [S].
        rows: the training part, [T]; both values of a difference must belong to it.
        season: steps of one season; a series with a training part of at most one season has no error of its own. 0: the
            targets are log returns, the naive forecast is the last price, a return of 0, and the error is |x[t]|.

    Returns:
        The error pooled over all series, [C], and the error of each series, [S, C]. A series without an error, or with
        the error 0, gets the pooled one. A pooled error of 0 is replaced by the standard deviation, or 1 if that is 0.
    """
    count, columns = len(ends), targets.shape[1]
    pooled, each = np.ones(columns), np.ones((count, columns))
    series = np.repeat(np.arange(count), np.diff(ends, prepend=0))
    both = np.zeros(len(targets), np.bool_)
    if len(targets) > season:
        before = slice(None, len(targets) - season)
        both[season:] = rows[season:] & rows[before] & (series[season:] == series[before])
    later = np.flatnonzero(both)
    for number, column in enumerate(targets.T):
        errors = np.abs(column[later].astype(np.float64) - (column[later - season] if season else 0))
        known = ~np.isnan(errors)
        numbers, errors = series[later][known], errors[known]
        total = errors.mean() if len(errors) else 0.0
        pooled[number] = total or moments(targets[:, number : number + 1], rows)[1][0]
        counts, sums = np.bincount(numbers, minlength=count), np.bincount(numbers, errors, minlength=count)
        own = sums / np.maximum(counts, 1)
        each[:, number] = np.where(own > 0, own, pooled[number])
    return pooled, each
