"""Naive forecasts, which every network must beat."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset
from sightseq.core.baseline import Arrays, Baseline
from sightseq.series.spec import SeriesSpec
from sightseq.tasks.forecasting.scores import WINDOW_COLUMNS, close_errors, point_errors, window_losses

CHUNK = 256  # windows at a time
SCORES = {"scaled": "mase", "squared": "mse", "absolute": "mae", "symmetric": "smape", "direction": "direction"}


class Forecaster(Baseline):
    """A baseline that forecasts the targets from their own past.

    Scoring works in chunks and keeps only sums, because the windows of a long series do not fit into memory.
    """

    spec: SeriesSpec
    windows: Mapping[str, Tensor] = {}
    """`index`, `time`, `series` and `loss` of each window of the last scored split, [N] each, as in the metric
    `Windows`."""

    @abstractmethod
    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return forecasts [N, H, C].

        Args:
            batch: `history`, the targets before the origin [N, T, C], NaN before the start of the series.
        """

    @property
    def history(self) -> int:
        """Number of past steps in `history`, T."""
        return max(self.spec.lookback, self.spec.season)

    def positions(self, dataset: ArrayDataset) -> NDArray[np.int64]:
        """Return the positions of the windows to forecast; by default all."""
        return np.arange(len(dataset))

    def read(self, dataset: ArrayDataset) -> Arrays:
        """Return sums of the errors of each window, [N] each, and the `WINDOW_COLUMNS`."""
        chunks = [self._errors(batch) for batch in self._batches(dataset)]
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def score(self, batch: Arrays) -> dict[str, float]:
        """Return MASE, MSE, MAE, sMAPE and direction; for log returns also the error of the close."""
        self.windows = {name: torch.from_numpy(batch[name]) for name in WINDOW_COLUMNS}
        names = {**SCORES, "close": "close_mape"}
        return {
            title: float(batch[name].sum() / max(batch[f"{name}_count"].sum(), 1))
            for name, title in names.items()
            if name in batch
        }

    def _batches(self, dataset: ArrayDataset) -> Iterator[Arrays]:
        """Yield the windows with their `history`, which may reach further back than the input."""
        positions, targets = self.positions(dataset), len(self.spec.targets)
        values, ends = dataset.arrays["values"], dataset.arrays["ends"]
        starts = np.concatenate([[0], ends[:-1]])
        for first in range(0, len(positions), CHUNK):
            batch = {name: one.numpy() for name, one in dataset[positions[first : first + CHUNK]].items()}
            rows = batch["index"][:, None] + np.arange(-self.history, 0)
            known = rows >= starts[batch["series"]][:, None]
            batch["history"] = np.where(known[..., None], values[rows.clip(min=0), :targets], np.nan)
            yield batch

    def _errors(self, batch: Arrays) -> Arrays:
        found = {name: torch.from_numpy(batch[name]) for name in ("target", "scale", "history")}
        prediction, targets = torch.from_numpy(self.predict(batch)).float(), len(self.spec.targets)
        returns = torch.tensor([name in self.spec.log_returns for name in self.spec.targets])
        last = torch.where(returns, 0.0, found["history"][:, -1:])
        std = torch.tensor(self.spec.std[:targets])
        errors = point_errors(prediction, found["target"], last, std, found["scale"])
        loss = window_losses(errors["scaled"])
        if "level" in batch:
            errors["close"] = close_errors(prediction, found["target"], torch.from_numpy(batch["level"]))
        sums: Arrays = {}
        for name, values in errors.items():
            sums[name] = values.flatten(1).double().nansum(1).numpy()
            sums[f"{name}_count"] = values.isfinite().flatten(1).sum(1).numpy()
        return sums | {
            "index": batch["index"],
            "time": batch["time"][:, self.spec.lookback],
            "series": batch["series"],
            "loss": loss.numpy(),
        }

    def is_return(self) -> NDArray[np.bool_]:
        """Return for each target whether it is a log return, [C]."""
        return np.array([name in self.spec.log_returns for name in self.spec.targets])


class LastValue(Forecaster):
    """The last value for all steps; for log returns 0, because the price then keeps its last value."""

    def predict(self, batch: Arrays) -> NDArray[Any]:
        last = np.where(self.is_return(), 0.0, batch["history"][:, -1:])
        return np.repeat(last, self.spec.horizon, axis=1)


class SeasonalNaive(Forecaster):
    """The values of the last season, repeated. Values before the start of the series are replaced by the last value."""

    def predict(self, batch: Arrays) -> NDArray[Any]:
        history, season = batch["history"], self.spec.season
        steps = np.arange(self.spec.horizon) % season - season
        found = history[:, steps]
        return np.where(np.isfinite(found), found, history[:, -1:])


class Drift(Forecaster):
    """Linear extrapolation from the first through the last value of the lookback; for log returns their mean, which
    extrapolates the logarithm of the price in the same way.
    """

    def predict(self, batch: Arrays) -> NDArray[Any]:
        history = batch["history"][:, -self.spec.lookback :]
        length, steps = history.shape[1], np.arange(1, self.spec.horizon + 1)[:, None]
        slope = (history[:, -1:] - history[:, :1]) / max(length - 1, 1)
        mean = np.repeat(history.mean(1, keepdims=True), self.spec.horizon, axis=1)
        return np.where(self.is_return(), mean, history[:, -1:] + slope * steps)
