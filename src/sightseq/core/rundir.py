"""The folder that a run leaves: made by the front, read and filled by `sightseq.run`. Imports nothing heavy.

runs/<experiment>/<date>-<name or random suffix>/
    config.yaml  log.txt  metrics.csv  results.json  report.html  figures/  checkpoints/best.ckpt, last.ckpt
"""

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import filelock
import yaml

from sightseq.core.errors import ConfigError, SightseqError
from sightseq.core.files import replacing

Config = dict[str, Any]
LENGTH = frozenset({"trainer.max_epochs", "trainer.max_time"})
"""The only keys that a resumed run may change."""
NOT_COMPARED = ("run", "resume", "name", "run_test", "sweep")


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


def busy(folder: Path) -> bool:
    """A process is at work on the folder."""
    try:
        with locked(folder):
            return False
    except ConfigError:
        return True


@contextlib.contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Holds the lock of a run directory; removes it when the block fails before anything was trained or scored."""
    try:
        with locked(folder):
            yield
    except (SightseqError, KeyboardInterrupt):
        if not (folder / "checkpoints").exists() and not (folder / "results.json").exists() and not busy(folder):
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


def without_repeats(config: Config) -> tuple[Config, dict[str, Any]]:
    """What a run has in common with the repetitions of its measurement; then its own seed and fold."""
    common = {key: value for key, value in config.items() if key not in NOT_COMPARED}
    data = common["data"] = dict(config["data"])
    repeats = {"seed": common.pop("seed", None), "data.fold": data.pop("fold", None)}
    data.pop("seed", None)  # follows the seed
    return common, repeats
