"""Blocks and figures of the report on forecasts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.loading import Batch
from sightseq.core.plots import BLUE, GREY, ORANGE, VERMILION, short, styled
from sightseq.series.spec import SeriesSpec
from sightseq.tasks.forecasting.scores import by_name

LAGS = 40  # lags of the autocorrelation
BEFORE = 3  # past steps drawn before a forecast, in horizons


def report_blocks(
    shown: Batch, found: Mapping[str, Tensor], spec: SeriesSpec, quantiles: Sequence[float]
) -> list[Block]:
    """Return the blocks of a report.

    Args:
        shown: random windows: `input` [N, L, D], `target` and `prediction` [N, H, C], `quantiles` [N, H, C, Q],
            `time` [N, L + H] and `index` [N]; may be empty.
        found: results of the metrics `steps` [H], `windows` and, in a test, `below` [Q].
        spec: of the data.
        quantiles: their levels.
    """
    share = f"{quantiles[-1] - quantiles[0]:.0%}"
    blocks: list[Block] = []
    if shown:
        order = shown["time"][:, spec.lookback].argsort()
        rows = {name: column[order] for name, column in shown.items()}
        caption = f"Windows chosen at random, one target each. Bands: the {share} interval and, if any, those within."
        figure = windows_figure(rows, labels(spec), spec.lookback)
        blocks.append(FigureBlock("Forecasts", figure, caption=caption))
    if spec.horizon > 1:
        blocks.append(FigureBlock("Error by horizon", steps_figure(found["steps"].cpu().numpy())))
    residuals = first_residuals(by_name(found["windows"]))
    if len(residuals) > 3:
        caption = (
            "Errors one step ahead, over consecutive windows. Bars outside the band are significant: the errors are "
            "partly predictable."
        )
        figure = autocorrelation_figure(residuals, spec.season)
        blocks.append(FigureBlock("Autocorrelation of the errors", figure, caption=caption))
    if "below" in found:
        caption = "Fraction of targets below each quantile. Calibrated quantiles lie on the diagonal."
        figure = calibration_figure(np.array(quantiles), found["below"].flatten().cpu().numpy())
        blocks.append(FigureBlock("Calibration of the quantiles", figure, caption=caption))
    return blocks


def labels(spec: SeriesSpec) -> list[str]:
    """Return the names of the targets for people; log returns are marked."""
    return [f"{name} (log return)" if name in spec.log_returns else name for name in spec.targets]


def first_residuals(windows: Mapping[str, Tensor]) -> NDArray[np.float64]:
    """Return the errors one step ahead for the first target of the series with the most windows, in time order, [N]."""
    series, counts = np.unique(windows["series"].numpy(), return_counts=True)
    rows = windows["series"].numpy() == series[counts.argmax()]
    errors: NDArray[np.float64] = (windows["first_target"] - windows["first_prediction"])[:, 0].numpy()[rows]
    return errors[np.isfinite(errors)]


@styled
def windows_figure(rows: Batch, targets: Sequence[str], lookback: int, names: Sequence[str] | None = None) -> Figure:
    """Plot the end of the input of each window, the truth and, if present, the forecast with its intervals.

    Args:
        rows: see `report_blocks`; `prediction` and `quantiles` may be absent.
        targets: their names; window n shows target n, modulo the number of targets.
        lookback: steps of the input.
        names: name of the series of each window; None: not shown.
    """
    count, horizon = len(rows["input"]), rows["target"].shape[1]
    columns = 2 if count > 1 else 1
    figure = Figure(figsize=(8, 2.3 * -(-count // columns)))
    grid = figure.subplots(-(-count // columns), columns, squeeze=False)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    shown = min(lookback, max(BEFORE * horizon, 24))
    for place, axes in zip(range(count), grid.flat, strict=False):
        target = place % len(targets)
        times = dates(rows["time"][place].tolist())
        past, future = times[lookback - shown : lookback], times[lookback:]
        seen = rows["input"][place, lookback - shown :, target].numpy()
        truth = rows["target"][place, :, target].numpy()
        axes.plot(past, seen, color=GREY, linewidth=1.2)
        marker = "o" if horizon == 1 else ""
        if "quantiles" in rows:
            quantiles = rows["quantiles"][place, :, target].numpy()
            _bands(axes, [past[-1], *future], np.concatenate([np.full((1, quantiles.shape[1]), seen[-1]), quantiles]))
            point = rows["prediction"][place, :, target].numpy()
            axes.plot(future, point, color=BLUE, linewidth=1.5, label="forecast", marker=marker)
        if np.isfinite(truth).any():
            axes.plot(future, truth, color=VERMILION, linewidth=1.2, label="truth", marker=marker, linestyle="--")
        _label_dates(axes)
        axes.set_title(short(f"{names[place]}: {targets[target]}" if names else targets[target], 40))
        axes.grid(axis="y")
        if place == 0:
            axes.legend(loc="upper left", fontsize=8)
    return figure


def _bands(axes: Axes, times: list[datetime], quantiles: NDArray[np.float32]) -> None:
    """Draw each pair of quantiles [T, Q] as a band."""
    for pair in range(quantiles.shape[1] // 2):
        low, high = quantiles[:, pair], quantiles[:, -1 - pair]
        axes.fill_between(times, low, high, color=BLUE, alpha=0.15, linewidth=0)  # type: ignore[arg-type]  # dates


def dates(seconds: Sequence[float]) -> list[datetime]:
    """Convert seconds since 1970 to datetimes in UTC."""
    return [datetime.fromtimestamp(one, UTC) for one in seconds]


@styled
def steps_figure(mase: NDArray[np.float32]) -> Figure:
    """Plot the error of each step of the horizon, [H]."""
    figure = Figure(figsize=(6, 3))
    axes = figure.subplots()
    axes.plot(np.arange(1, len(mase) + 1), mase, color=BLUE, marker="o" if len(mase) <= 40 else "")
    axes.set(xlabel="steps ahead", ylabel="MASE", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    return figure


def autocorrelation(values: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Return the autocorrelation of values [N] at the lags 1, 2, ..., [lags]; 0 if the values are constant."""
    centred = values - values.mean()
    power = float(centred @ centred)
    return np.array([float(centred[lag:] @ centred[:-lag]) / power if power else 0.0 for lag in range(1, lags + 1)])


@styled
def autocorrelation_figure(residuals: NDArray[np.float64], season: int) -> Figure:
    """Plot the autocorrelation of residuals [N], with the band that contains 95 % of the values of white noise."""
    lags = min(max(LAGS, 2 * season if season < LAGS else LAGS), len(residuals) - 1)
    figure = Figure(figsize=(7, 3))
    axes = figure.subplots()
    places = np.arange(1, lags + 1)
    axes.axhspan(-1.96 / len(residuals) ** 0.5, 1.96 / len(residuals) ** 0.5, color=BLUE, alpha=0.15, linewidth=0)
    axes.bar(places, autocorrelation(residuals, lags), width=0.5, color=BLUE)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="lag (steps)", ylabel="autocorrelation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@styled
def calibration_figure(levels: NDArray[np.float64], below: NDArray[np.float32]) -> Figure:
    """Plot the fraction of targets below each quantile, [Q], against its level, [Q]."""
    figure = Figure(figsize=(4.2, 3.8))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    axes.plot(levels, below, "o-", color=BLUE)
    axes.set(xlabel="level of the quantile", ylabel="fraction of targets below", xlim=(0, 1), ylim=(0, 1))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid()
    return figure


@styled
def equity_figure(times: NDArray[np.float64], gains: NDArray[np.float64], holding: NDArray[np.float64]) -> Figure:
    """Plot the cumulative returns of trading and of holding, [N] each, at times in seconds since 1970, [N]."""
    figure = Figure(figsize=(7, 3.2))
    axes = figure.subplots()
    for values, label, colour in ((gains, "trading on the forecasts", BLUE), (holding, "holding", ORANGE)):
        axes.plot(dates(times.tolist()), values.cumsum(), color=colour, label=label)  # type: ignore[arg-type]  # dates
    axes.axhline(0, color=GREY, linewidth=0.8)
    _label_dates(axes)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel("sum of returns")
    axes.legend()
    axes.grid(axis="y")
    return figure


def _label_dates(axes: Axes) -> None:
    """Label the horizontal axis with few, short dates."""
    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]  # matplotlib has no types here
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # no types
