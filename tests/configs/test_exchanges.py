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


def has_settings(experiment: str) -> bool:
    body = yaml.safe_load(experiments()[experiment].read_text())
    parents = [name for name in body.pop("defaults") if isinstance(name, str)]
    return any(isinstance(value, dict) for key, value in body.items() if key != "trainer") or any(
        has_settings(name.rpartition("/")[2]) for name in parents
    )


def other_options(experiment: str, own: dict[str, Any]) -> dict[str, str]:
    """Another option of each group that has one; the choice varies with the experiment."""
    found = {}
    for group in PACKAGES:
        if options := [option for option in sorted(group_options(group)) if option != own.get(group)]:
            found[group] = options[EXPERIMENTS.index(experiment) % len(options)]
    return found


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_exchanging_all_bricks_drops_all_their_settings(experiment: str) -> None:
    _, own = composed(f"experiment={experiment}")
    found = other_options(experiment, own)
    bricks = [f"{group}={option}" for group, option in found.items()]
    exchanged, _ = composed(f"experiment={experiment}", *bricks)
    without, _ = composed("~experiment", *bricks)
    packages = [PACKAGES[group] for group in found]
    assert values_of(exchanged, *packages) == values_of(without, *packages)


@pytest.mark.parametrize("experiment", list(filter(has_settings, EXPERIMENTS)))
def test_exchanging_one_brick_drops_only_its_settings(experiment: str) -> None:
    """Of the bricks with settings in the experiment, one is exchanged; the choice varies with the experiment."""
    before, own = composed(f"experiment={experiment}")
    again = [f"{group}={own[group]}" for group in PACKAGES if own.get(group)]
    assert composed(f"experiment={experiment}", *again)[0] == before  # choosing the same options again changes nothing
    plain, _ = composed("~experiment", *again)
    typed = [path for path, value in before.items() if owner(path) and plain.get(path) != value]
    assert typed
    others = other_options(experiment, own)
    groups = [g for g in others if any(path.startswith(f"{PACKAGES[g]}.") for path in typed)]
    if not groups:
        return  # none of the bricks with settings has another option
    group = groups[EXPERIMENTS.index(experiment) % len(groups)]
    package, option = PACKAGES[group], others[group]
    exchanged, _ = composed(f"experiment={experiment}", f"{group}={option}")
    without, _ = composed("~experiment", f"{group}={option}")
    assert values_of(exchanged, package) == values_of(without, package), group
    rest = {"", *PACKAGES.values()} - {package}
    if group == "data":
        rest.discard(PACKAGES["noise"])  # the data option selects its own noise
    assert values_of(exchanged, *rest) == values_of(before, *rest), group


def test_another_machine_keeps_the_length_of_the_training() -> None:
    before, after = (composed("experiment=cifar10", *typed)[0] for typed in ((), ("trainer=ddp_cpu",)))
    assert before["trainer.max_epochs"] != 10  # the default
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert changed == {
        f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy", "sync_batchnorm")
    }
