"""Memory of forecasting on long series. `pytest -m slow -n 0 -s tests/slow/test_forecasting.py` prints the peak."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
ROWS, COLUMNS, DAY = 1_000_000, 6, 1440
LIMIT = 2 * 1024  # MiB


def test_a_csv_of_a_million_rows_trains_within_2_gib(tmp_path: Path) -> None:
    file = tmp_path / "million.csv"
    write_table(file)
    arguments = ["experiment=series_csv", f"data.path={file}", "data.lookback=96", "baseline=none"]
    arguments += [f"paths.runs={tmp_path / 'runs'}", f"paths.cache={tmp_path / 'cache'}", "trainer.max_epochs=1"]
    arguments += [f"trainer.limit_{stage}_batches=20" for stage in ("train", "val", "test")]
    command = [sys.executable, "-c", "from sightseq.cli import main; main()", "train", *arguments]
    begun, peak = time.perf_counter(), 0
    process = subprocess.Popen(command)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = max([peak, *(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))])
        time.sleep(0.1)
    seconds = time.perf_counter() - begun
    print(f"\n{file.stat().st_size >> 20} MiB of CSV: at most {peak} MiB of memory, {seconds:.0f} s")
    assert process.returncode == 0
    assert len(list(tmp_path.glob("runs/series_csv/*/results.json"))) == 1
    assert 100 < peak < LIMIT


def write_table(file: Path) -> None:
    """Write a million minutes of six columns: daily waves and noise."""
    times = (np.datetime64("2020-01-01T00:00:00") + np.arange(ROWS).astype("timedelta64[m]")).astype(str)
    noise = np.random.default_rng(0).normal(0, 0.3, (ROWS, COLUMNS))
    values = np.sin(2 * np.pi * np.arange(ROWS)[:, None] / DAY) + noise
    with file.open("w") as lines:
        lines.write("time," + ",".join(f"y{number}" for number in range(COLUMNS)) + "\n")
        lines.writelines(
            f"{time}," + ",".join(f"{value:.4f}" for value in row) + "\n"
            for time, row in zip(times, values.tolist(), strict=True)
        )
