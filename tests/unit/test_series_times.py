"""Times of series: frequencies, future times, daylight saving, calendar features."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from sightseq.core.errors import ConfigError, DataError
from sightseq.series.times import Frequency, calendar, calendar_names, future_times, infer_frequency
from sightseq.series.zones import format_times, to_utc, to_wall


def seconds(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[s]").astype(np.int64)


def infer(*texts: str) -> str:
    times = seconds(*texts)
    return infer_frequency(times, times, np.ones(len(times) - 1, bool)).alias


@pytest.mark.parametrize(
    ("alias", "first"),
    [
        ("s", "2024-02-28T23:59:00"),
        ("15min", "2024-02-28T23:45:00"),
        ("h", "2024-02-28T23:00:00"),
        ("D", "2024-02-28"),
        ("B", "2024-02-28"),
        ("W", "2024-02-28"),
        ("2W", "2024-02-28"),
        ("MS", "2024-01-01"),
        ("MS", "2024-01-15T06:00:00"),
        ("ME", "2024-01-31"),
        ("QS", "2023-11-01"),
        ("QE", "2023-11-30"),
        ("YS", "2024-01-01"),
        ("YE", "2024-02-29"),
        ("2MS", "2024-01-01"),
    ],
)
def test_a_frequency_is_found_again_in_its_times(alias: str, first: str) -> None:
    step = Frequency.parse(alias)
    start = np.full(40, seconds(first)[0])
    times = step.times(start, np.arange(40))
    assert infer_frequency(times, times, np.ones(39, bool)) == step
    positions, fits = step.positions(times, start)
    assert positions.tolist() == list(range(40))
    assert fits.all()
    assert (future_times(int(times[9]), 30, alias) == times[10:]).all()


def test_frequencies_by_hand() -> None:
    assert infer("1949-01-01", "1949-02-01", "1949-03-01", "1949-05-01") == "MS"
    assert infer("2024-03-01", "2024-03-04", "2024-03-05", "2024-03-06") == "B"  # Friday, Monday
    assert infer("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-06") == "D"
    assert infer("2024-01-01", "2024-01-29", "2024-02-26") == "4W"
    assert format_times(future_times(int(seconds("2024-01-31")[0]), 3, "ME")) == [
        "2024-02-29",
        "2024-03-31",
        "2024-04-30",
    ]
    with pytest.raises(DataError, match="frequency is not known"):
        infer("2024-01-01")


@pytest.mark.parametrize("alias", ["", "0h", "H", "2B", "month", "-1D"])
def test_unknown_frequencies_are_refused(alias: str) -> None:
    with pytest.raises(ConfigError, match="frequency"):
        Frequency.parse(alias)


def test_usual_seasons() -> None:
    seasons = {"h": 24, "15min": 96, "min": 60, "D": 7, "B": 5, "W": 52, "MS": 12, "QS": 4, "YS": 1, "5h": 1, "2h": 12}
    assert {alias: Frequency.parse(alias).season for alias in seasons} == seasons


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
def test_wall_times_are_those_of_zoneinfo(zone: str) -> None:
    utc = np.random.default_rng(0).integers(0, 2_000_000_000, 300)
    wall = to_wall(utc, zone)
    moments = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(time)) for time in utc]
    expected = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    assert format_times(wall) == [f"{time:%Y-%m-%d %H:%M:%S}" for time in expected]
    second = np.array([bool(time.fold) for time in expected])
    assert (to_utc(wall, zone, second) == utc).all()


def test_the_repeated_hour_and_the_missing_hour() -> None:
    wall = seconds("2024-10-27T01:30", "2024-10-27T02:30", "2024-10-27T02:30", "2024-10-27T03:30")
    utc = to_utc(wall, "Europe/Berlin", np.array([False, False, True, False]))
    assert np.diff(utc).tolist() == [3600, 3600, 3600]
    with pytest.raises(DataError, match="2024-03-31 02:30:00 does not exist in Europe/Berlin"):
        to_utc(seconds("2024-03-31T02:30"), "Europe/Berlin")
    with pytest.raises(ConfigError, match="Europe/Berlim is not a known time zone"):
        to_utc(wall, "Europe/Berlim")


def test_days_of_wall_time_are_regular_over_daylight_saving() -> None:
    last = int(to_utc(seconds("2024-03-30"), "Europe/Berlin")[0])
    times = future_times(last, 3, "D", "Europe/Berlin")
    assert np.diff(times).tolist() == [23 * 3600, 24 * 3600]
    assert format_times(to_wall(times, "Europe/Berlin")) == ["2024-03-31", "2024-04-01", "2024-04-02"]
    wall = to_wall(np.concatenate([[last], times]), "Europe/Berlin")
    assert infer_frequency(wall, to_utc(wall, "Europe/Berlin"), np.ones(3, bool)).alias == "D"


def test_calendar_by_hand() -> None:
    names = calendar_names(Frequency.parse("h"))
    assert names == ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "yearday_sin", "yearday_cos")
    assert calendar_names(Frequency.parse("D")) == names[2:]
    assert calendar_names(Frequency.parse("MS")) == names[4:]
    assert calendar_names(Frequency.parse("YS")) == ()
    monday = calendar(seconds("2024-01-01T06:00"), names)[0]  # a Monday, a quarter of the day gone
    np.testing.assert_allclose(monday, [1, 0, 0, 1, np.sin(np.pi / 2 / 366), np.cos(np.pi / 2 / 366)], atol=1e-6)
    assert calendar(seconds("2024-01-01"), ()).shape == (1, 0)
