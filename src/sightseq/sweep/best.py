"""The best job of a sweep as an experiment file. Imports Hydra and nothing heavier."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from omegaconf import OmegaConf

from sightseq.arguments import to_overrides
from sightseq.bricks import composing
from sightseq.core.places import groups_of
from sightseq.sweep.folder import Job

REPEATED = ("seed",)  # the user chooses them again
NOT_BRICKS = ("experiment", "paths", "debug", "local", "sweep")  # groups that are not part of an experiment


def write_experiment(job: Job, folder: Path) -> Path:
    """Write FOLDER/experiment/best.yaml, which has the bricks and the numbers of a job; return its path.

    `--config-dir FOLDER experiment=best` chooses it.
    """
    file = folder / "experiment" / "best.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(experiment_text(job.overrides, f"the best job of the sweep {folder.name}: {job.choice}"))
    return file


def experiment_text(overrides: Sequence[str], comment: str) -> str:
    """Return an experiment file that composes the same config as `sightseq train OVERRIDES`, except the seed."""
    config, choices = composed(overrides)
    known = groups_of("train")
    bricks = {
        group if group in known else f"+{group}": choice
        for group, choice in choices.items()
        if choice and not group.startswith("hydra/") and group not in NOT_BRICKS
    }
    plain, _ = composed(["~experiment", *(f"{group}={choice}" for group, choice in bricks.items())])
    body: dict[str, Any] = {}
    for path, value in differences(config, plain):
        if path[0] in REPEATED:
            continue
        inner = body
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
    defaults = [
        {f"/{group[1:]}" if group.startswith("+") else f"override /{group}": choice}
        for group, choice in sorted(bricks.items())  # "+" first: Hydra wants overrides at the end
    ]
    text = yaml.safe_dump({"defaults": defaults, **body}, sort_keys=False, allow_unicode=True, width=120)
    return f"# @package _global_\n# {comment}\n{text}"


def composed(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the config of `sightseq train OVERRIDES` with its interpolations, and the choice of each group."""
    with composing():
        found = compose("train", to_overrides("train", overrides), return_hydra_config=True)
        choices: Any = OmegaConf.to_container(found.hydra.runtime.choices)
        OmegaConf.set_struct(found, False)
        del found["hydra"]
        config: Any = OmegaConf.to_container(found, resolve=False)
    return config, choices


def differences(config: dict[str, Any], plain: dict[str, Any], *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of each leaf that a plain config lacks or has with another value.

    What only the plain config has gets the value None.
    """
    for key, value in config.items():
        other = plain.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            yield from differences(value, other, *path, key)
        elif key not in plain or value != other:
            yield (*path, key), value
    for key in plain.keys() - config.keys():  # such as a callback that was left out
        yield (*path, key), None
