"""Composes a config with Hydra and checks its values. Imports Hydra and nothing heavier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sightseq.arguments import PATHS, to_overrides
from sightseq.bricks import composing
from sightseq.core.errors import ConfigError
from sightseq.core.places import experiment_name
from sightseq.core.rundir import Config, check_values
from sightseq.mistakes import check_deletions, explain


def plain(composed: DictConfig, experiment: str | None) -> Config:
    """Convert a composed config to a plain dictionary: resolved, with absolute paths and the experiment's name.

    The name is added before interpolations are resolved: `logger.wandb.group=${experiment}` may use it.

    Raises:
        MissingMandatoryValue: a value marked ??? was not given.
        ConfigError: a path is empty, or a top-level setting such as `seed` or `name` is invalid.
    """
    if experiment is not None:
        OmegaConf.update(composed, "experiment", experiment_name(experiment), force_add=True)
    for key in PATHS:
        value, always = OmegaConf.select(composed, key), key.startswith("paths.")
        if value == "" or (value is None and always):
            raise ConfigError(f"{key}= is empty: name a file or folder (. is the current folder)")
        home = Path(value).expanduser() if isinstance(value, str) and _in_home(value) else None
        if home or always:
            OmegaConf.update(composed, key, str(home or Path(value).absolute()))
        for index, item in enumerate(value) if isinstance(value, ListConfig) else ():  # several inputs
            if isinstance(item, str) and _in_home(item):
                value[index] = str(Path(item).expanduser())
    config = cast(Config, OmegaConf.to_container(composed, resolve=True, throw_on_missing=True))
    check_values(config)
    if isinstance(config.get("trust"), str):  # trust=mynet
        config["trust"] = [config["trust"]]
    return config if experiment is None else {"experiment": config.pop("experiment"), **config}


def _in_home(path: str) -> bool:
    return path == "~" or path.startswith("~/")


def compose(*overrides: str, command: str = "train") -> Config:
    """Return the config of `sightseq COMMAND OVERRIDES...` as a plain dictionary.

    Raises:
        ConfigError: a group, option or key is unknown.
    """
    arguments = to_overrides(command, overrides)
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


def swept_keys(arguments: Sequence[str], hydra: Any) -> set[str]:
    """Return the keys that have several values in a sweep, on the command line or in a config file.

    Args:
        arguments: the arguments of the command.
        hydra: the `hydra` part of a job's config. A key that the job sets and that is not in `arguments` was set by the
            sweeper; it counts as swept unless `sweeper.params` (if the sweeper has it) gives it a single value.
    """

    def sweeps(overrides: Sequence[str]) -> dict[str, bool]:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        return {str(override.key_or_group): override.is_sweep_override() for override in parsed}

    typed = sweeps([a for a in arguments if "=" in a and not a.startswith("-")])
    params = sweeps([f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()])
    added = {key for key in sweeps(hydra.overrides.task) if key not in typed and params.get(key, True)}
    return added | {key for key, swept in typed.items() if swept}
