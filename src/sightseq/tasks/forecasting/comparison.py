"""Comparison of a model with the baselines, and the return of trading on its forecasts."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from sightseq.core.baseline import Baseline
from sightseq.core.blocks import Block, FigureBlock, TableBlock, TextBlock
from sightseq.series.spec import SeriesSpec
from sightseq.tasks.forecasting.figures import equity_figure

SIGNIFICANT = 0.05
FEWEST = 3  # horizons that the windows must span for a significance test
COST = 0.001  # fraction of the traded value: commission, spread and slippage
BLOCK, SAMPLES = 20, 1000  # block bootstrap: steps per block, repetitions
YEAR = 365.25 * 86400  # seconds

Values = NDArray[np.float64]


def diebold_mariano(difference: Values, lags: int) -> tuple[float, float]:
    """Test whether two forecasts have the same expected loss (Diebold and Mariano, 1995).

    The variance is that of Newey and West (1987), with the small-sample correction of Harvey, Leybourne and Newbold
    (1997) and Student's distribution.

    Args:
        difference: loss of the first forecast minus that of the second, in order of time, [N].
        lags: number of autocorrelations in the variance: horizon - 1, in steps between the windows.

    Returns:
        The statistic, which is negative if the first forecast is better, and the two-sided p-value; NaN and 1 if the
        differences are constant or fewer than two.
    """
    count = len(difference)
    if count < 2 or np.ptp(difference) == 0:
        return math.nan, 1.0
    lags = min(lags, count - 1)
    centred = difference - difference.mean()
    variance = float(centred @ centred) / count
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag]) / count
    horizon = min(lags + 1, count // 2)
    correction = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    statistic = float(difference.mean() / math.sqrt(variance / count) * math.sqrt(correction))
    return statistic, float(2 * stats.t.sf(abs(statistic), count - 1))


def compare_with_baselines(
    windows: Mapping[str, Tensor], baselines: Mapping[str, Baseline], stage: str, spec: SeriesSpec
) -> tuple[dict[str, Any], list[Block]]:
    """Test the model against each baseline on the windows that both forecast. The loss of a window is its MASE.

    The losses of all series at the same time are averaged before the test, because they are not independent.

    Returns:
        Entries of results.json (`summary`, a sentence about the best baseline, and `tests` by name), and blocks of the
        report.
    """
    tests: dict[str, dict[str, float | int]] = {}
    for name, baseline in baselines.items():
        scored: Mapping[str, Tensor] = getattr(baseline, "windows", {})
        if scored:
            tests[name] = _test(windows, scored, spec)
    if not tests:
        return {}, []
    best = min(tests, key=lambda name: tests[name]["baseline"] / tests[name]["model"])
    verdict = _verdict(best, tests[best], "test" if stage == "test" else "validation", spec.horizon)
    columns = ("baseline", "windows", "its MASE", "this model's", "Diebold-Mariano", "p (two-sided)")
    keys = ("windows", "baseline", "model", "statistic", "p")
    rows = [(name, *(found[key] for key in keys)) for name, found in tests.items()]
    blocks: list[Block] = [
        TextBlock("Verdict", verdict),
        TableBlock(
            "Comparison with the baselines",
            columns,
            rows,
            caption="On the windows that the baseline forecast. If the statistic is negative, the model is better.",
        ),
    ]
    plain = {name: {key: _plain(value) for key, value in found.items()} for name, found in tests.items()}
    return {"summary": verdict, "best_baseline": best, "tests": plain}, blocks


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has no NaN


def _test(windows: Mapping[str, Tensor], scored: Mapping[str, Tensor], spec: SeriesSpec) -> dict[str, float | int]:
    """Compare the losses of the windows that both have."""
    _, mine, theirs = np.intersect1d(windows["index"].numpy(), scored["index"].numpy(), return_indices=True)
    model, baseline = windows["loss"].numpy()[mine], scored["loss"].numpy()[theirs]
    known = np.isfinite(model) & np.isfinite(baseline)
    model, baseline = model[known], baseline[known]
    times, place = np.unique(windows["time"].numpy()[mine][known], return_inverse=True)
    difference = np.bincount(place, model - baseline) / np.bincount(place)
    between = np.median(np.diff(times)) if len(times) > 1 else spec.step_seconds
    lags = math.ceil((spec.horizon - 1) * spec.step_seconds / between - 1e-6)
    statistic, p = diebold_mariano(difference, lags)
    return {
        "windows": len(model),
        "origins": len(times),
        "spans": len(times) / (lags + 1),
        "model": float(model.mean()) if len(model) else math.nan,
        "baseline": float(baseline.mean()) if len(model) else math.nan,
        "statistic": statistic,
        "p": p,
    }


def _verdict(name: str, found: Mapping[str, float | int], split: str, horizon: int) -> str:
    model, baseline, p = found["model"], found["baseline"], found["p"]
    change = abs(1 - model / baseline)
    how = "lower" if model < baseline else "higher"
    numbers = (
        f"On {found['windows']:,} windows of the {split} part, the error of the model (MASE {model:.4f}) is "
        f"{change:.1%} {how} than that of the best baseline, {name.replace('_', ' ')} ({baseline:.4f})"
    )
    test = f"Diebold-Mariano test: p = {p:.3f}" if p >= 0.001 else "Diebold-Mariano test: p < 0.001"
    if found["spans"] < FEWEST:
        return f"{numbers}. These windows span fewer than {FEWEST} horizons, which is too few for a significance test."
    if p >= SIGNIFICANT:
        return f"{numbers}. The difference is not significant ({test}): the model is not shown to be better or worse."
    return (
        f"{numbers}. The difference is significant ({test}): the model is {'better' if model < baseline else 'worse'}."
    )


def trading(windows: Mapping[str, Tensor], spec: SeriesSpec) -> tuple[dict[str, Any], list[Block]]:
    """Simulate trading on forecasts of log returns.

    At each step the strategy holds every series whose forecast for the next step is positive and is short in every
    series whose forecast is negative, all with equal weights. Each change of a position costs `COST` of the traded
    value. Financing, taxes and the effect of the orders on the price are ignored.

    Args:
        windows: see `by_name`; the targets are log returns.
        spec: of the data.

    Returns:
        Entries of results.json: `trading` (mean return per year after costs, its 5 % and 95 % quantiles from a block
        bootstrap (Kunsch, 1989), and the mean return per year of holding all series), and `summary`. Blocks of the
        report.
    """
    times = np.unique(windows["time"].numpy())
    place = {time: number for number, time in enumerate(times)}
    series = np.unique(windows["series"].numpy(), return_inverse=True)[1]
    rows = np.array([place[time] for time in windows["time"].numpy()])
    targets = windows["first_target"].shape[1]
    positions = np.zeros((len(times), int(series.max()) + 1, targets))
    returns = np.full_like(positions, np.nan)
    positions[rows, series] = np.sign(windows["first_prediction"].numpy())
    returns[rows, series] = np.expm1(windows["first_target"].numpy())
    known = np.isfinite(returns)
    held = np.where(known, positions, 0.0)
    traded = np.abs(np.diff(held, axis=0, prepend=0.0))
    count = known.sum((1, 2)).clip(min=1)
    gains = (np.where(known, held * returns, 0.0) - COST * traded).sum((1, 2)) / count
    holding = np.where(known, returns, 0.0).sum((1, 2)) / count
    year = YEAR / spec.step_seconds * (5 / 7 if spec.frequency == "D" and spec.step_seconds == 86400 else 1)
    mean, low, high = gains.mean() * year, *(_bootstrap(gains) * year)
    found = {"return": mean, "low": low, "high": high, "holding": holding.mean() * year, "cost": COST}
    text = (
        f"Trading on the sign of the next forecast would have earned {mean:.1%} a year after costs of {COST:.1%} of "
        f"each trade; 90 % of {SAMPLES:,} resampled histories earn between {low:.1%} and {high:.1%}. "
        f"Holding all series would have earned {found['holding']:.1%} a year. "
        + ("That is not distinguishable from 0." if low < 0 < high else "")
    )
    figure = equity_figure(times, gains, holding)
    caption = "Sum of the returns, long or short by the sign of the forecast, equal weights, after costs."
    blocks: list[Block] = [TextBlock("Trading on the forecasts", text.strip())]
    blocks.append(FigureBlock("Returns of trading", figure, caption=caption))
    summary = (
        f"Trading on the forecasts would have earned {mean:.1%} a year after costs (90 % interval: {low:.1%} to "
        f"{high:.1%}), and holding {found['holding']:.1%}."
    )
    return {"trading": {name: round(float(value), 6) for name, value in found.items()}, "summary": summary}, blocks


def _bootstrap(gains: Values) -> Values:
    """Return the 5 % and 95 % quantiles of the mean of resampled blocks."""
    generator = np.random.default_rng(0)
    length = min(BLOCK, len(gains))
    blocks = math.ceil(len(gains) / length)
    starts = generator.integers(0, len(gains) - length + 1, (SAMPLES, blocks))
    means = gains[starts[..., None] + np.arange(length)].reshape(SAMPLES, -1)[:, : len(gains)].mean(1)
    found: Values = np.quantile(means, [0.05, 0.95])
    return found
