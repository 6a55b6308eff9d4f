"""Datasets of series: the real ones that packages carry, and the splits and layouts of the others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import CheckpointError, ConfigError, DataError
from sightseq.core.spec import Spec
from sightseq.series.spec import SeriesSpec
from sightseq.series.zones import format_times


def prepared(*overrides: str, **changes: Any) -> tuple[DataModule, SeriesSpec]:
    data = build(compose(*overrides)["data"] | changes, DataModule, "data")
    data.prepare_data()
    assert isinstance(data.spec, SeriesSpec)
    return data, data.spec


def sizes(data: DataModule) -> list[int]:
    return [len(data.dataset(split)) for split in ("train", "val", "test")]


def test_co2_is_that_of_statsmodels() -> None:
    from statsmodels.datasets import co2

    data, spec = prepared("data=co2")
    frame = co2.load_pandas().data["co2"]
    arrays = data.dataset("train").arrays
    np.testing.assert_allclose(arrays["target"][:, 0], frame.to_numpy(), rtol=1e-6)
    filled = frame.ffill().to_numpy()
    np.testing.assert_allclose(arrays["values"][:, 0], filled, rtol=1e-6)
    assert (arrays["time"] == frame.index.to_numpy().astype("datetime64[s]").astype(np.int64)).all()
    train = frame.iloc[: round(2284 * 0.7)]
    np.testing.assert_allclose(spec.mean[0], train.mean(), rtol=1e-5)
    np.testing.assert_allclose(spec.std[0], train.std(ddof=0), rtol=1e-4)
    np.testing.assert_allclose(spec.scale[0], (train - train.shift(52)).abs().mean(), rtol=1e-4)
    assert sizes(data) == [1599 - 104 - 26 + 1, 228 - 26 + 1, 457 - 26 + 1]


def test_sunspots_are_those_of_statsmodels() -> None:
    data, spec = prepared("data=sunspots")
    arrays = data.dataset("train").arrays
    assert (len(arrays["time"]), spec.frequency, spec.season, spec.known) == (309, "YS", 11, ())
    assert format_times(arrays["time"][[0, -1]]) == ["1700-01-01", "2008-01-01"]
    assert arrays["target"][[0, -1], 0].tolist() == pytest.approx([5.0, 2.9])


def test_goog_gives_log_returns_and_closes() -> None:
    import matplotlib

    prices = np.load(Path(matplotlib.get_data_path()) / "sample_data" / "goog.npz")["price_data"]
    data, spec = prepared("data=goog")
    assert spec.forecasts_returns
    assert spec.inputs == ("close", "open", "high", "low", "volume")
    batch = data.dataset("test")[torch.arange(len(data.dataset("test")))]
    forecast = batch["level"] * torch.exp(batch["target"][:, :, 0].cumsum(1))
    np.testing.assert_allclose(forecast[-1].numpy(), prices["close"][-5:], rtol=1e-5)
    train = np.diff(np.log(prices["close"]))[: round(1046 * 0.6)]
    np.testing.assert_allclose(spec.scale[0], np.abs(train).mean(), rtol=1e-5)


def test_the_official_split_of_ett() -> None:
    """8,640 hours to train, 2,880 to validate, 2,880 to test; the rest of the file is not used."""
    file = Path("ett/ETTh1.csv")
    file.parent.mkdir()
    times = format_times(np.datetime64("2016-07-01", "s").astype(int) + 3600 * np.arange(17_420))
    times[0] += " 00:00:00"
    names = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
    lines = [f"{time},{','.join(str(row + number) for number in range(7))}" for row, time in enumerate(times)]
    file.write_text("\n".join([f"date,{','.join(names)}", *lines]))
    data, spec = prepared("data=ett", root=".")
    assert sizes(data) == [8640 - 336 - 96 + 1, 2880 - 96 + 1, 2880 - 96 + 1]
    assert spec.mean == tuple(np.arange(8640).mean() + np.arange(7))
    np.testing.assert_allclose(spec.std, np.arange(8640).std())
    assert data.dataset("val").rows[[0, -1]].tolist() == [8640, 11_520 - 96]
    assert data.dataset("test").rows[[0, -1]].tolist() == [11_520, 14_400 - 96]
    _, single = prepared("data=ett", root=".", targets=["OT"], past=names[:6])
    assert (single.inputs, single.net_arguments()["num_targets"]) == (("OT", *names[:6]), 1)
    with pytest.raises(DataError, match=r"found no ETTh2\.csv"):
        prepared("data=ett", root=".", variant="ETTh2")


def test_each_company_is_a_series() -> None:
    data, spec = prepared("data=stocks", "debug=synthetic")
    assert spec.series == ("AAA", "BBB", "CCC")
    batch = data.dataset("test")[torch.arange(len(data.dataset("test")))]
    assert [int((batch["series"] == number).sum()) for number in range(3)] == [len(batch["index"]) // 3] * 3
    limits = {int(batch["time"][batch["series"] == number][:, 32].min()) for number in range(3)}
    assert len(limits) == 1
    _, spec = prepared("data=stocks", "debug=synthetic", companies=["BBB"])
    assert spec.series == ("BBB",)
    with pytest.raises(ConfigError, match=r"BBC has no file in .*; did you mean BBB"):
        prepared("data=stocks", "debug=synthetic", companies=["BBC"])


def test_air_quality_has_wind_and_missing_values() -> None:
    data, spec = prepared("data=air_quality", "debug=synthetic")
    assert spec.past[-4:] == ("wind_NW", "wind_NE", "wind_SE", "wind_cv")
    batch = data.dataset("train")[torch.arange(500)]
    assert (batch["input"][:, :, 7:].sum(-1) == 1).all()
    assert batch["input"].isfinite().all()
    assert 0 < batch["target"].isnan().float().mean() < 0.1
    times = data.dataset("train").arrays["time"]
    assert (np.diff(times) == 3600).all()


def test_the_last_days_of_leap_years_are_missing_values() -> None:
    days = np.datetime64("1984-01-01") + np.arange(1500)
    rows = [f'"{day}",{number % 9}' for number, day in enumerate(days) if str(day) != "1984-12-31"]
    Path("series").mkdir()
    Path("series/daily-min-temperatures.csv").write_text('"Date","Temp"\n' + "\n".join(rows))
    data, spec = prepared("data=temperatures", root=".")
    assert (spec.season, spec.known) == (365, ("yearday_sin", "yearday_cos"))
    assert np.flatnonzero(np.isnan(data.dataset("train").arrays["target"][:, 0])).tolist() == [365]


def test_a_spec_says_what_differs() -> None:
    _, spec = prepared("data=co2", "debug=synthetic")
    _, other = prepared("data=sunspots", "debug=synthetic")
    assert spec.difference(spec) == ""
    assert "it forecasts co2, and the data has SUNACTIVITY" in spec.difference(other)
    assert Spec.from_dict(spec.to_dict()) == spec
    for change in ({"mean": (1.0, 2.0)}, {"scale": (0.0,)}, {"lookback": 0}, {"calendar": ("hour_sin",)}):
        with pytest.raises(CheckpointError, match=r"the spec|of the spec"):
            SeriesSpec(**vars(spec) | change)


def test_options_change_the_spec_that_is_cached() -> None:
    _, spec = prepared("data=co2", "debug=synthetic")
    _, other = prepared("data=co2", "debug=synthetic", season=26, calendar=False)
    assert (spec.season, other.season) == (52, 26)
    assert (len(spec.known), len(other.known)) == (2, 0)
