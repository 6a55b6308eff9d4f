"""Conversion between wall times and UTC for arrays of seconds, including daylight saving time."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import ConfigError, DataError

Seconds = NDArray[np.int64]
DAY = 86400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = -62_135_510_400, 253_402_214_400  # a day after the first and before the last time of Python


def to_wall(utc: Seconds, zone: str) -> Seconds:
    """Return the wall time of a zone, as seconds since 1970-01-01 00:00 on the wall.

    Args:
        utc: seconds since 1970, UTC, [T].
        zone: IANA name, such as "Europe/Berlin".
    """
    return utc + _offset(utc, zone) if len(utc) else utc


def to_utc(wall: Seconds, zone: str, second: NDArray[np.bool_] | None = None) -> Seconds:
    """Return UTC for wall times of a zone.

    When clocks go back, an hour occurs twice: a time belongs to its first pass, unless `second` is true for it.

    Args:
        wall: seconds since 1970-01-01 00:00 on the wall, [T].
        zone: IANA name.
        second: whether each time belongs to the second pass of a repeated hour, [T].

    Raises:
        DataError: a time does not exist, because clocks went forward.
    """
    if not len(wall):
        return wall
    before, after = _offset(wall - DAY, zone), _offset(wall + DAY, zone)
    first, last = wall - before, wall - after
    exists = _offset(first, zone) == before
    twice = exists & (_offset(last, zone) == after)
    missing = ~exists & (_offset(last, zone) != after)
    if missing.any():
        time = format_times(wall[missing][:1])[0]
        raise DataError(f"the time {time} does not exist in {zone}, as clocks went forward; give UTC or an offset")
    if second is not None:
        exists = exists & ~(twice & second)
    return np.where(exists, first, last)


def check_zone(zone: str) -> None:
    """Check the name of a time zone.

    Raises:
        ConfigError: it is unknown.
    """
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"data.timezone={zone} is not a known time zone; use an IANA name such as Europe/Berlin "
            "(if none is known: pip install tzdata)"
        ) from error


def format_times(seconds: Seconds) -> list[str]:
    """Format seconds since 1970 as "2024-03-31 02:30:00", or as "2024-03-31" if the time of day is 0."""
    texts = np.datetime_as_string(np.asarray(seconds, np.int64).astype("datetime64[s]"))
    return [str(text).replace("T00:00:00", "").replace("T", " ") for text in texts]


def _offset(utc: Seconds, zone: str) -> Seconds:
    """Return the offset from UTC in seconds, [T]."""
    if zone == "UTC":
        return np.zeros_like(utc)
    first, last = int(utc.min()), int(utc.max())
    # Rounding to whole years lets calls with similar data share the cache.
    year = 366 * DAY
    times, offsets = _transitions(zone, first // year * year, (last // year + 1) * year)
    found: Seconds = offsets[np.searchsorted(times, utc, side="right")]
    return found


@lru_cache(maxsize=64)
def _transitions(zone: str, first: int, last: int) -> tuple[Seconds, Seconds]:
    """Return the times of changes of the offset, [N], and the offsets before, between and after them, [N + 1]."""
    check_zone(zone)
    info = ZoneInfo(zone)

    def offset(time: int) -> int:
        moment = EPOCH + timedelta(seconds=min(max(time, FIRST), LAST))
        return round((moment.astimezone(info).utcoffset() or timedelta()).total_seconds())

    times: list[int] = []
    offsets = [offset(first)]
    for start in range(first, last, DAY):
        low, high = start, min(start + DAY, last)
        new = offset(high)
        if new != offsets[-1]:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if offset(middle) == new else (middle, high)
            times.append(high)
            offsets.append(new)
    return np.array(times, np.int64), np.array(offsets, np.int64)
