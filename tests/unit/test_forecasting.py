"""Forecasting: losses, scores and tests of significance by hand or from a second library; calibration; look-ahead."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from statsmodels.tsa.stattools import acf

import sightseq
from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.checkpoint import load_task
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.task import Task
from sightseq.data.series.windows import WindowDataset, find_origins
from sightseq.nets.forecasting import DLinear, NLinear, Recurrent, SegRNN
from sightseq.nets.normalisation import WindowNormalisation
from sightseq.series.spec import SeriesSpec
from sightseq.tasks.forecasting import scores
from sightseq.tasks.forecasting.baseline import Drift, Forecaster, LastValue, SeasonalNaive
from sightseq.tasks.forecasting.calibration import conformal_offsets, spread
from sightseq.tasks.forecasting.comparison import COST, compare_with_baselines, diebold_mariano, trading
from sightseq.tasks.forecasting.figures import autocorrelation
from sightseq.tasks.forecasting.statistical import ARIMA, ExponentialSmoothing, Statistical, Theta
from sightseq.tasks.forecasting.task import ForecastingTask

NETS = {
    "direct": {"_target_": "sightseq.nets.forecasting.Recurrent", "hidden": [8]},
    "steps": {"_target_": "sightseq.nets.forecasting.Recurrent", "hidden": [8, 8], "cell": "gru", "decoder": "steps"},
    "segrnn": {"_target_": "sightseq.nets.forecasting.SegRNN", "segment": 5, "width": 8},
    "dlinear": {"_target_": "sightseq.nets.forecasting.DLinear", "individual": True},
    "nlinear": {"_target_": "sightseq.nets.forecasting.NLinear"},
}


def make(net: str = "nlinear", spec: SeriesSpec | None = None, **arguments: Any) -> tuple[ForecastingTask, Batch]:
    own, batch = ForecastingTask.example()
    torch.manual_seed(0)
    return ForecastingTask(spec=(spec or own).to_dict(), net=NETS[net], **arguments).eval(), batch


def spec_of(**values: Any) -> SeriesSpec:
    base: dict[str, Any] = {
        "targets": ("y",),
        "past": (),
        "known": (),
        "lookback": 6,
        "horizon": 3,
        "season": 4,
        "frequency": "D",
        "step_seconds": 86400.0,
        "mean": (0.0,),
        "std": (2.0,),
        "known_mean": (),
        "known_std": (),
        "scale": (0.5,),
    }
    return SeriesSpec(**base | values)


def windows_of(values: np.ndarray, spec: SeriesSpec, level: np.ndarray | None = None) -> WindowDataset:
    """All windows of one series [T]."""
    column = values.astype(np.float32)[:, None]
    ends = np.array([len(values)])
    arrays = {
        "values": column,
        "target": column,
        "known": np.zeros((len(values), 0), np.float32),
        "time": np.arange(len(values)) * int(spec.step_seconds),
        "ends": ends,
        "scale": np.array([spec.scale], np.float32),
    }
    if level is not None:
        arrays["level"] = level.astype(np.float32)[:, None]
    return WindowDataset(arrays, find_origins(ends, spec.lookback, spec.horizon), spec.lookback, spec.horizon)


# Networks


@pytest.mark.parametrize("outputs", [1, 3])
def test_shapes_of_all_networks(outputs: int) -> None:
    inputs, known = torch.randn(4, 24, 3), torch.randn(4, 31, 2)
    sizes = {"num_targets": 2, "num_inputs": 3, "num_known": 2, "horizon": 7, "num_outputs": outputs}
    linear = {"num_targets": 2, "lookback": 24, "horizon": 7, "num_outputs": outputs}
    for net in (
        Recurrent(**sizes, hidden=[5, 6]),
        Recurrent(**sizes, hidden=[5, 6], cell="gru", decoder="steps"),
        SegRNN(**linear, segment=5, width=8),
        DLinear(**linear),
        DLinear(**linear, individual=True),
        NLinear(**linear, individual=True),
    ):
        assert net(inputs, known).shape == (4, 7, 2, outputs)


def test_the_course_network_is_that_of_the_course() -> None:
    config = compose("model=forecasting", "model/net=forecasting/lstm_course")["model"]["net"]
    net = build(config, torch.nn.Module, "net", num_targets=1, num_inputs=1, num_known=0, horizon=1)
    found = {name: tuple(p.shape) for name, p in net.named_parameters() if "weight" in name}
    assert found == {
        "encoder.0.weight_ih_l0": (200, 1),
        "encoder.0.weight_hh_l0": (200, 50),
        "encoder.1.weight_ih_l0": (200, 50),
        "encoder.1.weight_hh_l0": (200, 50),
        "head.weight": (1, 50),
    }


def test_a_step_by_step_decoder_reads_its_own_forecasts() -> None:
    """With weights that copy the forecast of the step before, all steps are the last value plus a bias each."""
    net = Recurrent(1, 1, 0, 4, hidden=[3], decoder="steps").eval()
    inputs, known = torch.randn(2, 5, 1), torch.zeros(2, 9, 0)
    _, state = net._run(net.encoder, inputs, None)
    last, steps = inputs[:, -1:], []
    for _ in range(4):
        read, state = net._run(net.decoder, last, state)
        last = net.head(read)
        steps.append(last)
    torch.testing.assert_close(net(inputs, known)[..., 0], torch.cat(steps, 1))


def test_linear_models_by_hand() -> None:
    series = torch.randn(2, 9, 1)
    net = NLinear(1, 9, 2)
    last = series[:, -1:]
    weight, bias = net.linear.weight[0], net.linear.bias[0]
    torch.testing.assert_close(
        net(series, series)[..., 0], ((series - last)[..., 0] @ weight.T + bias)[..., None] + last
    )
    net = DLinear(1, 9, 2, kernel=3)
    padded = torch.cat([series[:, :1], series, series[:, -1:]], 1)[..., 0]
    trend = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
    by_hand = trend @ net.trend.weight[0].T + net.trend.bias[0]
    by_hand = by_hand + (series[..., 0] - trend) @ net.rest.weight[0].T + net.rest.bias[0]
    torch.testing.assert_close(net(series, series)[..., 0, 0], by_hand)


def test_segrnn_leaves_out_the_first_steps_and_cuts_the_last_segment() -> None:
    net = SegRNN(1, 11, 7, segment=4, width=6, dropout=0.0)
    series, known = torch.randn(3, 11, 1), torch.zeros(3, 18, 0)
    changed = series.clone()
    changed[:, :3] += 1
    torch.testing.assert_close(net(series, known), net(changed, known))
    changed[:, 3] += 1
    assert not torch.allclose(net(series, known), net(changed, known))


@pytest.mark.parametrize("wrong", [{"hidden": []}, {"hidden": [4], "decoder": "both"}])
def test_wrong_arguments_of_a_network_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        build({**NETS["direct"], **wrong}, torch.nn.Module, "net", num_targets=1, num_inputs=1, num_known=0, horizon=1)
    with pytest.raises(ValueError, match="even"):
        SegRNN(1, 8, 2, width=7)
    with pytest.raises(ValueError, match="odd"):
        DLinear(1, 8, 2, kernel=4)


@pytest.mark.parametrize("kind", ["window", "last", "none"])
def test_normalisation_is_reversed(kind: Any) -> None:
    inputs = 50 + 3 * torch.randn(4, 20, 2)
    normalised, shift, scale = WindowNormalisation(kind)(inputs)
    torch.testing.assert_close(normalised * scale + shift, inputs)
    if kind == "window":
        torch.testing.assert_close(normalised.mean(1), torch.zeros(4, 2), atol=1e-5, rtol=0)
        torch.testing.assert_close(normalised.std(1, correction=0), torch.ones(4, 2), atol=1e-4, rtol=0)
    constant, _, _ = WindowNormalisation(kind)(torch.full((1, 5, 1), 7.0))
    assert constant.isfinite().all()


# No look-ahead


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("normalisation", ["window", "last", "none"])
def test_nothing_after_the_origin_but_known_covariates_changes_a_forecast(net: str, normalisation: Any) -> None:
    task, batch = make(net, normalisation=normalisation)
    future = batch | {"target": batch["target"] * -3 + 100, "scale": batch["scale"] * 9, "series": batch["series"] + 5}
    future["time"] = batch["time"] + 12345
    with torch.no_grad():
        found, changed = (task.step(one, "test").values for one in (batch, future))
    for name in ("prediction", "quantiles"):
        assert torch.equal(found[name], changed[name])


# Loss and scores


@pytest.mark.parametrize(("loss", "power"), [("mse", 2), ("mae", 1)])
def test_the_loss_is_in_standard_deviations_and_counts_known_targets_only(loss: Any, power: int) -> None:
    task, batch = make(loss=loss)
    batch["index"][5] = PAD_INDEX
    output = task.step(batch, "train")
    error = (batch["target"] - output.values["prediction"]) / torch.tensor(task.spec.std[:2])
    # Errors of the second series are divided by its own scale relative to that of all.
    error[3:, :, 0] /= 2.0
    expected = [float(e) ** power for e in error[:5].flatten().abs() if math.isfinite(e)]
    assert int(output.count) == len(expected) == 5 * 6 * 2 - 1
    assert output.loss_sum.item() == pytest.approx(sum(expected), rel=1e-5)


def test_pinball_is_that_of_scikit_learn() -> None:
    target, forecast = torch.randn(50), torch.randn(50)
    for level in (0.1, 0.5, 0.9):
        mine = scores.pinball((target - forecast)[:, None], torch.tensor([level])).mean()
        assert float(mine) == pytest.approx(2 * mean_pinball_loss(target, forecast, alpha=level), rel=1e-5)


def test_scores_by_hand() -> None:
    prediction = torch.tensor([[[2.0], [5.0], [3.0]]])
    target = torch.tensor([[[3.0], [1.0], [math.nan]]])
    last, std, scale = torch.tensor([[[2.0]]]), torch.tensor([2.0]), torch.tensor([[0.5]])
    found = scores.point_errors(prediction, target, last, std, scale)
    assert found["squared"].flatten()[:2].tolist() == [0.25, 4.0]
    assert found["absolute"].flatten()[:2].tolist() == [0.5, 2.0]
    assert found["scaled"].flatten()[:2].tolist() == [2.0, 8.0]
    assert found["symmetric"].flatten()[:2].tolist() == pytest.approx([2 / 5, 8 / 6])
    assert found["direction"].flatten()[:2].tolist() == [0.5, 0.0]
    assert all(math.isnan(values.flatten()[2]) for values in found.values())
    mean = scores.FiniteMean()
    mean.update(found["scaled"])
    assert float(mean.compute()) == 5.0


def test_quantile_scores_by_hand() -> None:
    quantiles = torch.tensor([[[[0.0, 1.0, 3.0]], [[2.0, 2.0, 2.5]]]])  # [1, 2, 1, 3]
    target = torch.tensor([[[2.0], [4.0]]])
    coverage, width, below = scores.Coverage(), scores.Width(), scores.ShareBelow(3)
    coverage.update(quantiles, target)
    width.update(quantiles, target, torch.tensor([[0.5]]))
    below.update(quantiles, target)
    assert float(coverage.compute()) == 0.5
    assert float(width.compute()) == (6 + 1) / 2
    assert below.compute().tolist() == [0.0, 0.0, 0.5]
    wql = scores.WeightedQuantileLoss([0.1, 0.5, 0.9])
    wql.update(quantiles, target)
    losses = [2 * 0.1 * 2, 2 * 0.5 * 1, 2 * 0.1 * 1, 2 * 0.1 * 2, 2 * 0.5 * 2, 2 * 0.9 * 1.5]
    assert float(wql.compute()) == pytest.approx(sum(losses) / 3 / 6)


def test_the_close_is_the_last_price_continued_by_the_returns() -> None:
    returns, truth = torch.tensor([[[0.1], [0.1]]]), torch.tensor([[[0.0], [math.log(2)]]])
    found = scores.close_errors(returns, truth, torch.tensor([[10.0]])).flatten()
    assert found.tolist() == pytest.approx([math.exp(0.1) - 1, 1 - math.exp(0.2) / 2])


def test_windows_read_twice_occur_once() -> None:
    metric = scores.Windows()
    one = torch.tensor([7, 3, PAD_INDEX])
    metric.update(one, one * 10, one * 0, one.float(), one[:, None].float(), -one[:, None].float())
    metric.update(one, one * 10, one * 0, one.float(), one[:, None].float(), -one[:, None].float())
    found = scores.by_name(metric.compute())
    assert found["index"].tolist() == [3, 7]
    assert found["time"].tolist() == [30, 70]
    assert found["first_target"].tolist() == [[-3.0], [-7.0]]


@pytest.mark.parametrize("quantiles", [[0.5, 0.1, 0.9], [0.1, 0.9], [0.1, 0.4, 0.9], [0.0, 0.5, 1.0], []])
def test_wrong_quantiles_are_refused(quantiles: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"model.quantiles=.*0.5 in the middle"):
        make(quantiles=quantiles)


# Calibration


def test_offsets_are_order_statistics() -> None:
    residuals = torch.arange(1.0, 20.0).flip(0).view(19, 1, 1, 1)  # 19 values: 0.05 * 20 = 1, 0.95 * 20 = 19
    assert conformal_offsets(residuals, (0.05, 0.25, 0.5, 0.75, 0.95)).flatten().tolist() == [1, 5, 0, 15, 19]
    residuals[3:] = math.nan
    assert conformal_offsets(residuals, (0.05, 0.5, 0.95)).flatten().tolist() == [17, 0, 19]
    assert conformal_offsets(residuals * math.nan, (0.1, 0.5, 0.9)).flatten().tolist() == [0, 0, 0]


def test_calibrated_intervals_cover_as_they_say() -> None:
    generator = torch.Generator().manual_seed(0)
    covered = []
    for _ in range(1000):
        errors = torch.randn(60, 1, 1, 1, generator=generator).exp()
        low, _, high = conformal_offsets(errors[:59], (0.1, 0.5, 0.9)).flatten().tolist()
        covered.append(low <= float(errors[59]) <= high)
    assert 0.77 < np.mean(covered) < 0.83


def test_quantiles_do_not_cross() -> None:
    found = spread(torch.tensor([3.0, 4.0, 2.0, 1.0, 5.0]))
    assert found.tolist() == [2.0, 2.0, 2.0, 2.0, 5.0]


@pytest.mark.parametrize("callbacks", ["default", "[default,ema]"])
def test_a_checkpoint_has_the_offsets_of_its_own_weights(callbacks: str, tmp_path: Path) -> None:
    config = sightseq.compose(
        "experiment=sunspots",
        "debug=synthetic",
        "trainer.max_epochs=2",
        "baseline=none",
        "precision=32",
        f"callbacks={callbacks}",
    )
    folder = Path(sightseq.train(config | {"run_test": True})["folder"])
    task = load_task(folder / "checkpoints" / "best.ckpt")
    assert isinstance(task, ForecastingTask)
    data = build(config["data"], sightseq.core.datamodule.DataModule, "data")
    data.prepare_data()
    dataset = data.dataset("val")
    with torch.no_grad():
        residual = task.step(dataset[torch.arange(len(dataset))], "val").values["residual"]
    torch.testing.assert_close(task.offsets, conformal_offsets(residual, task.quantiles), atol=2e-2, rtol=2e-2)
    assert task.offsets.abs().sum() > 0


# Baselines


def test_naive_forecasts_by_hand() -> None:
    spec = spec_of()
    history = np.array([1.0, 2, 3, 4, 5, 9])[None, :, None]
    batch = {"history": history}
    for cls, expected in ((LastValue, [9, 9, 9]), (SeasonalNaive, [3, 4, 5]), (Drift, [10.6, 12.2, 13.8])):
        baseline = cls()
        baseline.spec = spec
        np.testing.assert_allclose(baseline.predict(batch)[0, :, 0], expected)
    returns = spec_of(log_returns=("y",))
    for cls, expected in ((LastValue, [0, 0, 0]), (Drift, [4, 4, 4])):
        baseline = cls()
        baseline.spec = returns
        np.testing.assert_allclose(baseline.predict(batch)[0, :, 0], expected)


def test_a_season_longer_than_the_lookback_is_read_from_the_series() -> None:
    spec = spec_of(season=8)
    baseline = SeasonalNaive()
    baseline.spec = spec
    values = np.arange(20.0) ** 2
    batch = next(iter(baseline._batches(windows_of(values, spec))))
    found = baseline.predict(batch)[..., 0]
    assert found[0].tolist() == [25.0, 25.0, 0.0]  # origin 6: rows -2 and -1 are before the start
    assert found[5].tolist() == [9.0, 16.0, 25.0]  # origin 11


def test_baselines_are_scored_as_the_task_scores() -> None:
    spec = spec_of()
    data = windows_of(np.random.default_rng(0).normal(size=60).cumsum(), spec)
    baseline = LastValue()
    baseline.spec = spec
    found = baseline.score(baseline.read(data))
    batch = data[torch.arange(len(data))]
    task, _ = make(spec=spec, normalisation="last")
    for parameter in task.net.parameters():
        torch.nn.init.zeros_(parameter)  # the last value, again and again
    output = task.step(batch, "test")
    task.scoreboard.update("test", output)
    mine = task.scoreboard.compute("test")
    for name, value in found.items():
        assert float(mine[name]) == pytest.approx(value, rel=1e-5), name
    assert baseline.windows["index"].tolist() == batch["index"].tolist()
    np.testing.assert_allclose(baseline.windows["loss"], output.values["loss"], rtol=1e-5)


@pytest.mark.parametrize("cls", [ExponentialSmoothing, ARIMA, Theta])
def test_statistical_forecasts_follow_a_season_and_read_nothing_after_the_origin(cls: type[Statistical]) -> None:
    spec = spec_of(lookback=12, horizon=4, season=4)
    rng = np.random.default_rng(0)
    values = 10 + 3 * np.sin(2 * np.pi * np.arange(90) / 4) + 0.1 * rng.normal(size=90)
    baseline = cls(forecasts=5)
    baseline.spec = spec
    data = windows_of(values, spec)
    assert baseline.positions(data).tolist() == [0, 18, 37, 56, 74]
    found = baseline.score(baseline.read(data))
    last = LastValue()
    last.spec = spec
    assert found["mae"] < last.score(last.read(data))["mae"] / 2
    batch = next(iter(baseline._batches(data)))
    before = baseline.predict(batch)
    other = values.copy()
    other[batch["index"][1] :] = 500.0
    again = next(iter(baseline._batches(windows_of(other, spec))))
    baseline._fits = {}  # type: ignore[attr-defined]
    np.testing.assert_array_equal(baseline.predict(again)[:2], before[:2])


def test_a_constant_series_has_a_statistical_forecast() -> None:
    spec = spec_of()
    baseline = ExponentialSmoothing(forecasts=3)
    baseline.spec = spec
    assert baseline.predict({"history": np.full((1, 30, 1), 4.0), "series": np.array([0])}).tolist() == [[[4.0]] * 3]


# Significance


def test_diebold_mariano_by_hand() -> None:
    difference = np.array([1.0, -1.0, 2.0, 0.0, 3.0, 1.0])
    count, mean = 6, 1.0
    centred = difference - mean
    variance = (centred @ centred) / count
    statistic, p = diebold_mariano(difference, 0)
    correction = math.sqrt((count + 1 - 2 + 0) / count)
    assert statistic == pytest.approx(mean / math.sqrt(variance / count) * correction)
    assert 0 < p < 0.2
    lag = (centred[1:] @ centred[:-1]) / count
    expected = mean / math.sqrt((variance + lag) / count) * math.sqrt((count + 1 - 4 + 2 / count) / count)
    assert diebold_mariano(difference, 1)[0] == pytest.approx(expected)
    assert diebold_mariano(np.zeros(5), 1)[1] == 1.0


def test_equal_forecasts_are_rarely_called_different() -> None:
    """Of errors that are autocorrelated as those of overlapping windows, about 5 % are called significant."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 310))
    kernel = np.ones(10) / 10
    found = [diebold_mariano(np.convolve(row, kernel, "valid"), 9)[1] < 0.05 for row in noise]
    assert 0.01 < np.mean(found) < 0.13


def table(loss: np.ndarray, horizon_steps: int = 1) -> dict[str, torch.Tensor]:
    rows = torch.arange(len(loss)).double()
    return {"index": rows, "time": rows * 86400 * horizon_steps, "series": rows * 0, "loss": torch.from_numpy(loss)}


class Fixed(LastValue):
    def __init__(self, loss: np.ndarray) -> None:
        self.windows = table(loss)


def verdict(model: np.ndarray, *baselines: np.ndarray, **spec: Any) -> str:
    named: dict[str, Forecaster] = {f"number {n}": Fixed(loss) for n, loss in enumerate(baselines)}
    details, blocks = compare_with_baselines(table(model), named, "test", spec_of(**spec))
    assert len(blocks) == 2
    return str(details["summary"])


def test_the_verdict_names_the_best_baseline_and_claims_no_more_than_the_test() -> None:
    rng = np.random.default_rng(0)
    model, noise = 1 + rng.random(200), rng.normal(size=200)
    better = verdict(model, model + 0.5 + 0.1 * noise, model + 0.3 + 0.1 * noise)
    assert "the best baseline, number 1" in better
    assert better.endswith("the model is better.")
    assert "p < 0.001" in better
    assert verdict(model, model - 0.3 + 0.1 * noise).endswith("the model is worse.")
    assert "not significant" in verdict(model, model + noise)
    assert "too few for a significance test" in verdict(model[:50], model[:50] + 0.5, horizon=30)
    assert compare_with_baselines(table(model), {}, "val", spec_of()) == ({}, [])


def test_trading_by_hand() -> None:
    spec = spec_of(log_returns=("y",), horizon=1)
    returns = torch.tensor([[0.02], [-0.01], [0.03]]).double()
    found = table(np.ones(3)) | {"first_target": returns, "first_prediction": torch.tensor([[1.0], [1.0], [-1.0]])}
    details, blocks = trading(found, spec)
    gains = [math.expm1(0.02) - COST, math.expm1(-0.01), -math.expm1(0.03) - 2 * COST]
    year = 365.25 * 5 / 7
    assert details["trading"]["return"] == pytest.approx(np.mean(gains) * year, abs=1e-5)
    assert details["trading"]["holding"] == pytest.approx(np.expm1([0.02, -0.01, 0.03]).mean() * year, abs=1e-5)
    assert details["summary"].startswith(
        f"Trading on the forecasts would have earned {np.mean(gains) * year:.1%} a year"
    )
    assert len(blocks) == 2


def test_autocorrelation_is_that_of_statsmodels() -> None:
    values = np.random.default_rng(0).normal(size=50).cumsum()
    np.testing.assert_allclose(autocorrelation(values, 10), acf(values, nlags=10)[1:])


# The whole


def test_a_run_states_its_verdict(tmp_path: Path) -> None:
    config = sightseq.compose("experiment=sunspots", "debug=synthetic", "trainer.max_epochs=1")
    for name in ("exponential smoothing", "ARIMA", "Theta"):
        config["baseline"][name]["forecasts"] = 4
    results = sightseq.train(config | {"run_test": True})
    names = {"last value", "seasonal naive", "drift", "exponential smoothing", "ARIMA", "Theta"}
    assert set(results["baselines"]) == names
    assert not [name for name, found in results["baselines"].items() if "error" in found]
    assert set(results["comparison"]["tests"]) == names
    assert "the best baseline" in results["comparison"]["summary"]
    assert (
        results["comparison"]["summary"].partition(" (Diebold")[0]
        in (Path(results["folder"]) / "report.html").read_text()
    )
    assert len(results["details"]["mase_by_step"]) == 11
    for baseline in results["baselines"].values():
        assert set(baseline["test"]) <= set(results["metrics"])


def test_one_step_and_one_quantile_have_details_and_blocks() -> None:
    spec = spec_of(horizon=1)
    data = windows_of(np.random.default_rng(0).normal(size=40), spec)
    task, _ = make(spec=spec, quantiles=[0.5])
    task.scoreboard.update("test", task.step(data[torch.arange(len(data))], "test"))
    details = task.details("test")
    assert len(details["mase_by_step"]) == 1
    assert list(details["share_below"]) == ["0.5"]
    titles = [block.title for block in task.blocks("test")]
    assert titles == ["Autocorrelation of the errors", "Calibration of the quantiles"]


def test_every_option_of_the_task_is_rebuilt() -> None:
    for loss in ("mse", "mae", "pinball"):
        task, batch = make("direct", loss=loss, quantiles=[0.1, 0.5, 0.9], normalisation="window")
        rebuilt = build({"_target_": "sightseq.tasks.forecasting.task.ForecastingTask", **task.hparams}, Task, "model")
        rebuilt.load_state_dict(task.state_dict())
        assert rebuilt.predict_step(batch).shape == (6, 6, 2, 3)
