"""`sightseq wandb-sweep`: prints the YAML of a W&B sweep for a search space in Hydra's syntax.

`wandb sweep FILE` registers it, and `wandb agent ID` then runs its jobs on any machine.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    RangeSweep,
    Transformer,
)
from hydra.errors import HydraException

from sightseq.arguments import to_overrides
from sightseq.bricks import composing
from sightseq.composition import compose
from sightseq.core.errors import ConfigError
from sightseq.core.places import groups
from sightseq.mistakes import explain
from sightseq.sweep.job import REPEATS
from sightseq.sweep.objectives import find_objectives
from sightseq.sweep.restart import FLAGS

EXAMPLE = "sightseq wandb-sweep experiment=digits 'model.optimizer.lr=tag(log,interval(1e-4,1e-1))' optimizer=adamw,sgd"


def print_wandb_sweep(arguments: Sequence[str]) -> None:
    """Print the YAML of a W&B sweep: see `wandb_sweep`.

    Raises:
        ConfigError: an argument is not an override of `sightseq train`, or nothing is swept.
    """
    if not arguments or {"--help", "-h"} & set(arguments):
        print(
            f"sightseq wandb-sweep OVERRIDE ...\n\nPrint the YAML of a W&B sweep:\n\n  {EXAMPLE} > sweep.yaml\n"
            "  wandb sweep sweep.yaml\n\nthen run the printed `wandb agent` command, on as many machines as you like."
        )
        return
    print(yaml.safe_dump(wandb_sweep(arguments), sort_keys=False, allow_unicode=True), end="")


def wandb_sweep(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the config of a W&B sweep.

    The parameters are the arguments with several values, and `hydra.sweeper.params` of a config file that the arguments
    choose. The other arguments become part of the command. The method is "bayes" if a parameter has an interval, else
    "grid". The optimised metric is the headline score on the validation data; as in other sweeps over choices, the
    jobs do not read the test data.

    Args:
        arguments: overrides of `sightseq train`, such as "optimizer=adamw,sgd".

    Raises:
        ConfigError: an argument is not an override, nothing is swept, or the logger is not W&B.
    """
    typed = to_overrides("train", [argument for argument in arguments if argument not in FLAGS])
    if flags := [argument for argument in typed if argument.startswith("-")]:
        raise ConfigError(f"wandb-sweep takes overrides of sightseq train, not {flags[0]}")
    fixed, swept = _split(typed)
    if not any(override.key_or_group == "logger" for override in fixed):
        fixed = [*fixed, *_parse(["logger=wandb"])]
    swept = {**_params([one.input_line or "" for one in fixed]), **swept}
    if not swept:
        raise ConfigError(f"wandb-sweep: no argument has several values; for example: {EXAMPLE}")
    fixed = [one for one in fixed if one.key_or_group.partition(".")[0].partition("/")[0] not in ("sweep", "hydra")]
    command = [one.input_line or "" for one in fixed]
    if not set(swept) <= REPEATS and not any(one.key_or_group == "run_test" for one in fixed):
        command.append("run_test=false")
    parameters = {key: _parameter(key, override.value()) for key, override in swept.items()}
    config = compose(*command, *(f"{key}={_first(parameter)}" for key, parameter in parameters.items()))
    for key in groups() & set(parameters):
        for value in parameters[key]["values"][1:]:  # an unknown option is an error here, and not in a job
            compose(*command, f"{key}={value}")
    if "wandb" not in config["logger"]:
        raise ConfigError("wandb-sweep: the jobs must log to W&B; write logger=wandb, or logger=[wandb,csv]")
    objectives = find_objectives(config, None)
    continuous = any("min" in parameter for parameter in parameters.values())
    return {
        "name": config["experiment"],
        "project": config["logger"]["wandb"]["project"],
        "method": "bayes" if continuous else "grid",
        "metric": {"name": f"best/{objectives['names'][0]}", "goal": objectives["directions"][0]},
        "parameters": parameters,
        "command": ["${env}", "sightseq", "train", *command, "${args_no_hyphens}"],
    }


def _parse(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(explain(error, "train", overrides)) from error


def _split(overrides: Sequence[str]) -> tuple[list[Override], dict[str, Override]]:
    """Return the overrides with one value, and those with several by key, with its + if it has one."""
    parsed = _parse(overrides)
    swept = {(one.input_line or "").partition("=")[0]: one for one in parsed if one.is_sweep_override()}
    return [one for one in parsed if not one.is_sweep_override()], swept


def _params(overrides: Sequence[str]) -> dict[str, Override]:
    """Return `hydra.sweeper.params` of the config with these overrides: the search space of a config file."""
    try:
        with composing():
            composed = hydra_compose("train", list(overrides), return_hydra_config=True)
    except HydraException as error:
        raise ConfigError(explain(error, "train", overrides)) from error
    params = composed.hydra.sweeper.get("params") or {}
    return _split([f"{key}={value}" for key, value in params.items()])[1]


def _parameter(key: str, sweep: Any) -> dict[str, Any]:
    """Return a parameter of a W&B sweep: `values`, or `distribution` with `min` and `max`."""
    if isinstance(sweep, RangeSweep):
        return {"values": list(sweep.range())}
    if isinstance(sweep, ChoiceSweep):
        return {"values": [_value(one) for one in sweep.list]}
    if not isinstance(sweep, IntervalSweep):
        raise ConfigError(f"{key}: W&B knows no patterns such as glob(*); write the options, separated by commas")
    whole = isinstance(sweep.start, int) and isinstance(sweep.end, int)
    logarithmic = "log" in sweep.tags
    limits = {"min": sweep.start, "max": sweep.end}
    if logarithmic:
        kind = {"distribution": "q_log_uniform_values", "q": 1} if whole else {"distribution": "log_uniform_values"}
    else:
        kind = {"distribution": "int_uniform" if whole else "uniform"}
    return {**kind, **limits}


def _value(element: Any) -> Any:
    """Return numbers and booleans unchanged, and all else as text that Hydra reads back, null included."""
    if isinstance(element, bool | int | float):
        return element
    return str(Transformer.encode(element))


def _first(parameter: Mapping[str, Any]) -> Any:
    return parameter["values"][0] if "values" in parameter else parameter["min"]
