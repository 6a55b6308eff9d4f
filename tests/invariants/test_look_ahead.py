"""No look-ahead: what comes after the forecast origin changes nothing that a model or a scaler is given."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sightseq.catalogue import read
from sightseq.composition import compose
from sightseq.core.arrays import ArrayDataset
from sightseq.core.build import build, find_class
from sightseq.core.datamodule import DataModule
from sightseq.core.loading import Batch
from sightseq.core.places import group_options
from sightseq.data.series import series
from sightseq.data.series.series import SeriesData
from sightseq.data.series.series_csv import SeriesCSV
from sightseq.series.frame import Frame
from sightseq.series.scaling import moments
from sightseq.series.spec import SeriesSpec

Values = NDArray[np.float64]


@cache
def series_datasets() -> list[str]:
    targets = {option: read(file)["_target_"] for option, file in group_options("data").items()}
    return [o for o, target in targets.items() if issubclass(find_class(target, DataModule, "data"), SeriesData)]


def changed(kind: type[SeriesData], after: int) -> type[SeriesData]:
    """The same dataset, with other raw values from a time on; a tenth of the covariates are missing there."""

    def read(self: Any, sources: list[Path]) -> tuple[Frame, Mapping[str, tuple[str, ...]]]:
        frame, roles = kind.read(self, sources)
        free = [n for n, name in enumerate(frame.columns) if name not in roles.get("known", ())]
        values, generator = frame.values.copy(), np.random.default_rng(0)
        later = np.ix_(frame.utc >= after, free)
        noise = generator.uniform(1, 1000, values[later].shape)
        noise[:, len(frame.targets) :][generator.random(noise[:, len(frame.targets) :].shape) < 0.1] = np.nan
        values[later] = noise
        return replace(frame, values=values), roles

    return type(kind.__name__, (kind,), {"read": read, "cache_key": lambda self: {"after": after}})


def make(kind: type[SeriesData], config: dict[str, Any], **changes: Any) -> SeriesData:
    known = {name: value for name, value in config.items() if name != "_target_"} | changes
    data = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})
    data.prepare_data()
    return data


def check_no_look_ahead(kind: type[SeriesData], config: dict[str, Any]) -> None:
    data = make(kind, config)
    assert isinstance(data.spec, SeriesSpec)
    for split in ("train", "val", "test"):
        dataset = data.dataset(split)
        after_gap = dataset.rows[np.isnan(dataset.arrays["target"][dataset.rows - 1]).any(axis=1)]
        for row in (dataset.rows[0], dataset.rows[len(dataset) // 2], dataset.rows[-1], *after_gap[:1]):
            origin = int(dataset.arrays["time"][row])
            other = make(changed(kind, origin), config)
            if split != "train":
                assert other.spec == data.spec, f"values after the training part change the spec of {kind.__name__}"
            before = seen(dataset, origin)
            after = seen(other.dataset(split), origin)
            assert before["index"].tolist() == after["index"].tolist()
            assert row in before["index"]
            for name in before.keys() - {"target", "scale" if split == "train" else ""}:
                assert torch.equal(before[name], after[name]), f"the future changes {name} of {kind.__name__}"


def seen(dataset: ArrayDataset, origin: int) -> Batch:
    """The windows of each series with the last few origins up to a time."""
    times = dataset.arrays["time"][dataset.rows]
    places = np.flatnonzero((times <= origin) & (times > origin - 40 * np.diff(times).max()))
    return dataset[torch.from_numpy(places)]


@pytest.mark.parametrize("dataset", series_datasets())
def test_no_look_ahead(dataset: str) -> None:
    config = compose(f"data={dataset}", "debug=synthetic")["data"]
    check_no_look_ahead(find_class(config["_target_"], SeriesData, "data"), config)


def test_a_file_that_ends_at_the_origin() -> None:
    """Another end of the file, with other text, changes no window of the training part, and no spec."""
    times = np.datetime64("2024-01-01", "s") + np.arange(400) * np.timedelta64(1, "h")
    lines = [f"{time},{number % 24},{number % 5}" for number, time in enumerate(times)]
    found = []
    for name in ("a", "b"):
        Path(name).mkdir()
        end = lines[320:] if name == "a" else [f"{time},1e6,-1.5" for time in times[320:]]
        Path(name, "series.csv").write_text("\n".join(["time,y,x", *lines[:320], *end]))
        data = SeriesCSV(name="series_csv", path=f"{name}/series.csv", cache="cache", targets=("y",), past=("x",))
        data.prepare_data()
        found.append(data)
    assert found[0].spec == found[1].spec
    train = [data.dataset("train").numpy() for data in found]
    for column, values in train[0].items():
        np.testing.assert_array_equal(values, train[1][column])
    first = [data.dataset("test")[0] for data in found]
    assert first[0]["time"][48] == 1704067200 + 320 * 3600
    assert torch.equal(first[0]["input"], first[1]["input"])
    assert not torch.equal(first[0]["target"], first[1]["target"])


def fill_backward(values: Values, ends: NDArray[np.int64], default: Values | None = None) -> Values:
    """Missing values become the next value after them."""
    filled = values.copy()
    for column in filled.T:
        known = np.flatnonzero(~np.isnan(column))
        column[:] = column[known[np.searchsorted(known, np.arange(len(column))).clip(max=len(known) - 1)]]
    return filled


def test_the_check_finds_a_scaler_fitted_on_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "moments", lambda values, rows: moments(values, np.ones_like(rows)))
    config = compose("data=co2", "debug=synthetic")["data"]
    with pytest.raises(AssertionError, match="change the spec"):
        check_no_look_ahead(find_class(config["_target_"], SeriesData, "data"), config)


def test_the_check_finds_values_filled_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "fill_forward", fill_backward)
    config = compose("data=air_quality", "debug=synthetic")["data"]
    with pytest.raises(AssertionError, match="the future changes input"):
        check_no_look_ahead(find_class(config["_target_"], SeriesData, "data"), config)


def test_windows_of_the_training_part_end_before_validation() -> None:
    data = build(compose("data=co2", "debug=synthetic")["data"], DataModule, "data")
    data.prepare_data()
    first = {split: data.dataset(split)[0]["time"] for split in ("val", "test")}
    lookback = data.spec.net_arguments()["lookback"]
    for before, after in (("train", "val"), ("val", "test")):
        last = data.dataset(before)[-1]["time"]
        assert last[-1] < first[after][lookback]
        assert last[-1] > first[after][lookback - 2]
