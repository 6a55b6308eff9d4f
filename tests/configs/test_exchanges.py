"""Exchanging a brick of an experiment drops its settings; the defaults of the new option apply. Imports no torch."""

from functools import cache
from typing import Any

import pytest
import yaml
from hydra import compose as hydra_compose
from omegaconf import OmegaConf

from sightseq.bricks import composing
from sightseq.core.places import experiments, group_options

PACKAGES = {
    "data": "data",
    "noise": "data.noise",
    "model": "model",
    "model/net": "model.net",
    "augment": "model.augment",
    "optimizer": "model.optimizer",
    "scheduler": "model.scheduler",
    "callbacks": "callbacks",
    "logger": "logger",
    "baseline": "baseline",
}
EXPERIMENTS = sorted(experiments())


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """All values by their dotted path; an empty mapping counts as a value."""
    if isinstance(value, dict) and value:
        return {k: v for key, inner in value.items() for k, v in leaves(inner, f"{path}.{key}".lstrip(".")).items()}
    return {path: value}


@cache
def composed(*overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of a config with unresolved interpolations, and the chosen options."""
    with composing():
        config: Any = OmegaConf.to_container(hydra_compose("train", list(overrides), return_hydra_config=True))
    choices = config.pop("hydra")["runtime"]["choices"]
    return leaves(config), choices


def owner(path: str) -> str:
    """The package of the innermost brick that a value belongs to; "" if it belongs to no brick."""
    return max((p for p in PACKAGES.values() if f"{path}.".startswith(f"{p}.")), key=len, default="")


def values_of(values: dict[str, Any], *packages: str) -> dict[str, Any]:
    return {path: value for path, value in values.items() if owner(path) in packages}


def typed(experiment: str) -> set[str]:
    """Paths of the values that the experiment's file, or one that it inherits from, gives to bricks."""
    body = yaml.safe_load(experiments()[experiment].read_text())
    parents = [name.rpartition("/")[2] for name in body.pop("defaults") if isinstance(name, str)]
    return {path for path in leaves(body) if owner(path)}.union(*map(typed, parents))


def other_options(experiment: str, own: dict[str, Any]) -> dict[str, str]:
    """Another option of each group that has one; the choice varies with the experiment."""
    found = {}
    for group in PACKAGES:
        if options := [option for option in sorted(group_options(group)) if option != own.get(group)]:
            found[group] = options[EXPERIMENTS.index(experiment) % len(options)]
    return found


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_exchanging_bricks_drops_their_settings(experiment: str) -> None:
    """All bricks are exchanged; then one that has settings in the experiment, which varies with the experiment."""
    before, own = composed(f"experiment={experiment}")
    found = other_options(experiment, own)
    bricks = [f"{group}={option}" for group, option in found.items()]
    exchanged, _ = composed(f"experiment={experiment}", *bricks)
    without, _ = composed("~experiment", *bricks)
    packages = [PACKAGES[group] for group in found]
    assert values_of(exchanged, *packages) == values_of(without, *packages)

    groups = [group for group in found if any(path.startswith(f"{PACKAGES[group]}.") for path in typed(experiment))]
    if not groups:
        return
    group = groups[EXPERIMENTS.index(experiment) % len(groups)]
    package = PACKAGES[group]
    again = {other: own[other] for other in PACKAGES if own.get(other)}  # the same option again changes nothing
    if group == "data":
        again.pop("noise", None)  # the data option selects its own noise
    exchanged, _ = composed(
        f"experiment={experiment}", *(f"{g}={o}" for g, o in (again | {group: found[group]}).items())
    )
    assert values_of(exchanged, package) == values_of(without, package), group
    rest = {"", *PACKAGES.values()} - {package} - ({PACKAGES["noise"]} if group == "data" else set())
    assert values_of(exchanged, *rest) == values_of(before, *rest), group


def test_another_machine_keeps_the_length_of_the_training() -> None:
    before, after = (composed("experiment=cifar10", *typed)[0] for typed in ((), ("trainer=ddp_cpu",)))
    assert before["trainer.max_epochs"] != 10  # the default
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert changed == {
        f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy", "sync_batchnorm")
    }
