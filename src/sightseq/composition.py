"""Composing a config with Hydra, and saying what is wrong with one. Imports Hydra and nothing heavier."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from sightseq.core.errors import ConfigError, nearest
from sightseq.core.places import conf_folder, extension_folders, group_options, groups
from sightseq.core.rundir import Config

PATHS = (
    *("ckpt", "input", "init_from", "resume", "output", "data.path", "data.root", "data.cache"),
    *("paths.data", "paths.cache", "paths.runs"),
)
"""The keys whose values are files or folders."""
FLAGS = (
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--config-name",
    "-cn",
    "--config-path",
    "-cp",
    "--config-dir",
    "-cd",
    "--info",
)
"""Those of Hydra's that take the word after them."""


def register_extensions() -> None:
    """Lets Hydra look for options in the config folders of installed extensions too.

    A `hydra_plugins` package would do the same, but to every Hydra application in the user's environment.
    """

    class Extensions(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for folder in extension_folders():
                search_path.append("sightseq-extension", f"file://{folder}")

    Plugins.instance().register(Extensions)


def plain(composed: DictConfig, experiment: str | None) -> Config:
    """The composed config as a plain dictionary: resolved, its paths absolute, with the experiment's name.

    Raises:
        MissingMandatoryValue: a value marked ??? was not given.
    """
    for key in PATHS:
        value = OmegaConf.select(composed, key)
        if isinstance(value, str) and _in_home(value):
            OmegaConf.update(composed, key, str(Path(value).expanduser()))
        for place, one in enumerate(value) if isinstance(value, ListConfig) else ():  # several inputs
            if isinstance(one, str) and _in_home(one):
                value[place] = str(Path(one).expanduser())
    for key in ("data", "cache", "runs"):
        composed.paths[key] = str(Path(composed.paths[key]).absolute())
    config = cast(Config, OmegaConf.to_container(composed, resolve=True, throw_on_missing=True))
    return config if experiment is None else {"experiment": experiment, **config}


def _in_home(path: str) -> bool:
    return path == "~" or path.startswith("~/")


def compose(*overrides: str, command: str = "train") -> Config:
    """The config of `sightseq train OVERRIDES...` as a plain dictionary, for use from Python.

    Raises:
        ConfigError: an unknown group, option or key.
    """
    arguments = as_overrides(command, overrides)
    register_extensions()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3", job_name="sightseq"):
            composed = hydra_compose(command, arguments, return_hydra_config=True)
            experiment = composed.hydra.runtime.choices.get("experiment")
            OmegaConf.set_struct(composed, False)
            del composed["hydra"]
            return plain(composed, experiment)
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError: a group set to null
        raise ConfigError(explain(error, command, arguments)) from error


def quote_path(argument: str) -> str:
    """Quotes the value of a key that holds a path or a text: Hydra's grammar would trip over its spaces and signs."""
    key, _, value = argument.partition("=")
    quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0] not in value[1:-1]
    if key.lstrip("+") not in PATHS or not value or quoted or (value in ("null", "auto") and key != "input"):
        return argument
    return f"{key}={_quoted(value)}"


def _quoted(value: str) -> str:
    # Backslashes are doubled where a quote or the end follows, and nowhere else; ${ would be an interpolation.
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value).replace("${", r"\${")
    return f"'{escaped}'"


def as_overrides(command: str, arguments: Sequence[str]) -> list[str]:
    """What is typed after a command, as Hydra reads it: paths quoted, and keys added that no config file holds.

    `test` and `export` take any `data.KEY`, and `predict` any KEY: which there are depends on the checkpoint, whose
    data or model refuses others.

    Raises:
        ConfigError: an input is empty, or `predict` is given a `data.KEY`.
    """
    if command != "predict":
        return [quote_path(_added(command, argument)) for argument in arguments]
    rest, inputs = split_inputs(arguments)
    overrides = [quote_path(_added(command, argument)) for argument in rest]
    if inputs:
        overrides.append(f"input={inputs[0]}" if len(inputs) == 1 else f"input=[{','.join(inputs)}]")
    return overrides


def _added(command: str, argument: str) -> str:
    key, _, value = argument.partition("=")
    key = key.lstrip("+")
    if command == "predict" and key.startswith("data."):
        raise ConfigError(f"{key}=: predict reads no dataset, but its input=; sightseq test takes data.KEY=")
    free = re.fullmatch(r"\w+", key) and key not in groups() if command == "predict" else key.startswith("data.")
    return f"++{key}={value}" if free and command in ("test", "export", "predict") else argument


def split_inputs(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is typed after `predict`: overrides and flags, and all inputs, quoted for Hydra.

    An input is what `input=` says, one or `[a.png,b.png]`, and whatever is no KEY=VALUE, such as the files that a
    shell makes of a pattern. A file whose name holds "=" is one.

    Raises:
        ConfigError: one is empty.
    """
    rest: list[str] = []
    named: list[str] = []
    others: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        key, sign, value = argument.partition("=")
        if before in FLAGS or (argument[:1] in "-~" and argument not in ("", "-") and argument[:2] != "~/"):
            rest.append(argument)
        elif sign and re.fullmatch(r"\+*input", key):
            named = [quote_path(f"input={one}").partition("=")[2] for one in _listed(value)]
        elif sign and re.fullmatch(r"\+*[\w./@]+", key) and not os.path.exists(argument):  # noqa: PTH110 (raises)
            rest.append(argument)
        else:
            others.append(_quoted(argument))
    if {"", "''"} & {*named, *others}:
        raise ConfigError("input= is empty; name files, or write a text")
    return rest, named + others


def _listed(value: str) -> list[str]:
    """The parts of `[a.png,'b, c.png']`; a single other thing in brackets, such as a text, as it is."""
    if not (value.startswith("[") and value.endswith("]")) or os.path.exists(value):  # noqa: PTH110 (raises)
        return [value]
    lexer = shlex.shlex(value[1:-1], posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters, lexer.escape = ",", True, "", ""
    try:
        parts = [part.strip() for part in lexer]
    except ValueError:  # a quotation mark that is not closed
        return [value]
    several = len(parts) > 1 or value[1] in "'\"" or any(map(os.path.exists, parts))
    return parts if several else [value]


def swept_keys(arguments: Sequence[str]) -> set[str]:
    """The keys that a sweep gives several values."""
    overrides = OverridesParser.create().parse_overrides([a for a in arguments if "=" in a and not a.startswith("-")])
    return {str(override.key_or_group) for override in overrides if override.is_sweep_override()}


def explain(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """What is wrong with a command, in one line, with the nearest names."""
    text = " ".join(str(error).split())
    if isinstance(error, OverrideParseException):
        wrong = (error.override or "").lstrip("+")
        return f"cannot read {wrong!r}: write key=value, and quote a value that holds signs or spaces"
    if isinstance(error, ValueError) and (nulls := [argument for argument in arguments if argument.endswith("=null")]):
        return f"{' '.join(nulls)}: a group takes the name of an option, such as none where there is one"
    if isinstance(error, MissingMandatoryValue):
        key = getattr(error, "full_key", None) or text.rpartition(" ")[2]
        return f"{key}= is needed: sightseq {command} {key}=..."
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = error.options or []
        for argument in arguments:  # an option may itself hold a slash: model/net=image/convnet
            key, _, value = argument.partition("=")
            if f"{key}/{value}" == error.missing_cfg_file:
                group, option, options = key, value, list(group_options(key))
        return f"{group}={option}: there is no such option; {nearest(option, options)}"
    if found := re.search(r"Could not \w+ (?:to config: )?'?([^'\s]+)'", text):
        key = found[1]
        return f"there is no key or group {key!r}; {nearest(key, known_keys(command))}"
    return text


def known_keys(command: str) -> set[str]:
    """All groups, and all keys of a command before further choices."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3", job_name="sightseq"):
        return {*groups(), *_dotted(OmegaConf.to_container(hydra_compose(command)))}


def _dotted(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{prefix}{key}"
            yield from _dotted(inner, f"{prefix}{key}.")
