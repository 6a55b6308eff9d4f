"""Finds the run directory to resume or prolong, and checks that this is possible. Imports nothing heavy."""

import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from sightseq.core import cluster, rundir
from sightseq.core.errors import ConfigError
from sightseq.core.rundir import LENGTH, Config

State = Literal["interrupted", "finished", "at work", "empty", "no run", "missing"]
REASONS: dict[State, str] = {
    "at work": "another process is using it",
    "empty": "it was interrupted before its first checkpoint; start a new run without resume=",
    "no run": "it is not a run directory: it has no config.yaml",
    "missing": "there is no such folder",
}


def state_of(folder: Path) -> State:
    """Return the state of a run directory; only an interrupted run can be resumed without a new length."""
    if not folder.is_dir():
        return "missing"
    if not (folder / "config.yaml").is_file():
        return "no run"
    if rundir.busy(folder):
        return "at work"
    if finished(folder):
        return "finished"
    return "interrupted" if (folder / "checkpoints" / "last.ckpt").exists() else "empty"


def finished(folder: Path) -> bool:
    """Return whether the run has finished."""
    return (folder / "results.json").exists()


def resume(typed: str, config: Config, keys: Collection[str]) -> Path:
    """Return the run directory that `resume=` names, prepared for further training.

    Args:
        typed: a run directory, or a checkpoint in one, which then replaces checkpoints/last.ckpt.
        config: the composed config, with the new length.
        keys: the typed keys. Only those in `LENGTH` are allowed; they prolong the run, even a finished one.

    Of several processes of a launch, the first does this, and the others wait for it.

    Raises:
        ConfigError: the run cannot be resumed, or other keys were typed.
    """
    return cluster.agree(lambda: _resume(typed, config, keys), Path(config["paths"]["runs"]))


def _resume(typed: str, config: Config, keys: Collection[str]) -> Path:
    named = Path(typed).expanduser().resolve()
    folder = named.parents[1] if named.suffix == ".ckpt" and named.is_file() else named
    if others := {*keys} - LENGTH:
        raise ConfigError(
            f"resume={typed}: a run is resumed with its own config; only {' and '.join(sorted(LENGTH))} may change, "
            f"not {', '.join(sorted(others))} (init_from= starts a new run from its weights)"
        )
    state = state_of(folder)
    if state == "empty" and named != folder:
        state = "interrupted"
    if state in REASONS:
        raise ConfigError(f"resume={typed}: {REASONS[state]}")
    if state == "finished":
        check_longer(folder, config, keys, f"resume={typed}")
    if named != folder:
        replace_last(folder, named)
    prolong(folder, config, keys)
    return folder


def check_longer(folder: Path, config: Config, keys: Collection[str], typed: str) -> None:
    """Check that a finished run is resumed only to train it longer.

    Raises:
        ConfigError: no new length was typed, or it is not above the trained epochs.
    """
    epochs = json.loads((folder / "results.json").read_text())["epochs"]
    most = config["trainer"]["max_epochs"]
    if not {*keys} & LENGTH or ("trainer.max_epochs" in keys and most not in (None, -1) and most <= epochs):
        raise ConfigError(
            f"{typed}: the run has finished after {epochs} epochs; to train it longer: "
            f"resume={folder} trainer.max_epochs=N, with N above {epochs}"
        )


def replace_last(folder: Path, checkpoint: Path) -> None:
    """Replace last.ckpt with a copy of a checkpoint; the old last.ckpt is kept as last-before.ckpt."""
    last = folder / "checkpoints" / "last.ckpt"
    if checkpoint == last:
        return
    part = last.with_name(".last.ckpt.part")
    shutil.copyfile(checkpoint, part)
    if last.exists():
        os.replace(last, last.with_name("last-before.ckpt"))
    os.replace(part, last)


def prolong(folder: Path, config: Config, keys: Collection[str]) -> None:
    """Write the new length of the training into the config of a run, for those keys of `LENGTH` that are in `keys`.

    The results of a finished run are kept as results-N-epochs.json: the run is unfinished again.
    """
    saved = rundir.read_config(folder)
    for group, key in (name.split(".") for name in LENGTH & set(keys)):
        saved[group][key] = config[group][key]
    rundir.write_config(folder, saved)
    if finished(folder):
        results = folder / "results.json"
        epochs = json.loads(results.read_text())["epochs"]
        os.replace(results, folder / f"results-{epochs}-epochs.json")


def create_or_resume(config: Config, command: str) -> Path:
    """Return a new run directory, or with resume=auto the newest run of the same config, if there is one.

    That run may have finished; then nothing is left to do (see `finished`), unless the config has more epochs or
    another time limit, which prolong it. So a job that a cluster restarts never trains twice.

    Of several processes that torchrun or srun has started, the first does this, and the others wait for it.

    Raises:
        ConfigError: the folder cannot be created, or this is a further process of a sweep.
    """
    if config.get("sweep") and cluster.rank():
        raise ConfigError("-m: start a sweep once, not in each process of srun or torchrun; its jobs start processes")
    return cluster.agree(lambda: _create_or_resume(config, command), Path(config["paths"]["runs"]))


def _create_or_resume(config: Config, command: str) -> Path:
    if config.get("resume") == "auto":
        if folder := find_run(config):
            if not finished(folder) or is_longer(config, rundir.read_config(folder)):
                prolong(folder, config, LENGTH)
            else:
                print(f"resume=auto: {folder} has finished with this config; for another run leave out resume=auto")
            return folder
        print("resume=auto: there is no run of this config, so a new one starts")
    return rundir.create(config, command)


def is_longer(config: Config, saved: Config) -> bool:
    """Return whether a config has more epochs than a finished run of it, or another time limit."""
    now, then = config["trainer"], saved["trainer"]
    return now["max_time"] != then["max_time"] or (now["max_epochs"] or 0) > (then["max_epochs"] or 0)


def find_run(config: Config) -> Path | None:
    """Return the newest run of the same config, apart from its length, that was interrupted or has finished."""
    folder = Path(config["paths"]["runs"], config["experiment"])
    for run in sorted(folder.glob("*/config.yaml"), reverse=True):
        if state_of(run.parent) not in ("interrupted", "finished"):
            continue
        if rundir.without_variable_keys(rundir.read_config(run.parent)) == rundir.without_variable_keys(config):
            return run.parent
    return None
