"""Sweeps: a fresh process for each job, and a table of mean ± std at the end. Imports nothing heavy."""

import json
import shlex
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightseq.core import rundir
from sightseq.core.errors import ConfigError
from sightseq.core.naming import mean_std_text
from sightseq.core.rundir import Config

REPEATS = frozenset({"seed", "data.fold"})
"""Keys whose values are repetitions of one measurement, not choices: the table averages over them."""
INTERRUPTED = 130


@dataclass(frozen=True)
class Job:
    """One job of a sweep: its run directory, the choices that tell it from others, its exit status."""

    folder: Path
    choice: str
    status: int

    def results(self) -> dict[str, Any] | None:
        """What results.json holds; None if the job did not end well."""
        file = self.folder / "results.json"
        return json.loads(file.read_text()) if file.exists() else None


def run_command(folder: Path) -> list[str]:
    """The process that fills a run directory."""
    return [sys.executable, "-m", "sightseq.run", str(folder)]


def run_job(command: str, config: Config, swept: set[str], typed: str, sweep: list[Job]) -> float | None:
    """Runs one job in a process of its own and adds it to `sweep`; returns the score, for sweepers that search.

    Raises:
        ConfigError: the command cannot be swept.
        KeyboardInterrupt: the job was interrupted, and so is the sweep.
    """
    from hydra.core.hydra_config import HydraConfig

    if command != "train":
        raise ConfigError(f"sightseq {command} runs once; -m is for sightseq train")
    if config["run_test"] == "auto":
        config["run_test"] = swept <= REPEATS  # a sweep that chooses must not see the test split
    overrides = list(HydraConfig.get().overrides.task)
    single = shlex.join(["sightseq", "train", *overrides])
    config["sweep"] = typed
    choice = ", ".join(o for o in overrides if o.partition("=")[0] in swept - REPEATS)
    folder = rundir.find_resumable(config) if config["resume"] == "auto" else None
    folder = folder or rundir.create(config, single)
    print(f"\njob {len(sweep) + 1}: {single}", flush=True)
    status = subprocess.run(run_command(folder)).returncode
    sweep.append(Job(folder, choice or config["experiment"], status))
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    results = sweep[-1].results()
    return results["val"][results["headline"]] if results else float("nan")


def summarise(sweep: list[Job]) -> int:
    """Prints the table of a sweep; the exit status is 1 if a job failed."""
    from sightseq.console import console, new_table

    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for job in sweep:
        groups[job.choice].append(job.results() or {})
    done = [results for group in groups.values() for results in group if results]
    names = list(
        dict.fromkeys(f"{s}/{m}" for r in done for s in ("val", "test") for m in (r["headline"], "loss") if r[s])
    )
    table = new_table("", right=("runs", *names, "seconds"))
    for choice, group in groups.items():
        good = [results for results in group if results]
        row = {name: mean_std([r[name.split("/")[0]][name.split("/")[1]] for r in good]) for name in names if good}
        if good:
            row["seconds"] = mean_std([r["seconds"]["total"] for r in good])
        count = str(len(good)) if len(good) == len(group) else f"{len(good)} of {len(group)}"
        table.add_row(
            choice,
            count,
            *(mean_std_text(name.partition("/")[2] or name, *row[name]) for name in (*names, "seconds") if name in row),
        )
    console().print()
    console().print(table)
    failed = [job for job in sweep if job.status]
    for job in failed:
        print(f"failed with status {job.status}: {job.folder / 'log.txt'}")
    return 1 if failed else 0


def mean_std(values: list[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; the latter is nan for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else float("nan")
