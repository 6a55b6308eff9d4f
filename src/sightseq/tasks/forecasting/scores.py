"""Errors of forecasts and their metrics. The same functions score networks and baselines."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from sightseq.core.loading import Batch

WINDOW_COLUMNS = ("index", "time", "series", "loss")


def point_errors(prediction: Tensor, target: Tensor, last: Tensor, std: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """Return the errors of a point forecast, element by element; NaN where the target is NaN.

    Args:
        prediction: [B, H, C], in the units of the data.
        target: [B, H, C]; NaN where the value is missing or the row is padding.
        last: reference of the direction: the last value before the origin, 0 for log returns, [B, 1, C].
        std: standard deviation of each target over the training part, [C].
        scale: mean absolute error of the seasonal naive forecast over the training part, [B, C].

    Returns:
        Each [B, H, C]: `squared` and `absolute`, on the scale of the standardised training part; `scaled`, the
        absolute error divided by `scale`, whose mean is MASE (Hyndman and Koehler, 2006); `symmetric`, 2 |y - f| /
        (|y| + |f|), whose mean is sMAPE as in M4; `direction`, 1 where the forecast is on the same side of `last` as
        the target, 0 on the other side, 0.5 where the forecast equals `last`, NaN where the target equals `last`.
    """
    error = prediction - target
    up, rose = (prediction - last).sign(), (target - last).sign()
    total = prediction.abs() + target.abs()
    return {
        "squared": (error / std).square(),
        "absolute": (error / std).abs(),
        "scaled": error.abs() / scale[:, None],
        "symmetric": torch.where(total == 0, total, 2 * error.abs() / total),
        "direction": torch.where(rose == 0, torch.nan, (1 + up * rose) / 2),
    }


def close_errors(prediction: Tensor, target: Tensor, level: Tensor) -> Tensor:
    """Return the absolute errors of prices, relative to the true price.

    Args:
        prediction: log returns [B, H, C].
        target: true log returns [B, H, C].
        level: last price before the origin, [B, C].
    """
    prices, truth = (level[:, None] * values.cumsum(1).exp() for values in (prediction, target))
    return (prices - truth).abs() / truth.abs()


def pinball(error: Tensor, quantiles: Tensor) -> Tensor:
    """Return twice the quantile loss (Koenker and Bassett, 1978); at level 0.5 it is the absolute error.

    Args:
        error: target minus forecast [..., Q].
        quantiles: their levels [Q].
    """
    return 2 * torch.maximum(quantiles * error, (quantiles - 1) * error)


def window_losses(scaled: Tensor) -> Tensor:
    """Return the mean scaled error of each window [B] from [B, H, C]; NaN where all targets are missing."""
    return scaled.flatten(1).nanmean(1)


def window_values(batch: Batch, values: Mapping[str, Tensor], lookback: int) -> dict[str, Tensor]:
    """Return what `Windows` reads and, for log returns, the errors of the forecast close and of the last price.

    Args:
        batch: as data modules make it; it has a `level` if all targets are log returns.
        values: `prediction`, `target` and `scaled`, [B, H, C].
        lookback: steps of the input.
    """
    target = values["target"]
    found = {
        "index": batch["index"],
        "time": batch["time"][:, lookback],
        "series": batch["series"],
        "loss": window_losses(values["scaled"]),
        "first_prediction": values["prediction"][:, 0],
        "first_target": target[:, 0],
    }
    if "level" in batch:
        found["close"] = close_errors(values["prediction"], target, batch["level"])
        found["last_price"] = close_errors(torch.zeros_like(target), target, batch["level"])
    return found


class FiniteMean(Metric):
    """The mean of all finite elements. Reads one tensor [...]."""

    full_state_update = False
    higher_is_better = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, values: Tensor) -> None:
        self.total += values.detach().nan_to_num(0.0).sum()
        self.count += values.isfinite().sum()

    def compute(self) -> Tensor:
        return self.total / self.count


class FiniteShare(FiniteMean):
    """Like `FiniteMean`, but higher is better."""

    higher_is_better = True


class Coverage(FiniteShare):
    """Fraction of targets [B, H, C] that lie between the lowest and the highest of the quantiles [B, H, C, Q]."""

    def update(self, quantiles: Tensor, target: Tensor) -> None:  # type: ignore[override]  # other inputs
        inside = (quantiles[..., 0] <= target) & (target <= quantiles[..., -1])
        super().update(torch.where(target.isfinite(), inside.float(), torch.nan))


class Width(FiniteMean):
    """Mean distance between the lowest and the highest of the quantiles [B, H, C, Q], divided by `scale` [B, C]."""

    def update(self, quantiles: Tensor, target: Tensor, scale: Tensor) -> None:  # type: ignore[override]  # other inputs
        width = (quantiles[..., -1] - quantiles[..., 0]) / scale[:, None]
        super().update(torch.where(target.isfinite(), width, torch.nan))


class WeightedQuantileLoss(Metric):
    """Twice the quantile loss, summed over all targets and averaged over the quantiles, divided by the sum of the
    absolute targets (Gasthaus et al., 2019; the mean wQL of GluonTS). Reads `quantiles` [B, H, C, Q] and `target`.

    Args:
        levels: of the quantiles.
    """

    full_state_update = False
    higher_is_better = False
    total: Tensor
    weight: Tensor
    levels: Tensor

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("weight", torch.tensor(0.0), dist_reduce_fx="sum")
        self.register_buffer("levels", torch.tensor(list(levels)), persistent=False)

    def update(self, quantiles: Tensor, target: Tensor) -> None:
        self.total += pinball(target[..., None] - quantiles, self.levels).mean(-1).nan_to_num(0.0).sum()
        self.weight += target.abs().nan_to_num(0.0).sum()

    def compute(self) -> Tensor:
        return self.total / self.weight


class StepMeans(Metric):
    """The mean of the finite elements for each step of the horizon, [H]. Reads values [B, H, C]."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(horizon), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(horizon), dist_reduce_fx="sum")

    def update(self, values: Tensor) -> None:
        self.total += values.nan_to_num(0.0).sum((0, 2))
        self.count += values.isfinite().sum((0, 2))

    def compute(self) -> Tensor:
        return self.total / self.count


class ShareBelow(Metric):
    """Fraction of targets at or below each quantile, [Q]. Reads `quantiles` [B, H, C, Q] and `target`.

    Args:
        count: Q.
    """

    full_state_update = False
    below: Tensor
    total: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.add_state("below", torch.zeros(count), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, quantiles: Tensor, target: Tensor) -> None:
        self.below += (target[..., None] <= quantiles).flatten(0, 2).sum(0)
        self.total += target.isfinite().sum()

    def compute(self) -> Tensor:
        return self.below / self.total


class Windows(Metric):
    """One row of float64 for each window: the `WINDOW_COLUMNS`, then the forecast and the target of the first step [C].

    Reads tensors [B] or [B, C] by the names in `READS`; rows with a negative index are left out.
    """

    full_state_update = False
    READS = (*WINDOW_COLUMNS, "first_prediction", "first_target")
    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, index: Tensor, *columns: Tensor) -> None:
        found = [column.flatten(1) if column.ndim > 1 else column[:, None] for column in (index, *columns)]
        found = [column.cpu() if column.device.type == "mps" else column for column in found]  # MPS has no float64
        self.rows.append(torch.cat([column.double() for column in found], dim=1)[index.cpu() >= 0])

    def compute(self) -> Tensor:
        found: Tensor = dim_zero_cat(self.rows)
        return found


def by_name(rows: Tensor) -> Mapping[str, Tensor]:
    """Return what `Windows` computes by name, sorted by index: [N] each, `first_prediction` and `first_target` [N, C].

    Windows that were read twice, as in distributed runs, are returned once.
    """
    rows = rows.cpu()
    _, first = torch.unique(rows[:, 0], return_inverse=True)
    keep = torch.full((int(first.max()) + 1,), len(rows)).scatter_reduce(0, first, torch.arange(len(rows)), "amin")
    rows = rows[keep]
    found = {name: rows[:, place] for place, name in enumerate(WINDOW_COLUMNS)}
    values = rows[:, len(WINDOW_COLUMNS) :]
    half = values.shape[1] // 2
    return {**found, "first_prediction": values[:, :half], "first_target": values[:, half:]}
