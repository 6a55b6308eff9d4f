"""Statistical forecasts by statsmodels (extra `forecasting`)."""

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sightseq.core.arrays import ArrayDataset
from sightseq.core.baseline import Arrays
from sightseq.core.extras import require
from sightseq.tasks.forecasting.baseline import Forecaster

EXTRA = "forecasting"
FEWEST = 10  # minimum number of values to fit a model
ORDERS = ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (2, 2))  # p and q of ARIMA
FITTED = 400  # maximum number of values to fit an ARIMA
SERIES = 20  # maximum number of series to forecast
Values = NDArray[np.float64]


class Statistical(Forecaster):
    """A model of one target of one series, without covariates.

    It reads more of the past than a network: up to `length` values before the origin. A forecast of one window and
    target takes up to a tenth of a second, so only some windows are forecast: equally spaced ones, of at most 20
    equally spaced series, about `forecasts` in all.

    Args:
        forecasts: approximate number of forecasts in each split, each of one target.
        length: maximum number of past values.
    """

    def __init__(self, forecasts: int = 200, length: int = 1000) -> None:
        if min(forecasts, length) < 1:
            raise ValueError("forecasts and length must be at least 1")
        self.forecasts, self.length = forecasts, length

    @property
    def history(self) -> int:
        """See `Forecaster`."""
        return max(self.length, self.spec.lookback, self.spec.season)

    def positions(self, dataset: ArrayDataset) -> NDArray[np.int64]:
        """Return equally spaced windows, including the first and the last."""
        series = np.searchsorted(dataset.arrays["ends"], dataset.rows, side="right")
        some = equally_spaced(np.unique(series), SERIES)
        return equally_spaced(np.flatnonzero(np.isin(series, some)), max(self.forecasts // len(self.spec.targets), 2))

    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return forecasts [N, H, C]; the last value where a model cannot be fitted, as for a constant series."""
        history, series = batch["history"].astype(np.float64), batch["series"]
        found = np.repeat(history[:, -1:], self.spec.horizon, axis=1)
        # The matrices of these models are tiny: several threads would wait for each other.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # fits that have not converged are used too
            for row, target in np.ndindex(len(history), history.shape[2]):
                values = history[row, :, target]
                values = values[np.isfinite(values)]
                if len(values) < FEWEST or np.ptp(values) == 0:
                    continue
                try:
                    steps = self.forecast(values, self._season(values), (int(series[row]), target))
                except (ValueError, IndexError, np.linalg.LinAlgError):
                    continue
                if np.isfinite(steps).all():
                    found[row, :, target] = steps
        return found

    def _season(self, values: Values) -> int:
        """Return the season, or 1 if the values span less than two seasons."""
        return self.spec.season if len(values) >= 2 * self.spec.season + FEWEST else 1

    @abstractmethod
    def forecast(self, values: Values, season: int, key: tuple[int, int]) -> Values:
        """Return the next steps [H] of one series.

        Args:
            values: known past values, [T].
            season: steps of one season; 1: none.
            key: index of the series and of the target.
        """


class ExponentialSmoothing(Statistical):
    """Exponential smoothing with additive errors, an additive season and no or a damped trend, whichever has the
    lower AICc (Hyndman et al., 2002). It is fitted again for every window.
    """

    def forecast(self, values: Values, season: int, key: tuple[int, int]) -> Values:
        model = require("statsmodels.tsa.exponential_smoothing.ets", EXTRA).ETSModel
        seasonal = {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}
        fits = [
            model(values, error="add", initialization_method="heuristic", **trend, **seasonal).fit(disp=False)
            for trend in ({}, {"trend": "add", "damped_trend": True})
        ]
        return np.asarray(min(fits, key=lambda fit: fit.aicc).forecast(self.spec.horizon))


class Theta(Statistical):
    """The Theta method (Assimakopoulos and Nikolopoulos, 2000) on seasonally adjusted values, as in the M3 and M4
    competitions, with an additive season. It is fitted again for every window.
    """

    def forecast(self, values: Values, season: int, key: tuple[int, int]) -> Values:
        model = require("statsmodels.tsa.forecasting.theta", EXTRA).ThetaModel
        adjusted = {"period": season, "method": "additive"} if season > 1 else {"period": 1, "deseasonalize": False}
        return np.asarray(model(values, **adjusted).fit().forecast(self.spec.horizon))


class ARIMA(Statistical):
    """ARIMA on seasonally adjusted values (STL: Cleveland et al., 1990).

    The KPSS test chooses the number of differences, 0 or 1, and the AICc chooses the orders p and q, up to 2. Orders
    and parameters are fitted to the past of the first window of each series and target. Later windows use the same
    parameters with their own past.
    """

    def read(self, dataset: ArrayDataset) -> Arrays:
        """See `Forecaster`; fits of other splits are discarded."""
        self._fits: dict[tuple[int, int], Any] = {}
        return super().read(dataset)

    def forecast(self, values: Values, season: int, key: tuple[int, int]) -> Values:
        repeated = np.zeros(self.spec.horizon)
        if season > 1:
            stl = require("statsmodels.tsa.seasonal", EXTRA).STL(values, period=season, robust=False).fit()
            values = values - stl.seasonal
            repeated = stl.seasonal[-season:][np.arange(self.spec.horizon) % season]
        values = values[-FITTED:]
        if key not in self._fits:
            self._fits[key] = _fit_arima(values)
        return np.asarray(self._fits[key].apply(values).forecast(self.spec.horizon)) + repeated


def equally_spaced(values: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most `most` equally spaced values, including the first and the last."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(np.int64))]


def _fit_arima(values: Values) -> Any:
    """Return the fit with the lowest AICc."""
    kpss = require("statsmodels.tsa.stattools", EXTRA).kpss
    model = require("statsmodels.tsa.arima.model", EXTRA).ARIMA
    difference = int(kpss(values, nlags="auto")[1] < 0.05)
    fits = [model(values, order=(p, difference, q), trend="n" if difference else "c").fit() for p, q in ORDERS]
    return min(fits, key=lambda fit: fit.aicc)
