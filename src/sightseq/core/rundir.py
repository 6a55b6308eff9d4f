"""The folder that a run leaves: made by the front, read and filled by `sightseq.run`. Imports nothing heavy.

runs/<experiment>/<date>-<name or random suffix>/
    config.yaml  log.txt  metrics.csv  results.json  report.html  figures/  checkpoints/best.ckpt, last.ckpt
"""

import contextlib
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import filelock
import yaml

from sightseq.core.errors import CheckpointError, ConfigError, SightseqError
from sightseq.core.files import replacing

Config = dict[str, Any]
LENGTH = frozenset({"trainer.max_epochs", "trainer.max_time"})
"""The only keys that a resumed run may change."""
REQUIRED = "required"
"""The `init_from` of an experiment that makes no sense without one."""
NEW = ".new"
"""A file in a run directory that no process has filled yet."""
NOT_COMPARED = ("run", "resume", "name", "run_test", "sweep")


def create(config: Config, command: str) -> Path:
    """A new run directory with the config written down, in which `run.command` says what was typed.

    A second run of the same name in the same second has a number behind it.

    Raises:
        ConfigError: it cannot be made, or the experiment needs an `init_from` that was not given.
    """
    if config.get("init_from") == REQUIRED:
        raise ConfigError(
            f"experiment={config['experiment']} fine-tunes the weights of another run: init_from=RUN "
            "(init_from=null begins with random weights)"
        )
    now = datetime.now()
    suffix = config.get("name") or secrets.token_hex(2)
    folder = Path(config["paths"]["runs"], config["experiment"]) / f"{now:%Y-%m-%d_%H-%M-%S}-{suffix}"
    try:
        folder = _make_new(folder)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made ({error.strerror}); name another place with paths.runs=FOLDER"
        ) from error
    config["run"] = {"command": command}
    write_config(folder, config)
    (folder / NEW).touch()
    return folder


def _make_new(folder: Path) -> Path:
    """Makes the folder, or one with -2, -3, ... at the end of its name where that one is taken."""
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
    """The config that a run was started with.

    Raises:
        ConfigError: the folder is no run directory.
    """
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = f" ({' '.join(str(error).split())})" if isinstance(error, yaml.YAMLError) else ""
        raise ConfigError(f"{folder} is no run directory: it has no readable config.yaml{problem}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{folder} is no run directory: it has no readable config.yaml")
    return config


def repeat(file: Path) -> Path:
    """A new run directory for the config in a file, which may be a copy from another run.

    Raises:
        ConfigError: the file is no config of a run.
    """
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    check_config(config)
    return create(config, f"python -m sightseq.run {file}")


def check_config(config: object) -> None:
    """Looks for what every run reads, in a config that may have been edited by hand.

    Raises:
        ConfigError: a key is missing, or its value is of the wrong type.
    """
    kinds: dict[str, type] = {"paths": dict, "data": dict, "trainer": dict, "trust": list, "experiment": str}
    if not isinstance(config, dict):
        raise ConfigError("config.yaml: is to be a mapping of keys to values")
    if "ckpt" not in config:
        kinds |= dict.fromkeys(("model", "callbacks", "baseline", "logger"), dict) | {"title": str}
        kinds |= {"seed": object, "precision": object, "run_test": object, "init_from": object}
    for key, kind in kinds.items():
        if key not in config:
            raise ConfigError(f"config.yaml: {key} is missing")
        if not isinstance(config[key], kind):
            name = {"dict": "mapping", "str": "text"}.get(kind.__name__, kind.__name__)
            raise ConfigError(f"config.yaml: {key} is {config[key]!r}, and is to be a {name}")
    if missing := {"data", "cache", "runs"} - set(config["paths"]):
        raise ConfigError(f"config.yaml: paths.{min(missing)} is missing")
    check_values(config)


def check_values(config: Config) -> None:
    """Checks the values of a command that no class is built with.

    Raises:
        ConfigError: one of them does not fit.
    """
    run_test, seed, name = config.get("run_test", True), config.get("seed", 0), config.get("name")
    if not isinstance(run_test, bool) and run_test != "auto":
        raise ConfigError(f"run_test={run_test}: is true, false or auto")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed}: is a whole number from 0 to {2**32 - 1}")
    if name is not None and (not isinstance(name, str) or re.search(r"[/\\\0]|\.\.", name) or not name.strip()):
        raise ConfigError(f"name={name}: ends the name of the run directory, so it is a text without / and ..")


def write_config(folder: Path, config: Config) -> None:
    """Replaces config.yaml at once, so that a killed process leaves the old or the new one."""
    with replacing(folder / "config.yaml") as file:
        file.write(yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Held by the process that fills the folder, and let go however that process ends.

    Raises:
        ConfigError: another process holds it, or nothing can be written there.
    """
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
    """A process is at work on the folder."""
    try:
        with locked(folder):
            return False
    except ConfigError:
        return True


@contextlib.contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Holds the lock of a run directory; removes it when the block fails before anything was trained or scored.

    Only one that `create` has just made is removed: another may hold a config that somebody wrote by hand.
    """
    new = False
    try:
        with locked(folder):
            new = (folder / NEW).exists()
            (folder / NEW).unlink(missing_ok=True)
            yield
    except (SightseqError, KeyboardInterrupt):
        if new and not (folder / "checkpoints").exists() and not (folder / "results.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # other runs are there
                folder.parent.rmdir()
        raise


def comparable(config: Config) -> Config:
    """The config without what may differ between a run and its resumption."""
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
    for key in NOT_COMPARED:
        kept.pop(key, None)
    for group, key in (name.split(".") for name in LENGTH):
        kept.get(group, {}).pop(key, None)
    return kept


def find_checkpoint(typed: str | Path) -> Path:
    """The checkpoint file that a path stands for; says on stderr what was chosen where there was a choice.

    Args:
        typed: a file; a run directory or its checkpoints/, which stand for best.ckpt, or for last.ckpt where the run
            was interrupted before its first validation; or the folder of an experiment, which stands for the newest
            finished run in it.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    path = Path(typed).expanduser()
    if not str(typed) or not path.is_dir():
        if str(typed) and path.is_file():
            return path
        raise CheckpointError(f"{typed}: there is no such checkpoint; a run keeps its own in checkpoints/best.ckpt")
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
        print(f"Warning: {folder} has no best.ckpt, as before a first validation; last.ckpt is used", file=sys.stderr)
        return last
    others = ", ".join(sorted(file.name for file in folder.glob("*.ckpt")))
    raise CheckpointError(
        f"{path}: holds no checkpoints/best.ckpt" + (f"; name one of {others} in {folder}" if others else "")
    )


def without_repeats(config: Config) -> tuple[Config, dict[str, Any]]:
    """What a run has in common with the repetitions of its measurement; then its own seed and fold."""
    common = {key: value for key, value in config.items() if key not in NOT_COMPARED}
    data = common["data"] = dict(config["data"])
    repeats = {"seed": common.pop("seed", None), "data.fold": data.pop("fold", None)}
    data.pop("seed", None)  # follows the seed
    return common, repeats
