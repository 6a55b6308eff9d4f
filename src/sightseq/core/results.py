"""results.json: the final scores of a run, with everything needed to verify and reproduce them."""

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sightseq.core.baseline import Baseline
from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
from sightseq.core.environment import commit, hardware, versions
from sightseq.core.files import replacing
from sightseq.core.naming import network_name
from sightseq.core.rundir import Config
from sightseq.core.task import Task

log = logging.getLogger("sightseq")


def describe_run(config: Config, task: Task, data: DataModule, folder: Path) -> dict[str, Any]:
    """Describe a run: experiment, model, data, hardware, versions and time."""
    splits = {split: len(data.dataset(split)) for split in ("train", "val", "test")}
    infos = {name: info for stage in task.scoreboard.infos.values() for name, info in stage.items()}
    return {
        "experiment": config["experiment"],
        "title": config["title"],
        "name": folder.name,
        "command": config["run"]["command"],
        "sweep": (config.get("sweep") or {}).get("command"),  # of the sweep that this run is a job of
        "commit": commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config["seed"],
        "task": type(task).__name__,
        "network": network_name(task.net),
        "parameters": sum(parameter.numel() for parameter in task.net.parameters()),
        "training_differs": task.training_differences(),
        "headline": task.headline,
        "columns": [name for name in task.columns if name in infos],
        "metrics": {
            name: {"title": info.title, "higher_is_better": info.higher_is_better, "percent": info.percent}
            for name, info in infos.items()
        },
        "data": {
            **task.spec.summary(),
            "name": data.name,
            "module": type(data).__name__,
            "synthetic": data.synthetic,
            "licence": data.licence,
            "counted": data.sample_unit,
            **splits,
            **({"streams": data.streams} if data.streams else {}),
            **({"skipped": len(data.skipped)} if data.skipped else {}),
            **({"remarks": data.remarks} if data.remarks else {}),
        },
        "hardware": hardware(),
        "versions": versions(),
    }


def training_scores(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the training scores of the last epoch by name, from the rows of metrics.csv.

    They were measured with dropout and augmentation.
    """
    row = history[-1] if history else {}
    return {
        name.removeprefix("train/"): value
        for name, value in row.items()
        if name.startswith("train/") and not math.isnan(value)
    }


def make_baselines(config: Config) -> dict[str, Baseline]:
    """Build the baselines of the config; return them by name."""
    return {name: build(brick, Baseline, f"baseline.{name}") for name, brick in config["baseline"].items() if brick}


def score_baselines(baselines: Mapping[str, Baseline], data: DataModule, test: bool) -> dict[str, Any]:
    """Score each baseline: fitted on the training split for validation, on training and validation for the test.

    A baseline that fails has an `error` instead of scores, and its traceback is in the log: the training is not lost.
    """
    scores: dict[str, Any] = {}
    for name, baseline in baselines.items():
        try:
            scores[name] = _score(baseline, data, test)
        except Exception as error:  # a library may raise anything on unsuitable data
            log.exception("the baseline %s failed", name)
            scores[name] = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]}
    return scores


def _score(baseline: Baseline, data: DataModule, test: bool) -> dict[str, Any]:
    start = time.monotonic()
    learns = type(baseline).fit is not Baseline.fit
    baseline.spec = data.spec
    val = baseline.read(data.dataset("val"))
    if learns:
        train = baseline.read(data.dataset("train"))
        baseline.fit(train)
    scores: dict[str, Any] = {"val": baseline.score(val), "test": None}
    if test:
        if learns:
            baseline.fit({key: np.concatenate([train[key], val[key]]) for key in train})
        scores["test"] = baseline.score(baseline.read(data.dataset("test")))
    return scores | {"seconds": round(time.monotonic() - start, 1)}


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Write results.json atomically: a run that has this file has finished."""
    with replacing(folder / "results.json") as file:
        file.write(json.dumps(results, indent=2).encode())
