"""Resuming and prolonging runs: which run directory is meant, and whether it can be. Imports nothing heavy."""

import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from sightseq.core import rundir
from sightseq.core.errors import ConfigError
from sightseq.core.rundir import LENGTH, Config

State = Literal["interrupted", "finished", "at work", "empty", "no run", "missing"]
REASONS: dict[State, str] = {
    "at work": "another process is at work on it",
    "empty": "it was interrupted before its first checkpoint; start it anew, without resume=",
    "no run": "it is no run directory: it holds no config.yaml",
    "missing": "there is no such folder",
}


def state_of(folder: Path) -> State:
    """What can be said of a run directory; only an interrupted run can be resumed as it is."""
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
    """The run has come to its end."""
    return (folder / "results.json").exists()


def resume(typed: str, config: Config, keys: Collection[str]) -> Path:
    """The run directory that `resume=` names, ready to be trained further.

    Args:
        typed: a run directory, or a checkpoint in one: then that takes the place of checkpoints/last.ckpt.
        config: as composed, for the new length.
        keys: that were typed. Only those of the length may be; they prolong the run, also one that has finished.

    Raises:
        ConfigError: the run cannot be resumed, or other keys were typed.
    """
    named = Path(typed).expanduser().resolve()
    folder = named.parents[1] if named.suffix == ".ckpt" and named.is_file() else named
    if others := {*keys} - LENGTH:
        raise ConfigError(
            f"resume={typed}: a run is resumed with its own config; only {' and '.join(sorted(LENGTH))} may change, "
            f"not {', '.join(sorted(others))} (for a new run from its weights: init_from=)"
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
    """A finished run is resumed only to be trained longer.

    Raises:
        ConfigError: the typed length is not above what was trained.
    """
    epochs = json.loads((folder / "results.json").read_text())["epochs"]
    most = config["trainer"]["max_epochs"]
    if not {*keys} & LENGTH or ("trainer.max_epochs" in keys and most not in (None, -1) and most <= epochs):
        raise ConfigError(
            f"{typed}: the run has finished after {epochs} epochs; to train it longer: "
            f"resume={folder} trainer.max_epochs=N, with N above {epochs}"
        )


def replace_last(folder: Path, checkpoint: Path) -> None:
    """Puts a checkpoint in the place of last.ckpt, which is kept as last-before.ckpt."""
    last = folder / "checkpoints" / "last.ckpt"
    if checkpoint == last:
        return
    part = last.with_name(".last.ckpt.part")
    shutil.copyfile(checkpoint, part)
    if last.exists():
        os.replace(last, last.with_name("last-before.ckpt"))
    os.replace(part, last)


def prolong(folder: Path, config: Config, keys: Collection[str]) -> None:
    """Writes the new length of the training, as far as `keys` name it, into the config of a run.

    The results of a run that had finished are kept as results-N-epochs.json: it is unfinished again.
    """
    saved = rundir.read_config(folder)
    for group, key in (name.split(".") for name in LENGTH & set(keys)):
        saved[group][key] = config[group][key]
    rundir.write_config(folder, saved)
    if finished(folder):
        results = folder / "results.json"
        epochs = json.loads(results.read_text())["epochs"]
        os.replace(results, folder / f"results-{epochs}-epochs.json")


def begin(config: Config, command: str) -> Path:
    """A new run directory; with resume=auto the newest run of the same config, if there is one.

    That run may have finished, and then nothing is left to do: see `finished`. It is prolonged where the config has
    more epochs or another time. So a job that a cluster starts again never trains twice.
    """
    if config.get("resume") == "auto":
        if folder := find(config):
            if not finished(folder) or longer(config, rundir.read_config(folder)):
                prolong(folder, config, LENGTH)
            else:
                print(f"resume=auto: {folder} has finished this config; for another run leave out resume=auto")
            return folder
        print("resume=auto: no run of this config is here, so a new one starts")
    return rundir.create(config, command)


def longer(config: Config, saved: Config) -> bool:
    """Whether a config trains for more epochs than a finished run of it, or for another time."""
    now, then = config["trainer"], saved["trainer"]
    return now["max_time"] != then["max_time"] or (now["max_epochs"] or 0) > (then["max_epochs"] or 0)


def find(config: Config) -> Path | None:
    """The newest run of the same config, its length apart, that was interrupted or has finished."""
    folder = Path(config["paths"]["runs"], config["experiment"])
    for run in sorted(folder.glob("*/config.yaml"), reverse=True):
        if state_of(run.parent) not in ("interrupted", "finished"):
            continue
        if rundir.comparable(rundir.read_config(run.parent)) == rundir.comparable(config):
            return run.parent
    return None
