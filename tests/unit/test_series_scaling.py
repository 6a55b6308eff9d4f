"""Missing values, log returns and statistics of series, by hand."""

import numpy as np

from sightseq.series.scaling import fill_forward, log_returns, moments, seasonal_errors

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float64)[:, None]


def test_missing_values_are_filled_within_a_series() -> None:
    values = np.array([[NAN, 1], [2, NAN], [NAN, 3], [NAN, NAN], [5, 6], [NAN, 7]])
    ends = np.array([3, 6])
    assert fill_forward(values, ends, np.array([-1.0, -2.0])).tolist() == [
        [-1, 1],
        [2, 1],
        [2, 3],
        [-1, -2],
        [5, 6],
        [5, 7],
    ]
    np.testing.assert_array_equal(
        fill_forward(values, ends)[:, 0], [NAN, 2, 2, NAN, 5, 5]
    )  # without a default, what is missing from the start stays missing
    assert np.isnan(values[3, 1])  # the argument is not changed


def test_log_returns_begin_anew_in_each_series() -> None:
    found = log_returns(column(1, np.e, 1, 4, 8, 0, 2), np.array([3, 7]))[:, 0]
    np.testing.assert_allclose(found, [NAN, 1, -1, NAN, np.log(2), NAN, NAN])


def test_moments_of_the_training_part() -> None:
    values = np.stack([[1.0, 3, NAN, 100], [2, 2, 2, 9], [NAN, NAN, NAN, 1]], axis=1)
    mean, std = moments(values, np.array([True, True, True, False]))
    assert mean.tolist() == [2, 2, 0]
    assert std.tolist() == [1, 1, 1]


def test_seasonal_errors_by_hand() -> None:
    # Two series; the last two rows of each are not in the training part.
    targets = column(1, 2, 4, 8, 90, 91, 10, 30, 10, NAN, 92, 93)
    rows = np.tile([True, True, True, True, False, False], 2)
    ends = np.array([6, 12])
    pooled, each = seasonal_errors(targets, ends, rows, 1)
    assert each[:, 0].tolist() == [(1 + 2 + 4) / 3, 20]
    assert pooled.tolist() == [(1 + 2 + 4 + 20 + 20) / 5]
    pooled, each = seasonal_errors(targets, ends, rows, 2)
    assert each[:, 0].tolist() == [(3 + 6) / 2, 3]  # the second has one error, which is 0: the pooled one
    assert pooled.tolist() == [3]
    _, each = seasonal_errors(targets, ends, rows, 0)  # of log returns
    assert each[:, 0].tolist() == [15 / 4, 50 / 3]


def test_a_scale_is_never_0() -> None:
    rows = np.ones(4, bool)
    periodic = column(1, 3, 1, 3)
    assert [found.tolist() for found in seasonal_errors(periodic, np.array([4]), rows, 2)] == [[1.0], [[1.0]]]
    constant = column(5, 5, 5, 5)
    assert [found.tolist() for found in seasonal_errors(constant, np.array([4]), rows, 1)] == [[1.0], [[1.0]]]
    short = column(5, 7, 5, 7)
    assert [found.tolist() for found in seasonal_errors(short, np.array([4]), rows, 9)] == [[1.0], [[1.0]]]
