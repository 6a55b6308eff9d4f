"""Base of all datasets in tables: columns by role, and formats of times."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightseq.core.errors import ConfigError
from sightseq.data.series.series import SeriesData
from sightseq.series.frame import Frame, Gaps, arrange
from sightseq.series.tables import Layout, Table, read_table
from sightseq.series.times import Frequency
from sightseq.series.zones import check_zone


class TableData(SeriesData):
    """Series in a table: a column of times, and columns of numbers.

    Args:
        time: column of the times; None: the first one.
        targets: columns to forecast; None: every column without another role.
        past: covariates known only up to the forecast origin.
        known: covariates known in advance.
        log_returns: columns to replace by their log returns; all targets, or none of them.
        frequency: step between two times, such as "h"; None: inferred. See `series.times.Frequency`.
        timezone: IANA name of the zone of times without an offset, and of the calendar features; None: UTC.
        gaps: "error" raises an error for missing times, "fill" inserts them with missing values, "keep" treats the rows
            as consecutive steps, such as trading days.
        common: see `SeriesData` and `DataModule`.
    """

    def __init__(
        self,
        *,
        time: str | None = None,
        targets: tuple[str, ...] | None = None,
        past: tuple[str, ...] = (),
        known: tuple[str, ...] = (),
        log_returns: tuple[str, ...] = (),
        frequency: str | None = None,
        timezone: str | None = None,
        gaps: Gaps = "error",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if frequency is not None:
            Frequency.parse(frequency)
        if timezone is not None:
            check_zone(timezone)
        if targets is not None and (not targets or not set(log_returns) <= {*targets, *past}):
            raise ConfigError("data.targets: name at least one; data.log_returns names targets and past covariates")
        self.layout = Layout(targets, past, known, time)
        self.log_returns, self.frequency, self.timezone, self.gaps = log_returns, frequency, timezone, gaps

    def cache_key(self) -> dict[str, Any]:
        """Return the options that affect reading."""
        names = ("log_returns", "frequency", "timezone", "gaps")
        return {"layout": vars(self.layout)} | {name: getattr(self, name) for name in names}

    def read(self, sources: list[Path]) -> tuple[Frame, Mapping[str, tuple[str, ...]]]:
        """Read one table."""
        return self.arranged(read_table(sources[0], self.layout))

    def arranged(self, table: Table) -> tuple[Frame, Mapping[str, tuple[str, ...]]]:
        """Put a table on a regular grid of times; return it with the roles of its columns."""
        frame = arrange(table, self.name, timezone=self.timezone, frequency=self.frequency, gaps=self.gaps)
        return frame, {"known": self.layout.known, "log_returns": self.log_returns}
