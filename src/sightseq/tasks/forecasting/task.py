"""Learning problem: forecast the next steps of time series, as a point forecast and as quantiles."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from sightseq.core.baseline import Baseline
from sightseq.core.blocks import Block
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.reservoir import Reservoir
from sightseq.core.scores import Output, Score
from sightseq.core.task import Task
from sightseq.nets.normalisation import WindowNormalisation
from sightseq.series.spec import SeriesSpec
from sightseq.tasks.forecasting import scores as metrics
from sightseq.tasks.forecasting.calibration import conformal_offsets, spread
from sightseq.tasks.forecasting.comparison import compare_with_baselines, trading
from sightseq.tasks.forecasting.example import example
from sightseq.tasks.forecasting.figures import labels, report_blocks, windows_figure

if TYPE_CHECKING:
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

SHOWN = 6  # windows in the report
CALIBRATED = 1000  # maximum number of validation windows that calibrate the quantiles


class ForecastingTask(Task):
    """Forecasts of the next H steps of C targets.

    The model standardises its inputs with the mean and standard deviation of the training part, normalises each window,
    and converts the forecast back to the units of the data. The loss is in standard deviations of the training part.
    With several series, the errors of each are divided by the ratio of its own `scale` to the pooled one, so that large
    series do not outweigh small ones. Missing targets are not counted.

    Quantiles: with the losses "mse" and "mae" the network returns a point forecast, and the quantiles are this forecast
    plus the quantiles of its validation errors. With "pinball" the network returns quantiles, which are shifted until
    the right fraction of validation targets lies below each: see `conformal_offsets`. Both corrections are computed for
    each step and target, in units of the normalised window. The middle quantile, the median, is the point forecast.

    Args:
        loss: "mse", "mae", or "pinball" (Koenker and Bassett, 1978), averaged over the quantiles.
        quantiles: levels in ascending order, 0.5 in the middle; coverage and width are those of the interval from the
            first to the last.
        normalisation: normalisation of a window; see `WindowNormalisation`.
        task: see `Task`. The network maps normalised inputs [B, L, C + P] and known covariates [B, L + H, K] to
            [B, H, C, Q]. Its `__init__` may take `num_targets`, `num_inputs`, `num_known`, `lookback`, `horizon`,
            `season` and `num_outputs` (Q).
    """

    net_kind: ClassVar[str] = "forecasting"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows"})
    headline: ClassVar[str] = "mase"
    columns: ClassVar[tuple[str, ...]] = ("mase", "mse", "mae", "coverage")
    spec: SeriesSpec
    mean: Tensor
    std: Tensor
    known_mean: Tensor
    known_std: Tensor
    levels: Tensor
    offsets: Tensor

    def __init__(
        self,
        *,
        loss: Literal["mse", "mae", "pinball"] = "mse",
        quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
        normalisation: Literal["window", "last", "none"] = "last",
        **task: Any,
    ) -> None:
        self.quantiles = tuple(quantiles)
        ascending = list(self.quantiles) == sorted({q for q in self.quantiles if 0 < q < 1})
        if not ascending or len(self.quantiles) % 2 == 0 or self.quantiles[len(self.quantiles) // 2] != 0.5:
            given = ", ".join(map(str, quantiles))
            raise ConfigError(f"model.quantiles=[{given}]: give ascending levels between 0 and 1, 0.5 in the middle")
        if loss == "pinball":
            task["net"] = {**task["net"], "num_outputs": len(self.quantiles)}
        super().__init__(**task)
        self.loss, self.normalise = loss, WindowNormalisation(normalisation)
        spec = self.spec
        for name in ("mean", "std", "known_mean", "known_std"):
            self.register_buffer(name, torch.tensor(getattr(spec, name), dtype=torch.float32), persistent=False)
        self.register_buffer("levels", torch.tensor(self.quantiles), persistent=False)
        self.register_buffer("offsets", torch.zeros(spec.horizon, len(spec.targets), len(self.quantiles)))
        self._residuals, self._shown = Reservoir(CALIBRATED), Reservoir(SHOWN)

    @classmethod
    def example(cls) -> tuple[SeriesSpec, Batch]:
        """Return six generated windows: two targets, one past and two known covariates; one target value is missing."""
        return example()

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return the predictor from tables to forecasts."""
        from sightseq.tasks.forecasting.predict import ForecastingPredictor

        return ForecastingPredictor

    @classmethod
    def graph(cls) -> "type[Graph]":
        """Return the graph from windows in the units of the data to quantiles."""
        from sightseq.tasks.forecasting.graph import ForecastingGraph

        return ForecastingGraph

    def plain(self) -> nn.Module:
        """Return `Forecaster`."""
        from sightseq.tasks.forecasting.plain import Forecaster

        spec, normalise = self.spec, WindowNormalisation(self.normalise.kind)
        known = (spec.known_mean, spec.known_std)
        return Forecaster(self.net, normalise, spec.mean, spec.std, *known, spec.scale, self.loss, self.quantiles)

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return MASE, and MSE and MAE on the scale of the standardised training part.

        Validation and test also have sMAPE, the fraction of right directions and, for log returns, the error of the
        close and that of the last price as a forecast. The test also has scores of the quantiles, which are calibrated
        on validation.
        """
        found = {
            "mase": Score(metrics.FiniteMean(), "MASE", ("scaled",)),
            "mse": Score(metrics.FiniteMean(), "MSE", ("squared",)),
            "mae": Score(metrics.FiniteMean(), "MAE", ("absolute",)),
        }
        if stage == "train":
            return found
        found |= {
            "smape": Score(metrics.FiniteMean(), "sMAPE", ("symmetric",), percent=True),
            "direction": Score(metrics.FiniteShare(), "right direction", ("direction",), percent=True),
            "steps": Score(metrics.StepMeans(self.spec.horizon), None, ("scaled",)),
            "windows": Score(metrics.Windows(), None, metrics.Windows.READS),
        }
        if self.of_returns:
            found["close_mape"] = Score(metrics.FiniteMean(), "MAPE of the close", ("close",), percent=True)
            found["last_price_mape"] = Score(metrics.FiniteMean(), "of the last price", ("last_price",), percent=True)
        if stage == "test":
            share = f"{100 * (self.quantiles[-1] - self.quantiles[0]):.0f} %"
            reads = ("quantiles", "target")
            found |= {
                "wql": Score(metrics.WeightedQuantileLoss(self.quantiles), "weighted quantile loss", reads),
                "coverage": Score(metrics.Coverage(), f"coverage of {share}", reads, percent=True),
                "width": Score(metrics.Width(), f"width of {share}, in MASE", (*reads, "scale")),
                "below": Score(metrics.ShareBelow(len(self.quantiles)), None, reads),
            }
        return found

    @property
    def of_returns(self) -> bool:
        """Whether all targets are log returns of prices, so that batches have the `level` of the price."""
        return set(self.spec.targets) <= set(self.spec.log_returns)

    def forward(self, inputs: Tensor, known: Tensor) -> Tensor:
        """Return quantiles [B, H, C, Q] in the units of the data.

        Args:
            inputs: targets and past covariates in their own units [B, L, C + P].
            known: known covariates in their own units [B, L + H, K].
        """
        found, shift, scale = self._normalised(inputs, known)
        quantiles = spread(found + self.offsets)
        return quantiles * scale + shift

    def _normalised(self, inputs: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the network output [B, H, C, q] in units of the normalised window, and the shift and the scale
        [B, 1, C, 1] that convert it to the units of the data.
        """
        normalised, shift, scale = self.normalise((inputs - self.mean) / self.std)
        found: Tensor = self.net(normalised, (known - self.known_mean) / self.known_std).float()
        targets = len(self.spec.targets)
        scale = scale * self.std
        shift = (shift * self.std + self.mean)[..., :targets, None]
        return found, shift, scale[..., :targets, None]

    def step(self, batch: Batch, stage: str) -> Output:
        """Return the sum of the loss over all known targets, their number, and the inputs of `scores`.

        `values` has `prediction` [B, H, C] in the units of the data, the errors of `point_errors`, `target` [B, H, C]
        (NaN where it is not counted) and `scale` [B, C]; in validation and test also `quantiles` [B, H, C, Q], the
        inputs of `Windows`, and `residual` [B, H, C, q] for the calibration.
        """
        real = (batch["index"] != PAD_INDEX)[:, None, None]
        target = torch.where(real, batch["target"], torch.nan)
        counted = target.isfinite()
        found, shift, scale = self._normalised(batch["input"], batch["known"])
        truth = torch.where(counted, target, shift[..., 0])[..., None]
        unit = self.std[: len(self.spec.targets)] * batch["scale"] / batch["scale"].new_tensor(self.spec.scale)
        error = (truth - (found * scale + shift)) / unit[:, None, :, None]
        loss = (self._loss(error) * counted).sum()
        values = self._values(batch, found * scale + shift, target)
        if stage != "train":
            residual = torch.where(counted[..., None], (truth - shift) / scale - found, torch.nan)
            quantiles = spread(found + self.offsets) * scale + shift
            values |= {
                "quantiles": quantiles,
                "residual": residual,
                **metrics.window_values(batch, values, self.spec.lookback),
            }
        return Output(loss, counted.sum(), values)

    def _loss(self, error: Tensor) -> Tensor:
        """Return the loss [B, H, C] of errors [B, H, C, q]."""
        if self.loss == "pinball":
            return metrics.pinball(error, self.levels).mean(-1)
        return error[..., 0].square() if self.loss == "mse" else error[..., 0].abs()

    def _values(self, batch: Batch, found: Tensor, target: Tensor) -> dict[str, Tensor]:
        prediction = found.detach()[..., found.shape[-1] // 2]
        targets = len(self.spec.targets)
        last = batch["input"][:, -1:, :targets]
        returns = torch.tensor([name in self.spec.log_returns for name in self.spec.targets], device=last.device)
        last = torch.where(returns, 0.0, last)
        errors = metrics.point_errors(prediction, target, last, self.std[:targets], batch["scale"])
        return {"prediction": prediction, "target": target, "scale": batch["scale"], **errors}

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """Return quantiles [B, H, C, Q] in the units of the data."""
        found: Tensor = self(batch["input"], batch["known"])
        return found

    # Calibration runs in every validation, so that each checkpoint has the offsets of its own weights.

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the metrics and keep some residuals for the calibration."""
        output = self._scored(batch, "val")
        self._residuals.add(_random_key(batch["index"]), {"residual": output.values["residual"]})
        if self.trainer.state.fn == "validate":
            self.collect_examples(batch, output)

    def on_validation_epoch_start(self) -> None:
        """Discard the residuals of the last validation."""
        super().on_validation_epoch_start()
        self._residuals.clear()

    def on_validation_epoch_end(self) -> None:
        """Log the metrics and set the offsets of the quantiles."""
        super().on_validation_epoch_end()
        if rows := self._residuals.rows():
            self.offsets.copy_(conformal_offsets(rows["residual"], self.quantiles))
        self._residuals.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the offsets of the last validation, also if a callback saves averaged weights."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["state_dict"]["offsets"] = self.offsets.clone()

    # The report.

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Keep a few random windows."""
        names = ("quantiles", "target", "prediction")
        rows = {name: output.values[name] for name in names} | {name: batch[name] for name in ("input", "time")}
        self._shown.add(_random_key(batch["index"]), rows | {"index": batch["index"]})

    def reset_examples(self) -> None:
        """Discard the kept windows."""
        self._shown.clear()

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot windows with their targets, one target each."""
        rows = {name: batch[name][:SHOWN].cpu() for name in ("input", "target", "time")}
        return windows_figure(rows, labels(self.spec), self.spec.lookback)

    def blocks(self, stage: str) -> list[Block]:
        """Return figures: forecasts, error by horizon, autocorrelation of the errors, calibration."""
        found = self._computed(stage)
        return report_blocks(self._shown.rows(), found, self.spec, self.quantiles)

    def details(self, stage: str) -> dict[str, Any]:
        """Return MASE for each step of the horizon, and the fraction of targets below each quantile."""
        found = self._computed(stage)
        details: dict[str, Any] = {"mase_by_step": [round(value, 5) for value in found["steps"].flatten().tolist()]}
        if "below" in found:
            shares = [round(value, 5) for value in found["below"].flatten().tolist()]
            details["share_below"] = dict(zip(map(str, self.quantiles), shares, strict=True))
        return details

    def compare(self, baselines: Mapping[str, Baseline], stage: str) -> tuple[dict[str, Any], list[Block]]:
        """Return the Diebold-Mariano test against each baseline and, for log returns, the result of trading."""
        windows = metrics.by_name(self._computed(stage)["windows"])
        details, blocks = compare_with_baselines(windows, baselines, stage, self.spec)
        if self.of_returns:
            more, trades = trading(windows, self.spec)
            summary = f"{details.get('summary', '')} {more['summary']}".strip()
            details, blocks = {**details, **more, "summary": summary}, blocks + trades
        return details, blocks

    def _computed(self, stage: str) -> dict[str, Tensor]:
        found = self.scoreboard.metrics(stage)
        return {name: found[name].compute() for name in ("steps", "windows", "below") if name in found}


def _random_key(index: Tensor) -> Tensor:
    """Return a hash of the index: it looks random but is the same in every run; -1 for padding rows."""
    return torch.where(index == PAD_INDEX, -1.0, (index * 2654435761 % 2**32).float())
