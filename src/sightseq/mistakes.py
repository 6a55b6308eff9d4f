"""One-line messages for invalid commands, with the nearest valid names. Imports Hydra and nothing heavier."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from sightseq.bricks import composing
from sightseq.core.errors import ConfigError, SightseqError, nearest
from sightseq.core.places import conf_folder, experiments, group_options, groups, groups_of

OPTIONAL = ("experiment", "debug", "local", "augment")
"""Groups that a run does not need."""


def explain(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """Return one line that says what is wrong with a command, with the nearest valid names."""
    if isinstance(error.__cause__, SightseqError):  # of a sweeper or launcher that Hydra has instantiated
        return str(error.__cause__)
    text = " ".join(str(error).split())
    if isinstance(error, OverrideParseException):
        typed = (error.override or "").lstrip("+")
        return f"cannot read {typed!r}: write key=value, and quote a value with special characters or spaces"
    if isinstance(error, ValueError) and text.startswith("Config group override must be"):
        pairs = [argument.partition("=")[::2] for argument in arguments]
        wrong = [f"{key}={value}" for key, value in pairs if key in groups() and value not in group_options(key)]
        return f"{' '.join(wrong)}: a group takes the name of an option, such as none if it has that option"
    if isinstance(error, MissingMandatoryValue):
        key = getattr(error, "full_key", None) or text.rpartition(" ")[2]
        return f"{key}= is required: sightseq {command} {key}=..."
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_option(error.missing_cfg_file, error.options or [], arguments)
    if match := re.search(r"An item is already at '([^']+)'|Multiple values for ([^ ]+)\.", text):
        key = match[1] or match[2]
        typed = next((a.lstrip("+") for a in arguments if a.lstrip("+").startswith(f"{key}=")), f"{key}=...")
        return f"{key} exists already: write {typed}, without +"
    if match := re.search(r"Ambiguous value for argument '([^=]+)=(.*?)' 1\.", text):
        key, value = match.groups()
        return f"{key}={value}: to run each value add -m; for one list write {key}=[{value}]"
    if "does not support sweep type" in text:
        return "interval(...) has infinitely many values: add sweep=optuna to search among them"
    if match := re.search(r"Sweep parameters '(.*)' requires", text):
        return f"{match[1]}: to run each value add -m"
    if match := re.search(r"Could not \w+ (?:from config\. |to config: )?'?([^'\s=]+)", text):
        return _no_key(match[1].lstrip("~+"), command, arguments)
    return text


def _no_option(missing: str, options: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the message for an unknown option: the nearest options of its group."""
    group, _, option = missing.rpartition("/")
    for argument in arguments:  # an option may contain a slash: model/net=image/convnet
        key, _, value = argument.partition("=")
        for choice in value.split(","):
            if f"{key}/{choice}" == missing:
                group, option = key, choice
                options = list(experiments() if key == "experiment" else group_options(key))
    if not group.startswith("hydra/"):
        return f"{group}={option}: there is no such option; {nearest(option, options)}"
    with composing():
        options = GlobalHydra.instance().config_loader().get_group_options(group)
    package = f"hydra-{option.partition('_')[0]}-{group.rpartition('/')[2]}"
    return f"{group}={option}: not installed (its package may be {package}); available: {', '.join(sorted(options))}"


def _no_key(key: str, command: str, arguments: Sequence[str]) -> str:
    """Return the message for an unknown key or group: which commands take it, the nearest names, how to add it."""
    if key.startswith("hydra.sweeper."):
        name = key.removeprefix("hydra.sweeper.")
        settings = sweeper_settings(command, arguments)
        return f"sweep.{name}: this sweep has no such setting; {nearest(name, settings)} (sweep=optuna is a search)"
    takers = [name for name in commands() if key in groups_of(name)]
    if takers and command not in takers:
        return f"sightseq {command} takes no {key}=; these commands do: {', '.join(takers)}"
    if f"~{key}" in arguments and key in groups():
        return f"~{key}: this group has no option chosen, so there is nothing to delete"
    known = known_keys(command, arguments)
    if f"~{key}" in arguments and key in known:
        return f"~{key}: its value is null, which Hydra cannot delete"
    answer = f"there is no key or group {key!r}; {nearest(key, known)}"
    parent = key.rpartition(".")[0]
    typed = next((argument for argument in arguments if argument.startswith(f"{key}=")), None)
    if typed and (parent in groups() or any(other.startswith(f"{parent}.") for other in known)):
        return f"{answer} To add it, write +{typed}"
    return answer


def check_deletions(arguments: Sequence[str]) -> None:
    """Reject the deletion of a group or key that every run needs.

    Raises:
        ConfigError: an argument deletes one.
    """
    for argument in arguments:
        key = argument[1:].partition("=")[0]
        if not argument.startswith("~") or key in OPTIONAL:
            continue
        options = group_options(key) if key in groups() else {}
        if "none" in options:
            raise ConfigError(f"{argument}: a run needs this; to disable it, write {key}=none")
        if key in ("logger", "callbacks"):
            raise ConfigError(f"{argument}: a run needs this; to disable it, write {key}=[]")
        if options:
            raise ConfigError(f"{argument}: a run needs this; choose another option with {key}=OPTION")
        if "." not in key and key in known_keys("train"):
            raise ConfigError(f"{argument}: a run needs this; change it with {key}=VALUE")


def commands() -> list[str]:
    """Return the commands that compose a config."""
    return sorted(file.stem for file in conf_folder().glob("*.yaml") if file.stem != "command")


def known_keys(command: str, arguments: Sequence[str] = ()) -> set[str]:
    """Return all groups, and all config keys of a command with the options that `arguments` choose, if they exist."""
    choices = [argument for argument in arguments if argument.partition("=")[0] in groups() and "," not in argument]
    with composing():
        try:
            config = hydra_compose(command, choices)
        except (HydraException, OmegaConfBaseException, ValueError):
            config = hydra_compose(command)
        return {*groups(), *_dotted(OmegaConf.to_container(config))}


def sweeper_settings(command: str, arguments: Sequence[str]) -> list[str]:
    """Return the settings of the sweeper that `arguments` choose."""
    choices = [argument for argument in arguments if argument.partition("=")[0] in ("sweep", "hydra/sweeper")]
    with composing():
        config = hydra_compose(command, choices, return_hydra_config=True)
        return [str(name) for name in config.hydra.sweeper if name != "_target_"]


def _dotted(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{prefix}{key}"
            yield from _dotted(inner, f"{prefix}{key}.")
