"""The table of a sweep: mean ± std over seeds and folds, for each choice. Imports nothing heavy."""

import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sightseq import console
from sightseq.core.naming import SECONDS, score_infos
from sightseq.core.rundir import read_config, without_repeats
from sightseq.sweep.folder import Job
from sightseq.sweep.job import command_of, key_of


def summarise(jobs: Collection[Job]) -> int:
    """Print the table of a sweep; return the exit status: 1 if a job failed, else 0."""
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    infos = {"seconds": SECONDS}
    for job in jobs:
        results = job.results()
        groups[job.choice].append(_scores(results))
        infos |= score_infos(results) if results else {}
    names = list(dict.fromkeys(name for group in groups.values() for scores in group for name in scores))
    table = console.new_table("", right=("runs", *names))
    for choice, group in groups.items():
        good = [scores for scores in group if scores]
        count = str(len(good)) if len(good) == len(group) else f"{len(good)} of {len(group)}"
        values = {name: [scores[name] for scores in good if name in scores] for name in names}
        cells = [infos[name.rpartition("/")[2]].mean_std_text(*mean_std(v)) if v else "" for name, v in values.items()]
        table.add_row(choice, count, *cells)
    out = console.console()
    out.print()
    out.print(table)
    for line in side_effects(jobs):
        out.print(line)
    failed = [job for job in jobs if job.state == "failed"]
    for job in failed:
        log = job.folder / "log.txt"  # missing if the job failed before training and printed the reason
        print(f"job {job.number} failed: {console.short(log) if log.exists() else command_of(job)}")
    return 1 if failed else 0


def side_effects(jobs: Collection[Job]) -> list[str]:
    """Return a line for each number that differs between the choices and was not swept.

    `optimizer=adamw,sgd` also compares two learning rates: that of the experiment and that of the other option.
    """
    numbers: dict[str, dict[str, str]] = defaultdict(dict)  # by key and choice
    last = {job.choice: job for job in jobs if job.results()}
    configs = {choice: without_repeats(read_config(job.folder))[0] for choice, job in last.items()}
    for choice, config in configs.items():
        for key, value in flat(config):
            numbers[key][choice] = value
    swept = {key_of(part) for choice in configs for part in choice.split(", ")}
    return [
        f"also different: {key} " + ", ".join(f"{value} ({choice})" for choice, value in values.items())
        for key, values in numbers.items()
        if len(values) == len(configs)
        and len({*values.values()}) > 1
        and key not in swept
        and not key.startswith("callbacks.prune.")
        and _are_numbers(values)
    ]


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested dictionaries as strings, with dotted keys."""
    if not isinstance(value, dict):
        yield prefix, "null" if value is None else str(value)
        return
    for key, inner in value.items():
        yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))


def _are_numbers(values: Mapping[str, str]) -> bool:
    try:
        return all(math.isfinite(float(value)) for value in values.values())
    except ValueError:
        return False


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
