"""Windows of time series: views of one array of all series; only a batch copies them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ComputedDataset
from sightseq.core.loading import Batch
from sightseq.data.plain import PlainWindows

Rows = NDArray[np.int64]


class WindowDataset(ComputedDataset):
    """The windows of one split. A window is identified by its origin: the row of the first step of its target.

    A batch has, float32 unless stated otherwise:
        `input` [B, L, C + P]: targets and past covariates in raw units, the last L steps before the origin. Missing
            values are replaced by the last value before them.
        `target` [B, H, C]: NaN where the value is missing.
        `known` [B, L + H, K]: covariates known in advance.
        `scale` [B, C]: mean absolute error of the seasonal naive forecast (of log returns: of the last price) over the
            training part of the window's series: the denominator of MASE for this series.
        `level` [B, C]: last price before the origin, only if the targets are log returns.
        `series` int64 [B]: index of the series.
        `time` int64 [B, L + H]: seconds since 1970, UTC.
        `index` int64 [B]: the origin; -1 marks a padding row.

    Args:
        arrays: columns of all T rows, series after series: `values` float32 [T, C + P] without missing values,
            `target` float32 [T, C] with NaN, `known` float32 [T, K], `time` int64 [T], optionally `level` float32
            [T, C]; and for the S series `ends` int64 [S], the row after the last one, and `scale` float32 [S, C].
        origins: rows of the origins, in ascending order; each has L rows before it and H rows from it in its series.
        lookback, horizon: L and H.
        source: the publisher's split.
    """

    def __init__(
        self, arrays: Mapping[str, Any], origins: Rows, lookback: int, horizon: int, source: str = "series"
    ) -> None:
        super().__init__(arrays, origins, source)
        self.lengths = None
        self.lookback, self.horizon = lookback, horizon
        self._views = self._make_views()

    def _make_views(self) -> dict[str, NDArray[Any]]:
        """Return the windows of each column."""
        whole = self.lookback + self.horizon
        steps = {"values": self.lookback, "target": self.horizon, "known": whole, "time": whole}
        return {name: _windows(self.arrays[name], length) for name, length in steps.items()}

    def __getstate__(self) -> dict[str, Any]:
        # A pickled view would be a copy of every window.
        return {name: value for name, value in self.__dict__.items() if name != "_views"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._views = self._make_views()

    def plain(self) -> PlainWindows:
        """See `ArrayDataset.plain`."""
        scale = self.arrays["scale"][np.searchsorted(self.arrays["ends"], self.rows, side="right")]
        values, target, known = (np.asarray(self.arrays[name]) for name in ("values", "target", "known"))
        return PlainWindows(values, target, known, scale, self.rows, self.lookback, self.horizon)

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these windows; see `WindowDataset`."""
        origins = self.rows[indices.clamp(min=0).numpy()]
        starts = origins - self.lookback
        series = np.searchsorted(self.arrays["ends"], origins, side="right")
        columns: dict[str, NDArray[Any]] = {
            "input": self._views["values"][starts],
            "target": self._views["target"][origins],
            "known": self._views["known"][starts],
            "scale": self.arrays["scale"][series],
            "series": series,
            "time": self._views["time"][starts],
        }
        if "level" in self.arrays:
            columns["level"] = self.arrays["level"][origins - 1]
        batch = {name: torch.from_numpy(column) for name, column in columns.items()}
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(origins))
        return batch


def find_origins(ends: Rows, lookback: int, horizon: int) -> Rows:
    """Return all rows that have `lookback` rows before them and `horizon` rows from them in their series.

    Args:
        ends: row after the last of each series, [S].
        lookback: steps before the origin, at least 1.
        horizon: steps from the origin, at least 1.
    """
    starts = np.concatenate([[0], ends[:-1]])
    counts = (ends - starts - lookback - horizon + 1).clip(min=0)
    # The first origin of each series, repeated, plus 0, 1, 2, ... within the series.
    before = np.cumsum(counts) - counts
    origins: Rows = np.repeat(starts + lookback - before, counts) + np.arange(counts.sum())
    return origins


def walk_forward(
    times: NDArray[np.int64], limits: tuple[int, int, int], fold: int, folds: int, sliding: bool
) -> tuple[int, int, int, int]:
    """Return the limits of the parts for one block of a walk-forward backtest.

    Args:
        times: times of all rows, [T].
        limits: first times of the validation and the test part, and the end of the test part (exclusive).
        fold: index of the block.
        folds: number of blocks in the test part.
        sliding: whether the training part keeps its length; otherwise it keeps its start.

    Returns:
        First times of training, validation and test, and the end of the test part (exclusive).
    """
    ordered = np.unique(times)
    val, test, end = np.searchsorted(ordered, limits)
    first, last = ((end - test) * block // folds for block in (fold, fold + 1))
    ordered = np.append(ordered, limits[2])
    train = ordered[first if sliding else 0]
    return int(train), int(ordered[val + first]), int(ordered[test + first]), int(ordered[test + last])


def _windows(column: NDArray[Any], length: int) -> NDArray[Any]:
    """Return a read-only view [T - length + 1, length, ...] of all windows of a column [T, ...]."""
    column = np.ascontiguousarray(column)
    shape = (max(len(column) - length + 1, 0), length, *column.shape[1:])
    strides = (column.strides[0], *column.strides)
    return np.lib.stride_tricks.as_strided(column, shape, strides, writeable=False)
