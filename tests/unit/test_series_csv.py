"""Anyone's own series: what is read, what is handled, and what is refused in one clear line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightseq.core.errors import ConfigError, DataError
from sightseq.data.series.series_csv import SeriesCSV
from sightseq.series.spec import SeriesSpec
from sightseq.series.tables import Layout, make_table, read_table
from sightseq.series.zones import format_times

SMALL = {"lookback": 4, "horizon": 2, "calendar": False}


def days(count: int, start: str = "2024-01-01") -> list[str]:
    return [str(day) for day in np.datetime64(start) + np.arange(count)]


def write(rows: list[str], name: str = "a.csv") -> Path:
    file = Path(name)
    file.write_text("\n".join(rows) + "\n")
    return file


def wave(count: int = 60) -> list[str]:
    return ["day,y,x", *(f"{day},{n % 7},{n}" for n, day in enumerate(days(count)))]


def prepared(path: Path, **options: Any) -> tuple[SeriesCSV, SeriesSpec]:
    data = SeriesCSV(name="series_csv", path=str(path), cache="cache", **SMALL | options)
    data.prepare_data()
    assert isinstance(data.spec, SeriesSpec)
    return data, data.spec


def test_all_columns_are_forecast_by_default() -> None:
    data, spec = prepared(write(wave()))
    assert (spec.targets, spec.past, spec.known) == (("y", "x"), (), ())
    assert (spec.frequency, spec.season, spec.series, spec.num_series) == ("D", 7, ("a",), 1)
    # 60 days: 42 train, 6 validate, 12 test.
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [37, 5, 11]
    assert spec.mean == (3.0, 20.5)
    np.testing.assert_allclose(spec.std, (2.0, np.arange(42).std()))
    assert spec.scale == (2.0, 7.0)  # y repeats itself, so its scale is its deviation; x grows by 7 a season
    batch = data.dataset("test")[torch.tensor([0, 10])]
    assert batch["input"][:, -1, 1].tolist() == [47, 57]
    assert batch["target"][:, :, 1].tolist() == [[48, 49], [58, 59]]
    assert format_times(batch["time"][1].numpy())[-1] == days(60)[-1]


def test_columns_have_roles() -> None:
    _, spec = prepared(write(wave()), targets=("y",), known=("x",), calendar=("weekday",))
    assert (spec.targets, spec.past, spec.known) == (("y",), (), ("x", "weekday_sin", "weekday_cos"))
    assert spec.known_mean == (20.5, 0.0, 0.0)
    data, spec = prepared(write(wave()), targets=("y",), past=("x",))
    assert (spec.inputs, spec.net_arguments()["num_inputs"]) == (("y", "x"), 2)
    assert data.dataset("train")[0]["target"].shape == (2, 1)


@pytest.mark.parametrize("options", [{}, {"series": "id"}])
def test_rows_in_any_order_give_the_same(options: dict[str, Any]) -> None:
    rows = [f"{day},{n % 5},{name}" for name in "ba" for n, day in enumerate(days(60))]
    if not options:
        rows = [row.rpartition(",")[0] for row in rows[:60]]
    header = "day,y,id" if options else "day,y"
    first, spec = prepared(write([header, *rows], "series.csv"), **options)
    expected = first.dataset("train").numpy()
    for name, order in (("reversed", rows[::-1]), ("shuffled", np.random.default_rng(0).permutation(rows).tolist())):
        Path(name).mkdir()
        data, other = prepared(write([header, *order], f"{name}/series.csv"), **options)
        assert sorted(other.series) == sorted(spec.series)
        found = data.dataset("train").numpy()
        if other.series == spec.series:
            assert other == spec
            for column, values in expected.items():
                np.testing.assert_array_equal(found[column], values)


def test_several_series_share_the_limits_of_the_parts() -> None:
    rows = [f"{day},{n},long" for n, day in enumerate(days(60))]
    rows += [f"{day},{10 * n},short" for n, day in enumerate(days(5))]
    rows += [f"{day},{n},new" for n, day in enumerate(days(10, "2024-02-20"))]
    data, spec = prepared(write(["day,y,id", *rows]), series="id", season=1)
    assert (spec.series, spec.num_series, spec.short_series) == (("long", "short", "new"), 3, 1)
    assert spec.summary()["too short series"] == 1
    windows = {split: data.dataset(split).numpy() for split in ("train", "val", "test")}
    assert set(windows["train"]["series"]) == {0}
    assert set(windows["test"]["series"]) == {0, 2}
    ends = {split: (w["time"][:, 4].min(), w["time"][:, -1].max()) for split, w in windows.items()}
    assert ends["train"][1] < ends["val"][0] <= ends["val"][1] < ends["test"][0]
    # The series that is new in the test part has no error of its own, and so the pooled one.
    np.testing.assert_allclose(windows["test"]["scale"][windows["test"]["series"] == 2], spec.scale[0])
    np.testing.assert_allclose(windows["test"]["scale"][windows["test"]["series"] == 0], 1)


def test_missing_values_take_the_last_one_and_are_not_counted() -> None:
    rows = wave()
    for row, field in ((1, 1), (2, 2), (50, 1), (51, 1)):  # in the header line is row 0
        fields = rows[row].split(",")
        fields[field] = "NA" if row < 51 else ""
        rows[row] = ",".join(fields)
    data, spec = prepared(write(rows), targets=("y",), past=("x",))
    first = data.dataset("train")[0]
    # The first day has no target, so the series begins on the second, whose x is missing: the mean stands in.
    assert first["time"][0] == np.datetime64("2024-01-02", "s").astype(int)
    np.testing.assert_allclose(first["input"][0, 1], spec.mean[1], rtol=1e-6)
    batch = data.dataset("test").numpy()
    day = int(np.datetime64("2024-02-19", "s").astype(int))  # row 50
    (window,) = np.flatnonzero(batch["time"][:, 4] == day + 86400)
    assert batch["input"][window, -2:, 0].tolist() == [48 % 7, 48 % 7]
    assert np.isnan(batch["target"][window, 0, 0])
    assert not np.isnan(batch["target"][window, 1, 0])
    # A window whose whole target is missing is left out.
    assert not (batch["time"][:, 4] == day).any()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda r: [*r, r[5]], {}, "2024-01-05 occurs more than once"),
        (
            lambda r: [*r[:9], *r[10:]],
            {},
            "1 times are missing at the frequency D, the first between 2024-01-08 and 2024-01-10",
        ),
        (
            lambda r: [*r, "2024-03-01 07:00:00,1,2"],
            {},
            "not regular: 2024-03-01 07:00:00 does not fit the frequency D from 2024-01-01 on",
        ),
        (
            lambda r: [*r[:9], "2024-01-09,many,3", *r[10:]],
            {},
            "row 9: the column 'y' has 'many', which is not a number",
        ),
        (lambda r: [*r[:9], "2024-01-09,inf,3", *r[10:]], {}, "row 9: the column 'y' is infinite"),
        (lambda r: [*r[:9], ",1,3", *r[10:]], {}, "row 9: the column 'day' has no time"),
        (lambda r: [*r[:9], "soon,1,3", *r[10:]], {}, "row 9: the time 'soon' in the column 'day' cannot be read"),
        (lambda r: [*r[:9], "2024-01-09,1", *r[10:]], {}, "cannot be read: CSV parse error"),
        (lambda r: [r[0], *(row.replace("2024-", "1.5.") for row in r[1:])], {}, "row 1: the time '1.5.01-01'"),
        (lambda r: r[:5], {}, "the train part has no window of data.lookback=4 and data.horizon=2 steps"),
        (lambda r: r[:1], {}, "has no rows"),
        (lambda r: [""], {}, "has no header line"),
        (lambda r: ["day,y,y", *r[1:]], {}, "more than one column 'y'; rename"),
        (lambda r: [r[0], *(f"{row.rpartition(',')[0]}," for row in r[1:])], {}, "'x' has no value in any row"),
        (
            lambda r: [r[0], *(f"{row.split(',')[0]},5,{n}" for n, row in enumerate(r[1:]))],
            {},
            "'y' has one value or no",
        ),
        (
            lambda r: [r[0], *(row.replace(",3,", ",1e300,") for row in r[1:])],
            {},
            "exceeds the range of 32-bit numbers",
        ),
        (lambda r: r, {"targets": ("z",)}, "has no column 'z'; available: day, x, y"),
        (lambda r: r, {"time": "y"}, "the column 'y' has numbers such as"),
        (lambda r: r, {"series": "id"}, "has no column 'id'"),
        (lambda r: r, {"frequency": "h", "gaps": "fill"}, "more than 10 times the rows"),
    ],
)
def test_bad_tables_are_refused(change: Any, options: dict[str, Any], message: str) -> None:
    file = write(change(wave()))
    if "frequency" in options:
        Path("a.csv").write_text("day,y\n2024-01-01,1\n2024-01-02,2\n")
    with pytest.raises(DataError, match=message) as error:
        prepared(file, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone=Mars/Olympus is not a known time zone"),
        ({"frequency": "daily"}, "frequency=daily is not known"),
        ({"delimiter": "dash"}, "delimiter=dash is not a delimiter"),
        ({"targets": ()}, "name at least one"),
        ({"targets": ("y", "day")}, "named twice"),
        ({"targets": ("y",), "log_returns": ("z",)}, "log_returns names targets"),
        ({"targets": ("y", "x"), "log_returns": ("y",)}, "either all targets are log returns, or none"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "leave a part of the times for training"),
        ({"lookback": 0}, "at least 1"),
        ({"calendar": ("month",)}, "data.calendar: month is not known"),
        ({"time_format": "%Y/%m"}, "row 1: the time '2024-01-01' in the column"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        prepared(write(wave()), **options)


def test_gaps_are_filled_or_kept() -> None:
    rows = wave()
    rows = [*rows[:9], *rows[12:]]
    filled, spec = prepared(write(rows), gaps="fill", targets=("y",))
    times = filled.dataset("train").arrays["time"]
    assert (np.diff(times) == 86400).all()
    assert len(times) == 60
    assert np.isnan(filled.dataset("train").arrays["target"][8:11]).all()
    kept, other = prepared(write(rows), gaps="keep", targets=("y",))
    assert (spec.frequency, other.frequency) == ("D", "D")
    assert len(kept.dataset("train").arrays["time"]) == 57


def test_wall_times_over_daylight_saving() -> None:
    """In Berlin the hour from 2 to 3 occurs twice on 27 October 2024, and does not on 31 March."""
    autumn = np.datetime64("2024-10-26T00:00") + np.timedelta64(1, "h") * np.arange(60)
    wall = [str(time).replace("T", " ") for time in autumn]
    wall.insert(27, wall[26])  # 2:00 a second time
    data, spec = prepared(write(["t,y", *(f"{t},{n % 24}" for n, t in enumerate(wall))]), timezone="Europe/Berlin")
    assert spec.frequency == "h"
    assert spec.timezone == "Europe/Berlin"
    times = data.dataset("train").arrays["time"]
    assert (np.diff(times) == 3600).all()
    assert format_times(times[:1]) == ["2024-10-25 22:00:00"]
    # Without the zone, the repeated hour is an error, and so is the missing one in spring.
    with pytest.raises(DataError, match="2024-10-27 02:00:00 occurs more than once"):
        prepared(write(["t,y", *(f"{t},{n % 24}" for n, t in enumerate(wall))]))
    spring = [str(time) for time in np.datetime64("2024-03-30T00:00") + np.timedelta64(1, "h") * np.arange(60)]
    with pytest.raises(DataError, match="2024-03-31 02:00:00 does not exist in Europe/Berlin"):
        prepared(write(["t,y", *(f"{t},{n % 24}" for n, t in enumerate(spring))]), timezone="Europe/Berlin")
    # Days in local time are regular, although one of them has 25 hours.
    local = [f"{day},{n % 7}" for n, day in enumerate(days(60, "2024-09-20"))]
    data, spec = prepared(write(["t,y", *local]), timezone="Europe/Berlin")
    assert spec.frequency == "D"
    assert sorted(set(np.diff(data.dataset("train").arrays["time"]))) == [86400, 90000]


def test_offsets_and_calendar_in_the_zone() -> None:
    times = [f"2024-07-{day:02d}T{hour:02d}:00:00+02:00" for day in (1, 2, 3) for hour in range(24)]
    data, spec = prepared(
        write(["t,y", *(f"{t},{n % 5}" for n, t in enumerate(times))]), timezone="Europe/Berlin", calendar=("hour",)
    )
    first = data.dataset("train")[0]
    assert format_times(first["time"][:1].numpy()) == ["2024-06-30 22:00:00"]
    np.testing.assert_allclose(first["known"][0], [0, 1], atol=1e-6)  # midnight in Berlin
    assert spec.known == ("hour_sin", "hour_cos")


@pytest.mark.parametrize(
    ("texts", "time_format", "frequency"),
    [
        ([f"{1900 + n}" for n in range(60)], None, "YS"),
        ([f"{1960 + n // 12}-{n % 12 + 1:02d}" for n in range(60)], None, "MS"),
        ([day.replace("-", "") for day in days(60)], None, "D"),
        ([day.replace("-", "/") for day in days(60)], None, "D"),
        ([f"{day} 12:30" for day in days(60)], None, "D"),
        ([f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in days(60)], "%d.%m.%Y", "D"),
        ([str(1_700_000_000 + 900 * n) for n in range(60)], "unix", "15min"),
    ],
)
def test_times_as_they_are_written(texts: list[str], time_format: str | None, frequency: str) -> None:
    file = write(["t,y", *(f"{text},{n % 7}" for n, text in enumerate(texts))])
    table = read_table(file, Layout(time_format=time_format))
    assert (np.diff(table.times) > 0).all()
    if "-01" in texts[0] and len(texts[0]) == 7:
        assert format_times(table.times[:2]) == ["1960-01-01", "1960-02-01"]
    _, spec = prepared(file, time_format=time_format)
    assert spec.frequency == frequency


def test_a_spreadsheet_in_german() -> None:
    rows = [f"{day};{n % 7},5;{n}" for n, day in enumerate(days(60))]
    Path("a.csv").write_bytes("\ufeff".encode() + "\r\n".join(["Tag;Größe;x", *rows]).encode())
    data, spec = prepared(Path("a.csv"), decimal=",")
    assert spec.targets == ("Größe", "x")
    assert data.dataset("train")[0]["input"][0].tolist() == [0.5, 0.0]
    Path("a.csv").write_text("\n".join(["Tag;Größe;x", *rows, "2024-03-01;viel;3"]))
    with pytest.raises(DataError, match="row 61: the column 'Größe' has 'viel', which is not a number"):
        prepared(Path("a.csv"), decimal=",")
    Path("a.csv").write_bytes("\n".join(["Tag;Größe", *rows]).encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        prepared(Path("a.csv"))


def test_parquet_gives_what_csv_gives() -> None:
    import pyarrow
    import pyarrow.parquet

    stamps = pyarrow.array(np.datetime64("2024-01-01", "ms") + np.arange(60) * np.timedelta64(1, "D"))
    columns = {"day": stamps, "y": pyarrow.array(np.arange(60) % 7), "x": pyarrow.array(np.arange(60.0))}
    pyarrow.parquet.write_table(pyarrow.table(columns), "a.parquet")
    data, spec = prepared(Path("a.parquet"))
    other, expected = prepared(write(wave()))
    assert spec == expected
    for name, values in other.dataset("test").numpy().items():
        np.testing.assert_array_equal(data.dataset("test").numpy()[name], values)
    fine = pyarrow.array(np.datetime64("2024-01-01", "ms") + np.arange(60) * np.timedelta64(10, "ms"))
    pyarrow.parquet.write_table(pyarrow.table(columns | {"day": fine}), "b.parquet")
    with pytest.raises(DataError, match="finer than a second"):
        prepared(Path("b.parquet"))
    Path("c.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read"):
        prepared(Path("c.parquet"))


def test_a_pandas_data_frame_gives_what_csv_gives() -> None:
    import pandas
    import pyarrow

    frame = pandas.read_csv(write(wave()), parse_dates=["day"])
    table = make_table(pyarrow.Table.from_pandas(frame), Layout(), "the data frame", "a")
    expected = read_table(Path("a.csv"), Layout())
    assert (table.columns, table.names, table.in_utc) == (expected.columns, expected.names, expected.in_utc)
    np.testing.assert_array_equal(table.values, expected.values)
    np.testing.assert_array_equal(table.times, expected.times)
    frame["day"] = frame["day"].dt.tz_localize("Europe/Berlin")
    table = make_table(pyarrow.Table.from_pandas(frame), Layout(), "the data frame", "a")
    assert table.in_utc
    assert (table.times == expected.times - 3600).all()


def test_log_returns_and_levels() -> None:
    prices = 100 * 1.5 ** (np.arange(60) % 3)
    data, spec = prepared(
        write(["day,price", *(f"{d},{p}" for d, p in zip(days(60), prices, strict=True))]),
        log_returns=("price",),
        targets=("price",),
    )
    assert spec.forecasts_returns
    batch = data.dataset("test").numpy()
    np.testing.assert_allclose(
        batch["level"] * np.exp(np.cumsum(batch["target"][:, :, 0], axis=1))[:, :1], prices[48:59, None], rtol=1e-5
    )
    # The scale is the error of the last price, not of the last return.
    step = np.abs(np.diff(np.log(prices)))[: len(prices) * 7 // 10 - 1]
    np.testing.assert_allclose(spec.scale, step.mean(), rtol=1e-3)


@pytest.mark.parametrize("sliding", [False, True])
def test_a_walk_forward_backtest_tests_every_block_once(sliding: bool) -> None:
    tested: list[int] = []
    for fold in range(3):
        data, spec = prepared(write(wave(100)), targets=("x",), horizon=1, fold=fold, folds=3, sliding=sliding)
        windows = {split: data.dataset(split).numpy()["index"] for split in ("train", "val", "test")}
        # 70 train, 10 validate, 20 test in blocks of 6, 7 and 7.
        shift = (0, 6, 13)[fold]
        start = shift if sliding else 0
        assert windows["train"].tolist() == list(range(max(start, 4), 70 + shift))
        assert windows["val"].tolist() == list(range(70 + shift, 80 + shift))
        assert spec.mean == (np.arange(start, 70 + shift).mean(),)
        tested += windows["test"].tolist()
    assert tested == list(range(80, 100))
    with pytest.raises(ConfigError, match=r"data\.fold=3"):
        prepared(write(wave()), fold=3, folds=3)


def test_a_model_reads_other_data_in_its_own_windows() -> None:
    _, spec = prepared(write(wave()), targets=("y",))
    other = SeriesCSV(name="series_csv", path=str(write(wave(90), "b.csv")), cache="cache", targets=("y",), lookback=9)
    other.given_spec = other.encoder = spec
    other.prepare_data()
    assert other.dataset("test")[0]["input"].shape == (4, 1)
    strange = SeriesCSV(name="series_csv", path="b.csv", cache="cache", targets=("x",))
    strange.given_spec = strange.encoder = spec
    with pytest.raises(DataError, match="it forecasts y, and the data has x"):
        strange.prepare_data()


def test_the_file_is_found_or_named(tmp_path: Path) -> None:
    data = SeriesCSV(name="series_csv", root=str(tmp_path), cache="cache", **SMALL)
    with pytest.raises(DataError, match=r"name yours with data\.path=FILE"):
        data.prepare_data()
    folder = tmp_path / "series_csv"
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("\n".join(wave()))
    with pytest.raises(DataError, match="2 files"):
        data.prepare_data()
    (folder / "b.csv").unlink()
    data.prepare_data()
    assert len(data.dataset("train")) == 37
