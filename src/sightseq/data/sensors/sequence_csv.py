"""The user's own sensors: CSV, TSV or Parquet files with a row for each time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.data.sensors.recordings import Recording, Recordings, SensorData
from sightseq.data.sensors.synthetic import waves
from sightseq.series.grid import regular
from sightseq.series.sensor_tables import TimeUnit, read_sensors, usual_rate
from sightseq.series.tables import SUFFIXES, read_header

SPLITS = {"train": "train", "val": "val", "valid": "val", "test": "test"}


class SequenceCSV(SensorData):
    """A table, or a folder of them, with columns of times, numbers (the channels), labels, and perhaps persons.

    Consecutive rows with the same label, person and recording are one recording; so is the part between two gaps. Rows
    may be in any order of times, which may be irregular, and differ in rate between recordings: see
    `series.grid.regular`. Rows without a label are left out. Files named train, val (or valid) and test are these
    splits, all others are "train": see `GroupedData`.

    Args:
        path: the file or folder; None: the first of `folders` that exists.
        time: column of the times, numbers or ISO 8601; None: the rows of a recording are consecutive steps.
        channels: columns of numbers; None: every column without another role.
        label: column of the labels.
        group: column of the persons; None: unknown.
        recording: column with a name for each recording; None: recordings differ in label, person, file or time.
        rate: steps per second to which all recordings are brought, in Hz; None: the usual one of the times.
        time_unit: unit of times that are numbers.
        delimiter: comma, semicolon, tab, bar, or a character; None: the one in the header.
        decimal: decimal point, "." or ",".
        zero_missing: whether 0 stands for a missing value.
        common: see `SensorData`.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        time: str | None = "time",
        channels: Sequence[str] | None = None,
        label: str = "label",
        group: str | None = None,
        recording: str | None = None,
        rate: float | None = None,
        time_unit: TimeUnit = "s",
        delimiter: str | None = None,
        decimal: str = ".",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)
        self.time, self.channels, self.rate = time, None if channels is None else tuple(channels), rate
        self.names = {"label": label, "person": group, "recording": recording}
        self.layout: dict[str, Any] = {"unit": time_unit, "delimiter": delimiter, "decimal": decimal}
        if self.synthetic:  # the generated table has the default columns
            self.time, self.channels, self.layout = "time", None, {}
            self.names = {"label": "label", "person": "person", "recording": None}

    def cache_key(self) -> dict[str, Any]:
        """Options that change the recordings."""
        own = {"time": self.time, "channels": self.channels, "rate": self.rate}
        return {**super().cache_key(), **own, "names": self.names, "layout": self.layout}

    def locate(self) -> list[Path]:
        """Return the tables.

        Raises:
            DataError: there are none.
        """
        kinds = ", ".join(SUFFIXES)
        place = find_own(self.name, self.path, self.root, self.folders, f"FILE or FOLDER ({kinds})")
        files = [place] if place.is_file() else sorted(place.iterdir())
        files = [file for file in files if file.suffix.lower() in SUFFIXES]
        if not files:
            raise DataError(
                f"{self.name}: {place} contains no tables ({kinds}); name yours with data.path=FILE or FOLDER"
            )
        return files

    def recordings(self, sources: Sequence[Path]) -> Recordings:
        """Return the recordings, at one rate."""
        names = {role: name for role, name in self.names.items() if name}
        header, _ = read_header(sources[0], self.layout.get("delimiter"))
        others = {self.time, *names.values()}
        channels = self.channels or tuple(name for name in header if name not in others)
        if not channels:
            raise DataError(f"{self.name}: {sources[0]} has no column of numbers; name them with data.channels=[...]")
        parts = [part for file in sources for part in self._parts(file, channels, names)]
        if not parts:
            raise DataError(f"{self.name}: no row has a label in the column {names['label']!r}")
        rate = self.rate or usual_rate([times for times, _ in parts if times is not None])
        items = []
        for times, item in parts:
            cut = [(0.0, item.values)] if times is None or rate is None else regular(times, item.values, rate)
            items += [Recording(values, item.label, item.split, item.person) for _, values in cut]
        return Recordings(channels, rate, items)

    def _parts(
        self, file: Path, channels: Sequence[str], names: dict[str, str]
    ) -> Iterator[tuple[np.ndarray | None, Recording]]:
        """Yield the times, and the recording of each run of rows with the same names."""
        times, values, texts = read_sensors(file, channels, time=self.time, names=[*names.values()], **self.layout)
        columns = {role: texts[name] for role, name in names.items()}
        keys = np.stack([*columns.values()], axis=1)
        starts = np.flatnonzero(np.any(keys[1:] != keys[:-1], axis=1)) + 1
        split = SPLITS.get(file.stem.lower(), "train")
        for rows in np.split(np.arange(len(keys)), starts):
            row = rows[0]
            if label := str(columns["label"][row]):
                person = str(columns["person"][row]) if "person" in columns else ""
                yield None if times is None else times[rows], Recording(values[rows], label, split, person)

    def write_synthetic(self, folder: Path) -> None:
        """Write one table: three activities of each of five persons, twice, at 20 Hz, with missing values."""
        lines = ["time,acc_x,acc_y,acc_z,label,person"]
        generator = np.random.default_rng(0)
        time = 0.0
        for number in range(30):
            label, person = number % 3, number // 3 % 5
            for row in waves(label, 60 + 3 * number, 3, 20, seed=number):
                cells = ["" if generator.random() < 0.02 else f"{value:.3f}" for value in row]
                lines.append(",".join([f"{time:.3f}", *cells, ("walk", "run", "sit")[label], f"p{person}"]))
                time += 0.05 + generator.normal(0, 0.002)
        (folder / "sensors.csv").write_text("\n".join(lines) + "\n")
