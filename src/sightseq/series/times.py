"""Regular times: frequencies, their inference, future times, calendar features."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import ConfigError, DataError
from sightseq.series.zones import DAY, Seconds, to_utc, to_wall

WEEK = 7 * DAY
MONTH = 31_556_952 / 12  # mean seconds of a Gregorian month
FIXED = {"W": WEEK, "D": DAY, "h": 3600, "min": 60, "s": 1}
MONTHS = {"Y": 12, "Q": 3, "M": 1}
ALIAS = re.compile(r"(\d*)(W|D|B|h|min|s|[YQM][SE])")
CYCLES = ("hour", "weekday", "yearday")  # day, week and year, as calendar features
SEASONS = {"s": 60, "min": 60, "h": 24, "D": 7, "B": 5, "W": 52, "M": 12, "Q": 4, "Y": 1}


@dataclass(frozen=True)
class Frequency:
    """The step between two consecutive times.

    Attributes:
        alias: a count (1 if left out) and a unit: "s", "min", "h", "D" (day), "B" (Monday to Friday), "W" (7 days),
            "MS", "QS", "YS" (month, quarter, year, at a fixed day of the month) or "ME", "QE", "YE" (at its last day).
        count: units of a step.
        unit: the unit without its count.
    """

    alias: str
    count: int
    unit: str

    @classmethod
    def parse(cls, alias: str) -> "Frequency":
        """Parse an alias.

        Raises:
            ConfigError: it is unknown.
        """
        match = ALIAS.fullmatch(alias)
        if match is None or match[1] == "0" or (match[2] == "B" and match[1] not in ("", "1")):
            raise ConfigError(
                f"data.frequency={alias} is not known; use a number and one of s, min, h, D, B, W, MS, ME, QS, QE, YS, "
                "YE, such as 15min"
            )
        return cls(alias, int(match[1] or 1), match[2])

    @property
    def months(self) -> int:
        """Months of a step, or 0 if it is not counted in months."""
        return self.count * MONTHS[self.unit[0]] if self.unit[0] in MONTHS else 0

    @property
    def seconds(self) -> float:
        """Length of a step in seconds; the mean length for months and business days."""
        if self.unit == "B":
            return WEEK / 5
        return self.months * MONTH if self.months else self.count * FIXED[self.unit]

    @property
    def on_wall(self) -> bool:
        """Whether steps are regular in wall time; steps below a day are regular in UTC."""
        return self.seconds >= DAY

    @property
    def season(self) -> int:
        """Usual number of steps of one season: a day of hours, a week of days, a year of months, else 1."""
        base = SEASONS[self.unit if self.unit in SEASONS else self.unit[0]]
        if self.unit == "min":
            base = 1440 if self.count > 1 else 60
        return base // self.count if base % self.count == 0 and base // self.count > 1 else 1

    def positions(self, times: Seconds, first: Seconds) -> tuple[Seconds, NDArray[np.bool_]]:
        """Return the number of steps from `first` to each time, [T], and which times are on the grid of steps, [T].

        Args:
            times: wall times if `on_wall`, else UTC, [T].
            first: first time of the series that each time belongs to, [T].
        """
        if self.unit == "B":
            days, start = times // DAY, first // DAY
            dates, from_dates = days.astype("datetime64[D]"), start.astype("datetime64[D]")
            fits = np.is_busday(dates) & np.is_busday(from_dates) & (times % DAY == first % DAY)
            count: Seconds = np.asarray(np.busday_count(from_dates, dates), np.int64)
            return count, fits
        if not self.months:
            step = int(self.seconds)
            return (times - first) // step, (times - first) % step == 0
        month, within, last = _split_month(times)
        first_month, first_within, first_last = _split_month(first)
        passed = month - first_month
        same = within == first_within if self.unit[1] == "S" else last & first_last
        return passed // self.months, same & (passed % self.months == 0)

    def times(self, first: Seconds, positions: Seconds) -> Seconds:
        """Return the time `positions` steps after `first`: the inverse of `positions`."""
        if self.unit == "B":
            days = np.busday_offset((first // DAY).astype("datetime64[D]"), positions, roll="backward")
            found: Seconds = days.astype(np.int64) * DAY + first % DAY
            return found
        if not self.months:
            fixed: Seconds = first + positions * int(self.seconds)
            return fixed
        month, within, _ = _split_month(first)
        month = month + positions * self.months
        start, end = _month_start(month), _month_start(month + 1)
        ends = end - DAY + first % DAY
        return ends if self.unit[1] == "E" else np.minimum(start + within, ends)


def infer_frequency(wall: Seconds, utc: Seconds, same: NDArray[np.bool_]) -> Frequency:
    """Infer the frequency: the most frequent step between consecutive times of a series.

    Args:
        wall: ascending wall times, series after series, [T].
        utc: the same times in UTC, [T].
        same: whether each time but the first belongs to the same series as the time before it, [T - 1].

    Raises:
        DataError: no series has two times.
    """
    steps, counts = np.unique(np.diff(utc)[same], return_counts=True)
    if not len(steps):
        raise DataError("the frequency is not known, as no series has two times; give data.frequency, such as D")
    step = int(steps[counts.argmax()])
    if step < DAY - 7200:  # a day of wall time has 22 to 26 hours, at least
        return _fixed(step)
    steps, counts = np.unique(np.diff(wall)[same], return_counts=True)
    step = int(steps[counts.argmax()])
    if step >= 28 * DAY:
        month, within, last = _split_month(wall)
        kind = "E" if last.all() else "S" if len(np.unique(within)) == 1 else ""
        if kind:
            steps, counts = np.unique(np.diff(month)[same], return_counts=True)
            months = int(steps[counts.argmax()])
            letter = next(name for name, length in MONTHS.items() if months % length == 0)
            count = months // MONTHS[letter]
            return Frequency.parse(f"{count if count > 1 else ''}{letter}{kind}")
    if step == DAY and (3 * DAY in steps) and np.is_busday((wall // DAY).astype("datetime64[D]")).all():
        return Frequency.parse("B")
    return _fixed(step)


def future_times(last: int, count: int, frequency: str, zone: str = "UTC") -> Seconds:
    """Return the `count` times after `last`, in seconds since 1970, UTC, [count].

    Args:
        last: last time of a series, seconds since 1970, UTC.
        count: number of steps.
        frequency: alias, see `Frequency`.
        zone: IANA name of the time zone in which steps of a day and more are regular.
    """
    step = Frequency.parse(frequency)
    first, ahead = np.full(count, last, np.int64), np.arange(1, count + 1)
    if not step.on_wall:
        return step.times(first, ahead)
    return to_utc(step.times(to_wall(first, zone), ahead), zone)


def calendar_names(frequency: Frequency, cycles: tuple[str, ...] = CYCLES) -> tuple[str, ...]:
    """Return the names of the calendar features that vary at this frequency, a sine and a cosine for each cycle.

    Args:
        frequency: step between two times.
        cycles: the requested cycles, some of `CYCLES`.
    """
    lengths = dict(zip(CYCLES, (DAY, WEEK, 12 * MONTH), strict=True))
    found = [cycle for cycle in CYCLES if cycle in cycles and frequency.seconds < lengths[cycle]]
    return tuple(f"{cycle}_{wave}" for cycle in found for wave in ("sin", "cos"))


def calendar(wall: Seconds, names: tuple[str, ...]) -> NDArray[np.float32]:
    """Return calendar features, each between -1 and 1, [T, K].

    Args:
        wall: wall times, [T].
        names: `hour_sin`, `hour_cos` (time of day), `weekday_sin`, `weekday_cos`, `yearday_sin`, `yearday_cos`.
    """
    days = wall // DAY
    phases: dict[str, NDArray[np.float64]] = {}
    for cycle in {name.rpartition("_")[0] for name in names}:
        if cycle == "hour":
            phases[cycle] = wall % DAY / DAY
        elif cycle == "weekday":
            phases[cycle] = (days + 3) % 7 / 7  # 1970-01-01 was a Thursday
        else:
            years = days.astype("datetime64[D]").astype("datetime64[Y]")
            start, end = (year.astype("datetime64[D]").astype(np.int64) for year in (years, years + 1))
            phases[cycle] = (wall / DAY - start) / (end - start)
    waves = {"sin": np.sin, "cos": np.cos}
    columns = [waves[wave](2 * np.pi * phases[cycle]) for cycle, _, wave in (name.rpartition("_") for name in names)]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(wall), 0), np.float32)


def _fixed(step: int) -> Frequency:
    """Return the frequency of a fixed step in seconds, in its largest unit."""
    unit = next(name for name, length in FIXED.items() if step % length == 0)
    count = step // FIXED[unit]
    return Frequency.parse(f"{count if count > 1 else ''}{unit}")


def _split_month(times: Seconds) -> tuple[Seconds, Seconds, NDArray[np.bool_]]:
    """Return months since 1970, seconds since the start of the month, and whether it is the last day of the month."""
    month = times.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    return month, times - _month_start(month), times >= _month_start(month + 1) - DAY


def _month_start(month: Seconds) -> Seconds:
    return month.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)
