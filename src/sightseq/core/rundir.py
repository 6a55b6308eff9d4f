"""The folder that a run leaves: made by the front, read and filled by `sightseq.run`. Imports nothing heavy.

runs/<experiment>/<date>-<name or random suffix>/
    config.yaml  log.txt  metrics.csv  results.json  report.html  figures/  checkpoints/best.ckpt, last.ckpt
"""

import contextlib
import secrets
import sys
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import filelock
import yaml

from sightseq.core.errors import CheckpointError, ConfigError
from sightseq.core.files import replacing

Config = dict[str, Any]
LENGTH = frozenset({"trainer.max_epochs", "trainer.max_time"})
"""The only keys that a resumed run may change."""
NOT_COMPARED = ("run", "resume", "name", "run_test", "sweep")


def begin(config: Config, command: str) -> Path:
    """A new run directory or, where resume=auto asks for it and there is one, an unfinished one of the same config."""
    if config.get("resume") == "auto":
        if folder := find_resumable(config):
            prolong(folder, config, LENGTH)
            return folder
        print("resume=auto: no unfinished run of this config is here, so a new one starts")
    return create(config, command)


def create(config: Config, command: str) -> Path:
    """A new run directory with the config written down, in which `run.command` says what was typed.

    Raises:
        ConfigError: it cannot be made.
    """
    now = datetime.now()
    suffix = config.get("name") or secrets.token_hex(2)
    folder = Path(config["paths"]["runs"], config["experiment"]) / f"{now:%Y-%m-%d_%H-%M-%S}-{suffix}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made ({error.strerror}); name another place with paths.runs=FOLDER"
        ) from error
    config["run"] = {"command": command}
    write_config(folder, config)
    return folder


def read_config(folder: Path) -> Config:
    """The config that a run was started with.

    Raises:
        ConfigError: the folder is no run directory.
    """
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        config = None
    if not isinstance(config, dict):
        raise ConfigError(f"{folder} is no run directory: it has no readable config.yaml")
    return config


def write_config(folder: Path, config: Config) -> None:
    """Replaces config.yaml at once, so that a killed process leaves the old or the new one."""
    with replacing(folder / "config.yaml") as file:
        file.write(yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Held by the process that fills the folder, and let go however that process ends.

    Raises:
        ConfigError: another process holds it.
    """
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise ConfigError(f"{folder} is in use by another process; wait for it, or leave out resume=") from error
    try:
        yield
    finally:
        lock.release()


def resumable(folder: Path) -> bool:
    """The run was begun, has a checkpoint, has not finished, and no process is at work on it."""
    if (folder / "results.json").exists() or not (folder / "checkpoints" / "last.ckpt").exists():
        return False
    try:
        with locked(folder):
            return True
    except ConfigError:
        return False


def find_resumable(config: Config) -> Path | None:
    """The newest unfinished run of the same config, its length apart."""
    folder = Path(config["paths"]["runs"], config["experiment"])
    for run in sorted(folder.glob("*/config.yaml"), reverse=True):
        if resumable(run.parent) and comparable(read_config(run.parent)) == comparable(config):
            return run.parent
    return None


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


def prolong(folder: Path, config: Config, keys: Collection[str]) -> None:
    """Writes the new length of the training, as far as `keys` name it, into the config of an unfinished run."""
    saved = read_config(folder)
    for group, key in (name.split(".") for name in LENGTH & set(keys)):
        saved[group][key] = config[group][key]
    write_config(folder, saved)
