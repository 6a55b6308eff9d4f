"""Composing a config with Hydra, and checking its values. Imports Hydra and nothing heavier."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sightseq.bricks import composing
from sightseq.core.errors import ConfigError
from sightseq.core.rundir import Config, check_values
from sightseq.mistakes import check_deletions, explain

PATHS = ("ckpt", "input", "init_from", "resume", "output", "data.path", "paths.data", "paths.cache", "paths.runs")
"""The keys whose values are files or folders."""


def plain(composed: DictConfig, experiment: str | None) -> Config:
    """The composed config as a plain dictionary: resolved, its paths absolute, with the experiment's name.

    Raises:
        MissingMandatoryValue: a value marked ??? was not given.
        ConfigError: a value that no class is built with does not fit.
    """
    for key in PATHS:
        if OmegaConf.select(composed, key) == "":
            raise ConfigError(f"{key}= is empty: name a file or folder (. is the current folder)")
    for key in PATHS:
        value = OmegaConf.select(composed, key)
        if isinstance(value, str) and (value == "~" or value.startswith("~/")):
            OmegaConf.update(composed, key, str(Path(value).expanduser()))
    for key in ("data", "cache", "runs"):
        composed.paths[key] = str(Path(composed.paths[key]).absolute())
    config = cast(Config, OmegaConf.to_container(composed, resolve=True, throw_on_missing=True))
    check_values(config)
    return config if experiment is None else {"experiment": experiment, **config}


def compose(*overrides: str, command: str = "train") -> Config:
    """The config of `sightseq train OVERRIDES...` as a plain dictionary, for use from Python.

    Raises:
        ConfigError: an unknown group, option or key.
    """
    arguments = [quote(override) for override in overrides]
    check_deletions(arguments)
    try:
        with composing():
            composed = hydra_compose(command, arguments, return_hydra_config=True)
            experiment = composed.hydra.runtime.choices.get("experiment")
            OmegaConf.set_struct(composed, False)
            del composed["hydra"]
            return plain(composed, experiment)
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError: a group set to null
        raise ConfigError(explain(error, command, arguments)) from error


def quote(argument: str) -> str:
    """Quotes a value that Hydra's grammar would not read, or not as it is written: spaces, signs, other scripts.

    Paths are always texts, and so is a name: 2e5 is no number there. Other values are quoted where the grammar cannot
    read them; sweeps, lists, mappings, functions and interpolations never are.
    """
    key, _, value = argument.partition("=")
    quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0] not in value[1:-1]
    if not value or quoted or argument.startswith(("-", "~")):
        return argument
    text = f"{key}='{_escaped(value)}'"
    if key.lstrip("+") in PATHS:
        return argument if value in ("null", "auto") and key != "input" else text
    if value.startswith(("[", "{")) or "," in value or "${" in value or re.match(r"\w+\(", value):
        return argument
    if key == "name":
        return argument if value == "null" else text
    return text if not _readable(argument) and _readable(text) else argument


def _escaped(value: str) -> str:
    # Backslashes are doubled where a quote or the end follows, and nowhere else; ${ would be an interpolation.
    return re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value).replace("${", r"\${")


def _readable(argument: str) -> bool:
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True


def swept_keys(arguments: Sequence[str], hydra: Any) -> set[str]:
    """The keys that a sweep gives several values, on the command line or in a file.

    Args:
        arguments: the command.
        hydra: Hydra's part of the config of a job. What its sweeper, whichever it is, has set was not typed;
            `sweeper.params`, where there is such, tells single values among it.
    """

    def sweeps(overrides: Sequence[str]) -> dict[str, bool]:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        return {str(override.key_or_group): override.is_sweep_override() for override in parsed}

    typed = sweeps([a for a in arguments if "=" in a and not a.startswith("-")])
    params = sweeps([f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()])
    added = {key for key in sweeps(hydra.overrides.task) if key not in typed and params.get(key, True)}
    return added | {key for key, swept in typed.items() if swept}
