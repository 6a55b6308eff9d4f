"""The run directory: created by the command line, read and filled by `sightseq.run`. Imports nothing heavy.

runs/<experiment>/<date>-<name or random suffix>/
    config.yaml  log.txt  metrics.csv  results.json  report.html  figures/  checkpoints/best.ckpt, last.ckpt
"""

import contextlib
import copy
import functools
import operator
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from sightseq.core.cluster import Requeue, agree
from sightseq.core.errors import CheckpointError, ConfigError, SightseqError
from sightseq.core.files import replacing

Config = dict[str, Any]
LENGTH = frozenset({"trainer.max_epochs", "trainer.max_time"})
"""The only keys that a resumed run may change."""
REQUIRED = "required"
"""The `init_from` of an experiment that needs the weights of another run."""
NEW = ".new"
"""Name of a file that marks a new run directory, which no process has used yet."""
NOT_COMPARED = ("run", "resume", "name", "run_test", "sweep", "jobs", "repeat_failed")


def create(config: Config, command: str) -> Path:
    """Create a new run directory and write config.yaml, whose `run.command` is the typed command.

    If the name exists (the same name in the same second), a number is appended.

    Raises:
        ConfigError: the folder cannot be created, or the experiment needs an `init_from` that was not given.
    """
    if config.get("init_from") == REQUIRED:
        raise ConfigError(
            f"experiment={config['experiment']} fine-tunes the weights of another run: init_from=RUN "
            "(init_from=null starts from random weights)"
        )
    folder = Path(config["paths"]["runs"], config["experiment"], dated_name(config.get("name")))
    try:
        folder = _make_new(folder)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be created ({error.strerror}); name another place with paths.runs=FOLDER"
        ) from error
    config["run"] = {"command": command}
    write_config(folder, config)
    (folder / NEW).touch()
    return folder


def dated_name(suffix: str | None = None) -> str:
    """Return a name for a new folder: the date and time, and a suffix; without one, random letters."""
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{suffix or secrets.token_hex(2)}"


def _make_new(folder: Path) -> Path:
    """Create the folder, or one with -2, -3, ... appended to its name if it exists."""
    free, number = folder, 1
    while True:
        try:
            free.mkdir(parents=True)
            return free
        except FileExistsError:
            if not free.is_dir():
                raise
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")


def read_config(folder: Path) -> Config:
    """Return the config that a run was started with.

    Raises:
        ConfigError: the folder is not a run directory.
    """
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = f" ({' '.join(str(error).split())})" if isinstance(error, yaml.YAMLError) else ""
        raise ConfigError(f"{folder} is not a run directory: it has no readable config.yaml{problem}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{folder} is not a run directory: it has no readable config.yaml")
    return config


def repeat(file: Path) -> Path:
    """Create a new run directory for the config in a file, which may be a copy from another run.

    Raises:
        ConfigError: the file is not the config of a run.
    """
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    check_config(config)
    return agree(lambda: create(config, f"python -m sightseq.run {file}"), Path(config["paths"]["runs"]))


def check_config(config: object) -> None:
    """Check the keys that every run reads, in a config that may have been edited by hand.

    Raises:
        ConfigError: a key is missing, or its value is of the wrong type.
    """
    kinds: dict[str, type] = {"paths": dict, "data": dict, "trainer": dict, "trust": list, "experiment": str}
    if not isinstance(config, dict):
        raise ConfigError("config.yaml: it must be a mapping of keys to values")
    if "ckpt" not in config:
        kinds |= dict.fromkeys(("model", "callbacks", "baseline", "logger"), dict) | {"title": str}
        kinds |= {"seed": object, "precision": object, "run_test": object, "init_from": object}
    for key, kind in kinds.items():
        if key not in config:
            raise ConfigError(f"config.yaml: {key} is missing")
        if not isinstance(config[key], kind):
            name = {"dict": "mapping", "str": "text"}.get(kind.__name__, kind.__name__)
            raise ConfigError(f"config.yaml: {key} is {config[key]!r}, but must be a {name}")
    if missing := {"data", "cache", "runs"} - set(config["paths"]):
        raise ConfigError(f"config.yaml: paths.{min(missing)} is missing")
    check_values(config)


def check_values(config: Config) -> None:
    """Check the values that are not arguments of a class.

    Raises:
        ConfigError: a value is invalid.
    """
    run_test, seed, name = config.get("run_test", True), config.get("seed", 0), config.get("name")
    if not isinstance(run_test, bool) and run_test != "auto":
        raise ConfigError(f"run_test={run_test}: must be true, false or auto")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed}: must be a whole number from 0 to {2**32 - 1}")
    tune = config.get("tune") or []
    if not {*([tune] if isinstance(tune, str) else tune)} <= {"batch_size", "lr"}:
        raise ConfigError(f"tune={tune}: must be lr, batch_size or [batch_size,lr]")
    if name is not None and (not isinstance(name, str) or re.search(r"[/\\\0]|\.\.", name) or not name.strip()):
        raise ConfigError(
            f"name={name}: must be a text without / and .., because it ends the name of the run directory"
        )


def write_config(folder: Path, config: Config) -> None:
    """Write config.yaml atomically, so that a killed process leaves the old or the new file."""
    with replacing(folder / "config.yaml") as file:
        file.write(yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder within this context; the lock is released however the process ends.

    Raises:
        ConfigError: another process holds the lock, or the folder cannot be written.
    """
    import filelock  # imports sockets; most commands lock nothing

    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise ConfigError(f"{folder} is in use by another process; wait for it, or leave out resume=") from error
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written ({error.strerror}); name another place with paths.runs=FOLDER"
        ) from error
    try:
        yield
    finally:
        lock.release()


def busy(folder: Path) -> bool:
    """Return whether a process is using the folder."""
    try:
        with locked(folder):
            return False
    except ConfigError:
        return True


@contextlib.contextmanager
def locked_run(folder: Path) -> Iterator[None]:
    """Lock a run directory within this context; remove it on failure before anything was trained or scored.

    Only a folder that `create` has just created is removed: another may contain a config written by hand.
    """
    new = False
    try:
        with locked(folder):
            new = (folder / NEW).exists()
            (folder / NEW).unlink(missing_ok=True)
            yield
    except (SightseqError, KeyboardInterrupt) as error:
        if isinstance(error, Requeue):  # the job repeats its command, which may name this folder
            raise
        if new and not (folder / "checkpoints").exists() and not (folder / "results.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # it contains other runs
                folder.parent.rmdir()
        raise


def as_typed(config: Config) -> Config:
    """Return a copy of the config with the values before the searches of `tune`."""
    typed = copy.deepcopy(config)
    for key, values in (typed.pop("tuned", None) or {}).items():
        *groups, last = key.split(".")
        functools.reduce(operator.getitem, groups, typed)[last] = values["before"]
    if not typed.get("tune"):
        typed.pop("tune", None)  # runs of older versions lack it
    return typed


def without_variable_keys(config: Config) -> Config:
    """Return the config without the keys that may differ when a run is resumed."""
    compared = as_typed(config)
    for key in NOT_COMPARED:
        compared.pop(key, None)
    for group, key in (name.split(".") for name in LENGTH):
        compared.get(group, {}).pop(key, None)
    return compared


def find_checkpoint(typed: str | Path) -> Path:
    """Return the checkpoint file that a path stands for; print to stderr which one if there was a choice.

    Args:
        typed: a file; a run directory or its checkpoints/, which stand for best.ckpt, or for last.ckpt if the run was
            interrupted before its first validation; or the folder of an experiment, which stands for its newest
            finished run.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    path = Path(typed).expanduser()
    if not str(typed) or not path.is_dir():
        if str(typed) and path.is_file():
            return path
        raise CheckpointError(
            f"{typed}: there is no such checkpoint; a run saves its best one as checkpoints/best.ckpt"
        )
    runs = sorted(file.parent for file in path.glob("*/config.yaml"))
    if runs and not (path / "config.yaml").exists():
        finished = [run for run in runs if (run / "results.json").exists() and (run / "checkpoints").is_dir()]
        if not finished:
            raise CheckpointError(f"{path}: none of the {len(runs)} runs in it has finished; name one of them")
        path = finished[-1]
        print(f"the newest finished run is {path}", file=sys.stderr)
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    best, last = folder / "best.ckpt", folder / "last.ckpt"
    if best.is_file():
        return best
    if last.is_file():
        print(
            f"Warning: {folder} has no best.ckpt, which the first validation saves; last.ckpt is used", file=sys.stderr
        )
        return last
    others = ", ".join(sorted(file.name for file in folder.glob("*.ckpt")))
    raise CheckpointError(
        f"{path}: has no checkpoints/best.ckpt" + (f"; name one of {others} in {folder}" if others else "")
    )


def find_named_checkpoint(typed: str) -> str:
    """Return NAME=FILE or FILE for a checkpoint typed as NAME=PATH or PATH: see `find_checkpoint`."""
    name, path = split_name(typed)
    return f"{name}=" * (name is not None) + str(find_checkpoint(path))


def split_name(typed: str) -> tuple[str | None, str]:
    """Split NAME=PATH; the name is None if there is none, or if the whole is a path that exists."""
    named = re.fullmatch(r"([\w-]+)=(.+)", typed)
    return (named[1], named[2]) if named and not Path(typed).expanduser().exists() else (None, typed)


def without_repeats(config: Config) -> tuple[Config, dict[str, Any]]:
    """Split a config into the part that repetitions of an experiment share, and the seed and fold of this run."""
    common = {key: value for key, value in as_typed(config).items() if key not in NOT_COMPARED}
    data = common["data"]
    repeats = {"seed": common.pop("seed", None), "data.fold": data.pop("fold", None)}
    data.pop("seed", None)  # the config sets it to `seed`
    return common, repeats
