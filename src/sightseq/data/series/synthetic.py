"""Generated series that a network learns quickly, and their tables."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightseq.series.times import Frequency
from sightseq.series.zones import format_times


def synthetic_values(rows: int, columns: int, season: int, seed: int = 0) -> NDArray[np.float64]:
    """Return seasonal waves with a little noise around 10, [rows, columns]; each column has its own phase."""
    generator = np.random.default_rng(seed)
    phase = 2 * np.pi * (np.arange(rows)[:, None] / season + generator.uniform(size=columns))
    return 10 + 3 * np.sin(phase) + generator.normal(0, 0.3, (rows, columns))


def synthetic_prices(rows: int, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Return open, high, low, close and volume of a random walk with momentum, [rows] each."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, 0.01, rows + 1)
    close = 50 * np.exp(np.cumsum(noise[1:] + 0.8 * noise[:-1]))
    opened = close * np.exp(generator.normal(0, 0.003, rows))
    spread = np.exp(np.abs(generator.normal(0, 0.005, rows)))
    high, low = np.maximum(opened, close) * spread, np.minimum(opened, close) / spread
    return {"open": opened, "high": high, "low": low, "close": close, "volume": generator.integers(10**6, 10**7, rows)}


def synthetic_times(start: str, frequency: str, rows: int) -> NDArray[np.int64]:
    """Return wall times from `start`, such as "1981-01-01", in seconds since 1970, [rows]."""
    first = np.full(rows, np.datetime64(start, "s").astype(np.int64))
    return Frequency.parse(frequency).times(first, np.arange(rows))


def write_table(
    file: Path, header: Sequence[str], times: NDArray[np.int64] | Sequence[str], *columns: NDArray[np.float64]
) -> None:
    """Write a CSV file with a header.

    Args:
        file: output file; its folder must exist.
        header: names of the columns.
        times: first column: seconds since 1970, or text, [T].
        columns: other columns, [T] or [T, columns] each; NaN becomes an empty field.
    """
    first = format_times(times) if isinstance(times, np.ndarray) else times
    values = np.concatenate([np.asarray(column).reshape(len(first), -1) for column in columns], axis=1)
    lines = [
        ",".join([time, *(f"{v:.6g}" if v == v else "" for v in row)])
        for time, row in zip(first, values.tolist(), strict=True)
    ]
    file.write_text("\n".join([",".join(header), *lines]) + "\n")
