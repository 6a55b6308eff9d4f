"""Sweeps: one process per job, and a table of mean ± std at the end. Imports nothing heavy."""

import json
import shlex
import signal
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightseq.core import resume
from sightseq.core.errors import ConfigError
from sightseq.core.naming import SECONDS, score_infos
from sightseq.core.rundir import Config

REPEATS = frozenset({"seed", "data.fold"})
"""Keys whose values repeat one measurement and are not choices: the table averages over them."""
INTERRUPTED = 130  # exit status of a process that SIGINT or SIGTERM ended


@dataclass(frozen=True)
class Job:
    """One job of a sweep: its run directory, the swept choices that identify it, its exit status."""

    folder: Path
    choice: str
    status: int

    def results(self) -> dict[str, Any] | None:
        """Return the content of results.json; None if the job failed."""
        file = self.folder / "results.json"
        return json.loads(file.read_text()) if file.exists() else None


def run_command(folder: Path) -> list[str]:
    """Return the command that executes the run of a run directory."""
    return [sys.executable, "-m", "sightseq.run", str(folder)]


def check(command: str, arguments: Collection[str]) -> None:
    """Reject a sweep over something that can run only once, before the sweep starts.

    Raises:
        ConfigError: the command is not train, or the sweep would resume one run several times.
    """
    if not {"-m", "--multirun"} & set(arguments):
        return
    if command != "train":
        raise ConfigError(f"sightseq {command} runs once; -m is for sightseq train")
    for argument in arguments:
        if argument.startswith("resume=") and argument not in ("resume=auto", "resume=null"):
            raise ConfigError(f"{argument}: one run cannot be resumed by several jobs; with -m use resume=auto")


def run_job(config: Config, swept: set[str], typed: str, sweep: list[Job]) -> float | None:
    """Run one job in its own process and append it to `sweep`.

    Returns:
        The headline score on the validation split, for sweepers that optimise; nan if the job failed.

    Raises:
        KeyboardInterrupt: the job was interrupted; this ends the sweep.
    """
    from hydra.core.hydra_config import HydraConfig

    if config["run_test"] == "auto":
        config["run_test"] = swept <= REPEATS  # a sweep over choices must not read the test split
    overrides = list(HydraConfig.get().overrides.task)
    single = shlex.join(["sightseq", "train", *overrides])
    config["sweep"] = {"command": typed, "folder": HydraConfig.get().sweep.dir, "job": len(sweep)}
    choice = ", ".join(o for o in overrides if o.partition("=")[0].lstrip("+") in swept - REPEATS)
    print(f"\njob {len(sweep) + 1}: {single}", flush=True)
    folder = resume.create_or_resume(config, single)
    status = 0 if resume.finished(folder) else run_process(run_command(folder))
    sweep.append(Job(folder, choice or config["experiment"], status))
    results = sweep[-1].results()
    return results["val"][results["headline"]] if results else float("nan")


def run_process(command: list[str]) -> int:
    """Run a process and wait for its end. On SIGINT or SIGTERM, give the process the time to save and exit by itself.

    Returns:
        Its exit status.

    Raises:
        KeyboardInterrupt: this process received SIGINT or SIGTERM, or the other one was interrupted.
    """
    received: list[int] = []
    missed: list[int] = []  # by the process, which did not exist yet
    process: subprocess.Popen[bytes] | None = None

    def on_signal(number: int, frame: Any) -> None:
        received.append(number)
        if process is None:
            missed.append(number)
        elif number == signal.SIGTERM:  # the terminal sends Ctrl-C to both processes
            process.terminate()

    handlers = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = subprocess.Popen(command)
        if missed:
            process.terminate()
        status = process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if received or status == INTERRUPTED:
        raise KeyboardInterrupt
    return status


def summarise(sweep: list[Job]) -> int:
    """Print the table of a sweep; return the exit status: 1 if a job failed, else 0."""
    from sightseq.console import console, new_table

    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    infos = {"seconds": SECONDS}
    for job in sweep:
        results = job.results()
        groups[job.choice].append(_scores(results))
        infos |= score_infos(results) if results else {}
    names = list(dict.fromkeys(name for group in groups.values() for scores in group for name in scores))
    table = new_table("", right=("runs", *names))
    for choice, group in groups.items():
        good = [scores for scores in group if scores]
        count = str(len(good)) if len(good) == len(group) else f"{len(good)} of {len(group)}"
        values = {name: [scores[name] for scores in good if name in scores] for name in names}
        cells = [infos[name.rpartition("/")[2]].mean_std_text(*mean_std(v)) if v else "" for name, v in values.items()]
        table.add_row(choice, count, *cells)
    console().print()
    console().print(table)
    failed = [job for job in sweep if job.status]
    for job in failed:
        log = job.folder / "log.txt"  # missing if the job failed before training and printed the reason
        print(f"failed with status {job.status}: {log if log.exists() else job.choice}")
    return 1 if failed else 0


def _scores(results: dict[str, Any] | None) -> dict[str, float]:
    """Return the columns of the table: headline and loss of validation and, if it was run, test; seconds."""
    if results is None:
        return {}
    stages = [stage for stage in ("val", "test") if results[stage]]
    scores = {f"{stage}/{name}": results[stage][name] for stage in stages for name in (results["headline"], "loss")}
    return scores | {"seconds": results["seconds"]["total"]}


def mean_std(values: list[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation; the latter is nan for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else float("nan")
