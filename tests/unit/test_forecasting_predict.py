"""Using a forecaster: tables and arrays in, forecasts out, and what is refused."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.predict import print_predictions
from sightseq.series.spec import SeriesSpec
from sightseq.tasks.forecasting.predict import ForecastingPredictor
from sightseq.tasks.forecasting.task import ForecastingTask

START = np.datetime64("2024-01-01", "s").astype(np.int64)


def spec_of(**values: Any) -> SeriesSpec:
    base: dict[str, Any] = {
        "targets": ("sales",),
        "past": (),
        "known": ("weekday_sin", "weekday_cos"),
        "lookback": 5,
        "horizon": 3,
        "season": 1,
        "frequency": "D",
        "step_seconds": 86400.0,
        "mean": (0.0,),
        "std": (1.0,),
        "known_mean": (0.0, 0.0),
        "known_std": (1.0, 1.0),
        "scale": (1.0,),
        "calendar": ("weekday_sin", "weekday_cos"),
    }
    return SeriesSpec(**base | values)


def predictor_of(spec: SeriesSpec, seed: int = 0) -> ForecastingPredictor:
    """A network with weights of 0 forecasts the last value."""
    torch.manual_seed(seed)
    task = ForecastingTask(
        spec=spec.to_dict(),
        net={"_target_": "sightseq.nets.forecasting.NLinear"},
        quantiles=[0.1, 0.5, 0.9],
        normalisation="none",
    )
    for parameter in task.net.parameters():
        torch.nn.init.zeros_(parameter)
    task.offsets.copy_(torch.tensor([-1.0, 0.0, 2.0]).expand_as(task.offsets))
    return ForecastingPredictor(task, "cpu")


def write(file: Path, values: Any, times: Any = None, **columns: Any) -> str:
    times = pd.date_range("2024-01-01", periods=len(values)) if times is None else times
    pd.DataFrame({"day": times, "sales": values, **columns}).to_csv(file, index=False)
    return str(file)


def test_a_table_becomes_a_file_of_forecasts(tmp_path: Path) -> None:
    given = write(tmp_path / "shop.csv", [1, 2, 3, 4, 5, 6.5])
    rows = predictor_of(spec_of()).predict([given])
    assert [row["time"] for row in rows] == ["2024-01-07", "2024-01-08", "2024-01-09"]
    assert rows[0] == {"time": "2024-01-07", "target": "sales", "forecast": 6.5, "0.1": 5.5, "0.9": 8.5}
    with (tmp_path / "shop-forecast.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [float(row["0.9"]) for row in written] == [8.5] * 3
    assert (tmp_path / "shop-forecast.png").stat().st_size > 5000


def test_rows_in_any_order_missing_days_and_missing_values_are_filled(tmp_path: Path) -> None:
    days = ["2024-01-08", "2024-01-01", "2024-01-02", "2024-01-03", "2024-01-05", "2024-01-06", "2024-01-07"]
    given = write(tmp_path / "a.csv", [np.nan, 1, 2, 3, 5, 7, np.nan], days)
    rows = predictor_of(spec_of()).predict([given])
    # The forecast begins after the last known value, of 2024-01-06.
    assert [row["time"] for row in rows] == ["2024-01-07", "2024-01-08", "2024-01-09"]
    assert rows[0]["forecast"] == 7
    with pytest.raises(InputError, match=r"times? (is|are) missing.*gaps=fill"):
        predictor_of(spec_of()).predict([given], gaps="error", overwrite=True)


def test_several_series_and_those_that_are_too_short(tmp_path: Path) -> None:
    frame = pd.concat(
        [
            pd.DataFrame(
                {"day": pd.date_range("2024-01-01", periods=n), "sales": np.arange(n) + 10.0 * n, "shop": name}
            )
            for name, n in (("A", 8), ("B", 3), ("C", 6))
        ]
    )
    file = tmp_path / "shops.csv"
    frame.to_csv(file, index=False)
    with pytest.warns(InputWarning, match="1 series are too short"):
        rows = predictor_of(spec_of()).predict([file], series="shop")
    assert [(row["series"], row["forecast"]) for row in rows] == [("A", 87.0)] * 3 + [("C", 65.0)] * 3
    assert rows[3]["time"] == "2024-01-07"
    with pytest.raises(InputError, match=r"occurs more than once.*series="):
        predictor_of(spec_of()).predict([file], overwrite=True)


def test_prices_become_returns_and_the_close_is_continued(tmp_path: Path) -> None:
    spec = spec_of(log_returns=("sales",), frequency="B", known=(), calendar=(), known_mean=(), known_std=())
    prices = 100 * np.exp(0.1 * np.arange(7))
    given = write(tmp_path / "a.csv", prices, pd.bdate_range("2024-01-01", periods=7))
    rows = predictor_of(spec).predict([given])
    assert [row["time"] for row in rows] == ["2024-01-10", "2024-01-11", "2024-01-12"]
    for step, row in enumerate(rows, 1):
        assert row["forecast"] == pytest.approx(0.1, abs=1e-6)
        assert row["price"] == pytest.approx(prices[-1] * np.exp(0.1 * step), rel=1e-5)


def test_known_covariates_of_the_horizon_are_needed(tmp_path: Path) -> None:
    spec = spec_of(known=("holiday",), calendar=(), known_mean=(0.0,), known_std=(1.0,))
    short = write(tmp_path / "a.csv", [1, 2, 3, 4, 5, 6], holiday=[0] * 6)
    with pytest.raises(InputError, match=r"needs holiday for 3 steps after the last value of sales"):
        predictor_of(spec).predict([short])
    whole = write(tmp_path / "b.csv", [1, 2, 3, 4, 5, 6, None, None, None], holiday=[0] * 9)
    rows = predictor_of(spec).predict([whole])
    assert [row["time"] for row in rows] == ["2024-01-07", "2024-01-08", "2024-01-09"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, 3], "no series is long enough: the model reads 5 steps"),
        ([1, 2, "many", 4, 5, 6], "'many', which is not a number"),
        ([1, 2, "inf", 4, 5, 6], "infinite|not a number"),
    ],
)
def test_bad_tables_are_refused_in_a_line(values: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        predictor_of(spec_of()).predict([write(tmp_path / "a.csv", values)])
    assert "\n" not in str(caught.value)
    assert "data." not in str(caught.value)


def test_bad_options_are_refused(tmp_path: Path) -> None:
    given = write(tmp_path / "a.csv", [1, 2, 3, 4, 5, 6])
    predictor = predictor_of(spec_of())
    with pytest.raises(ConfigError, match=r"horizon=4: this model forecasts 3 steps; train one with data.horizon=4"):
        predictor.predict([given], horizon=4)
    with pytest.raises(ConfigError, match="one file for 2 inputs"):
        predictor.predict([given, given], output="x.csv")
    with pytest.raises(InputError, match="does not exist"):
        predictor.predict([tmp_path / "none.csv"])
    with pytest.raises(InputError, match="is not a table"):
        predictor.predict([__file__])
    predictor.predict([given], horizon=1)
    with pytest.raises(InputError, match=r"exists already.*overwrite=true"):
        predictor.predict([given])
    pd.DataFrame({"day": ["2024-01-01"], "cost": [1]}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(InputError, match="has no column 'sales'"):
        predictor.predict([tmp_path / "b.csv"])


def test_the_command_line_prints_a_table_and_lists_bad_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write(tmp_path / "a.csv", [1, 2, 3, 4, 5, 6])
    predictor = predictor_of(spec_of())
    options = predictor.options({"horizon": 2})
    assert print_predictions(predictor, [given, "none.csv"], "table", options) == 2
    out, err = capsys.readouterr()
    assert "2024-01-08" in out
    assert "2024-01-09" not in out
    assert err.startswith("InputError: none.csv does not exist")


def test_a_data_frame_gives_a_data_frame_and_an_array_an_array() -> None:
    predictor = predictor_of(spec_of())
    index = pd.date_range("2024-01-01", periods=6)
    found = predictor.forecast(pd.DataFrame({"sales": [1.0, 2, 3, 4, 5, 6], "other": "x"}, index=index), horizon=2)
    assert list(found.columns) == ["target", "forecast", "0.1", "0.9"]
    assert [str(time)[:10] for time in found.index] == ["2024-01-07", "2024-01-08"]
    assert found["0.9"].tolist() == [8.0, 8.0]
    values, times = np.array([[1.0], [2], [3], [4], [5], [6]]), index.to_numpy()
    for stamps in (times, START + 86400 * np.arange(6)):
        quantiles = predictor.forecast(values, stamps)
        assert quantiles.shape == (3, 1, 3)
        assert quantiles[0, 0].tolist() == [5.0, 6.0, 8.0]
    with pytest.raises(InputError, match="no column sales"):
        predictor.forecast(pd.DataFrame({"x": [1.0]}, index=index[:1]))
    with pytest.raises(InputError, match=r"give an array \[T, 1\] of sales"):
        predictor.forecast(values)
    with pytest.raises(ConfigError, match="horizon=9"):
        predictor.forecast(values, times, horizon=9)


def test_times_with_a_zone_are_those_of_the_models_wall() -> None:
    """Days that begin at midnight in Berlin, through the change of clocks."""
    predictor = predictor_of(spec_of(timezone="Europe/Berlin"))
    index = pd.date_range("2024-03-26", periods=6, tz="Europe/Berlin")
    found = predictor.forecast(pd.DataFrame({"sales": np.arange(6.0)}, index=index))
    assert [str(time) for time in found.index] == [f"2024-04-0{day} 00:00:00" for day in (1, 2, 3)]
