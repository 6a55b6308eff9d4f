"""Series on a regular grid of times: sorted, checked, with gaps found and filled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import DataError
from sightseq.series.tables import Table
from sightseq.series.times import Frequency, infer_frequency
from sightseq.series.zones import Seconds, format_times, to_utc, to_wall

Gaps = Literal["error", "fill", "keep"]
"""Treatment of missing steps: raise an error, insert rows of missing values, or treat the rows as consecutive."""
LARGEST = 10  # maximum ratio of inserted rows to rows of the table; more would mean that a time is wrong


@dataclass(frozen=True)
class Frame:
    """Series one after another, each in ascending order of time.

    Attributes:
        targets: names of the first columns.
        columns: names of all columns.
        values: NaN where a value is missing, [T, columns].
        utc: seconds since 1970, UTC, [T].
        wall: the same times as wall times of `timezone`, [T].
        ends: row after the last of each series, [S].
        names: names of the series, [S].
        frequency: step between two rows.
        timezone: IANA name.
        inserted: number of rows inserted into gaps.
    """

    targets: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    utc: Seconds
    wall: Seconds
    ends: NDArray[np.int64]
    names: Sequence[str]
    frequency: Frequency
    timezone: str = "UTC"
    inserted: int = 0


def arrange(
    table: Table, name: str, *, timezone: str | None = None, frequency: str | None = None, gaps: Gaps = "error"
) -> Frame:
    """Sort a table by series and time, and put each series on a regular grid of times.

    Rows may be in any order. Times without an offset are wall times of `timezone`. Where clocks go back, the second of
    two equal times belongs to the second pass of the hour.

    Args:
        table: a table as returned by `read_table`.
        name: name of the data, for messages.
        timezone: IANA name; None: UTC.
        frequency: alias, see `Frequency`; None: inferred from the most frequent step.
        gaps: see `Gaps`.

    Raises:
        DataError: a time of a series is repeated, off the grid, or missing with `gaps` "error".
        ConfigError: the time zone or the frequency is unknown.
    """
    zone = timezone or "UTC"
    series, times, values = table.series, table.times, table.values
    if len(times) > 1 and (np.diff(times) < 0).sum() > (np.diff(times) > 0).sum():  # the newest first
        series, times, values = series[::-1], times[::-1], values[::-1]
    utc = times if table.in_utc else to_utc(times, zone, None if zone == "UTC" else _repeated(series, times))
    if not _ascending(series, utc):
        order = np.lexsort((utc, series))
        series, utc, values = series[order], utc[order], values[order]
    wall = to_wall(utc, zone)
    same = series[1:] == series[:-1]
    if (twice := np.flatnonzero(same & (utc[1:] == utc[:-1]))).size:
        raise DataError(
            f"{name}: the time {format_times(wall[twice[:1]])[0]}{_of(table, series[twice[0]])} occurs more than once "
            f"({len(twice):,} rows too many in all); remove the repeated rows, or name the column that tells the "
            "series apart with data.series="
        )
    step = Frequency.parse(frequency) if frequency else infer_frequency(wall, utc, same)
    ends = np.append(np.flatnonzero(~same) + 1, len(series)).astype(np.int64)
    names = [table.names[number] for number in series[ends - 1]]
    frame = Frame(table.targets, table.columns, values, utc, wall, ends, names, step, zone)
    return frame if gaps == "keep" else _on_grid(frame, name, gaps)


def select(frame: Frame, rows: NDArray[np.bool_]) -> Frame:
    """Return the chosen rows, [T]; series without rows are left out."""
    counts = np.add.reduceat(rows, np.append(0, frame.ends[:-1])) if len(frame.ends) else np.zeros(0, np.int64)
    kept = np.flatnonzero(counts)
    return Frame(
        frame.targets,
        frame.columns,
        frame.values[rows],
        frame.utc[rows],
        frame.wall[rows],
        np.cumsum(counts[kept], dtype=np.int64),
        [frame.names[number] for number in kept.tolist()],
        frame.frequency,
        frame.timezone,
        frame.inserted,
    )


def _on_grid(frame: Frame, name: str, gaps: Gaps) -> Frame:
    """Check that the times are regular, and insert rows where times are missing."""
    step, starts = frame.frequency, np.append(0, frame.ends[:-1])
    lengths = np.diff(frame.ends, prepend=0)
    times = frame.wall if step.on_wall else frame.utc
    positions, fits = step.positions(times, np.repeat(times[starts], lengths))
    if not fits.all():
        row = int(np.flatnonzero(~fits)[0])
        first = int(starts[np.searchsorted(frame.ends, row, side="right")])
        time, begin = format_times(frame.wall[[row, first]])
        raise DataError(
            f"{name}: the times are not regular: {time}{_named(frame, row)} does not fit the frequency {step.alias} "
            f"from {begin} on ({(~fits).sum():,} rows in all); resample them, give another data.frequency= or "
            "data.timezone=, or take the rows as consecutive steps with data.gaps=keep"
        )
    ahead = np.diff(positions)
    ahead[frame.ends[:-1] - 1] = 1
    holes = np.flatnonzero(ahead != 1)
    if not holes.size:
        return frame
    missing, row = int((ahead - 1).sum()), int(holes[0])
    before, after = format_times(frame.wall[row : row + 2])
    what = (
        f"{name}: {missing:,} times are missing at the frequency {step.alias}, the first "
        f"between {before} and {after}{_named(frame, row)}"
    )
    if gaps == "error":
        raise DataError(
            f"{what}; insert them as missing values with data.gaps=fill, or take the rows as consecutive steps with "
            "data.gaps=keep"
        )
    if missing > LARGEST * len(times):
        raise DataError(f"{what}; that is more than {LARGEST} times the rows of the table: correct the times")
    counts = positions[frame.ends - 1] + 1
    ends = np.cumsum(counts)
    begins = ends - counts
    places = positions + np.repeat(begins, lengths)
    values = np.full((int(ends[-1]), frame.values.shape[1]), np.nan)
    values[places] = frame.values
    grid = step.times(np.repeat(times[starts], counts), np.arange(ends[-1]) - np.repeat(begins, counts))
    wall, utc = (grid, to_utc(grid, frame.timezone)) if step.on_wall else (to_wall(grid, frame.timezone), grid)
    return Frame(frame.targets, frame.columns, values, utc, wall, ends, frame.names, step, frame.timezone, missing)


def _ascending(series: NDArray[np.int64], utc: Seconds) -> bool:
    """Return whether the rows are sorted by series, then by time."""
    later = np.diff(series)
    return bool(((later > 0) | ((later == 0) & (np.diff(utc) >= 0))).all())


def _repeated(series: NDArray[np.int64], wall: Seconds) -> NDArray[np.bool_]:
    """Return whether the same wall time of the same series occurs in an earlier row, [N]."""
    order = np.lexsort((wall, series))  # stable: equal times stay in the order of the file
    found = np.zeros(len(wall), np.bool_)
    found[order[1:]] = (np.diff(series[order]) == 0) & (np.diff(wall[order]) == 0)
    return found


def _of(table: Table, number: int) -> str:
    return f" of the series {table.names[number]!r}" if len(table.names) > 1 else ""


def _named(frame: Frame, row: int) -> str:
    if len(frame.names) == 1:
        return ""
    return f" of the series {frame.names[int(np.searchsorted(frame.ends, row, side='right'))]!r}"
