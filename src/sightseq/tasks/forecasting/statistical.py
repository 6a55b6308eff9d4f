"""Statistical forecasts by statsmodels (extra `forecasting`)."""

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import ArrayDataset
from sightseq.core.baseline import Arrays
from sightseq.core.extras import require
from sightseq.tasks.forecasting.baseline import Forecaster

EXTRA = "forecasting"
FEWEST = 10  # values that a model is fitted to
ORDERS = ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (2, 2))  # of ARIMA: p and q
FITTED = 400  # values that an ARIMA is fitted to
SERIES = 20  # that are forecast at most
Values = NDArray[np.float64]


class Statistical(Forecaster):
    """A model of one series at a time, for each target alone, without covariates.

    It reads more of the past than a network: all values before the origin, up to `length`. As this takes up to a tenth
    of a second for each window and target, not every window is forecast, but windows at equal distances, of at most 20
    series at equal distances, so many that there are about `forecasts` forecasts of one target.

    Args:
        forecasts: about how many in each split.
        length: values of the past that are read, at most.
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
        """Return windows at equal distances, the first and the last included."""
        series = np.searchsorted(dataset.arrays["ends"], dataset.rows, side="right")
        some = equally_spaced(np.unique(series), SERIES)
        return equally_spaced(np.flatnonzero(np.isin(series, some)), max(self.forecasts // len(self.spec.targets), 2))

    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return forecasts [N, H, C]; the last value where a model cannot be fitted, as to a constant series."""
        history, series = batch["history"].astype(np.float64), batch["series"]
        found = np.repeat(history[:, -1:], self.spec.horizon, axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fits that have not converged, which are used nevertheless
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
        """Return the season, or 1 where there are less than two of them."""
        return self.spec.season if len(values) >= 2 * self.spec.season + FEWEST else 1

    @abstractmethod
    def forecast(self, values: Values, season: int, key: tuple[int, int]) -> Values:
        """Return the next steps [H] of one series.

        Args:
            values: all that is known of it, [T].
            season: steps; 1 means that there is none.
            key: number of the series and of the target.
        """


class ExponentialSmoothing(Statistical):
    """Exponential smoothing with additive errors, an additive season and no or a damped trend, whichever has the
    lower AICc (Hyndman et al., 2002). It is fitted to the past of every window.
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
    competitions, with an additive season. It is fitted to the past of every window.
    """

    def forecast(self, values: Values, season: int, key: tuple[int, int]) -> Values:
        model = require("statsmodels.tsa.forecasting.theta", EXTRA).ThetaModel
        adjusted = {"period": season, "method": "additive"} if season > 1 else {"period": 1, "deseasonalize": False}
        return np.asarray(model(values, **adjusted).fit().forecast(self.spec.horizon))


class ARIMA(Statistical):
    """ARIMA on seasonally adjusted values (STL: Cleveland et al., 1990).

    The number of differences, 0 or 1, is chosen by the KPSS test, and the orders p and q, up to 2, by the AICc. Both
    and the parameters come from the past of the first window of each series and target; for later windows the same
    model reads on, without new parameters.
    """

    def read(self, dataset: ArrayDataset) -> Arrays:
        """See `Forecaster`; the fits of another split are forgotten."""
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
    """Return at most `most` of the values, the first and the last included."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(np.int64))]


def _fit_arima(values: Values) -> Any:
    """Return the fit with the lowest AICc."""
    kpss = require("statsmodels.tsa.stattools", EXTRA).kpss
    model = require("statsmodels.tsa.arima.model", EXTRA).ARIMA
    difference = int(kpss(values, nlags="auto")[1] < 0.05)
    fits = [model(values, order=(p, difference, q), trend="n" if difference else "c").fit() for p, q in ORDERS]
    return min(fits, key=lambda fit: fit.aicc)
