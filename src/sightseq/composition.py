"""Composing a config with Hydra, and saying what is wrong with one. Imports Hydra and nothing heavier."""

import contextlib
import copy
import re
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal import hydra as hydra_internals
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from sightseq.core.errors import ConfigError, nearest
from sightseq.core.places import conf_folder, extension_folders, group_options, group_package, groups
from sightseq.core.rundir import Config

PATHS = ("ckpt", "input", "init_from", "resume", "output", "data.path", "paths.data", "paths.cache", "paths.runs")
"""The keys whose values are files or folders."""


class Loader(ConfigLoaderImpl):
    """Composes as Hydra does, with options of extensions, without keys of an experiment whose brick was exchanged."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        """Adds the config folders of extensions, before the schemas, which stand last."""
        for folder in extension_folders():
            config_search_path.prepend("sightseq-extension", f"file://{folder}", SearchPathQuery(provider="schema"))
        super().__init__(config_search_path)

    def load_configuration(self, config_name: str | None, overrides: list[str], *args: Any, **more: Any) -> DictConfig:
        """The composed config. Hydra calls this for a single run and for each job of a sweep."""
        self.asked = config_name, overrides
        return super().load_configuration(config_name, overrides, *args, **more)

    def _load_single_config(self, default: ResultDefault, repo: IConfigRepository) -> ConfigResult:
        loaded = super()._load_single_config(default, repo)
        if (default.config_path or "").startswith("experiment/"):
            loaded = copy.copy(loaded)
            loaded.config = without_exchanged(cast(DictConfig, loaded.config), *self.asked, repo)
        return loaded


@contextlib.contextmanager
def hydra_of_sightseq() -> Iterator[None]:
    """Hydra applications that begin in this context use our loader.

    Others do not: a `hydra_plugins` package or a registered plugin would change every one of the user's.
    """
    module: Any = hydra_internals
    module.ConfigLoaderImpl = Loader
    try:
        yield
    finally:
        module.ConfigLoaderImpl = ConfigLoaderImpl


def without_exchanged(
    body: DictConfig, command: str | None, overrides: Sequence[str], repo: IConfigRepository
) -> DictConfig:
    """The keys of an experiment file without those typed for a brick that is exchanged.

    A brick is exchanged where the choice of its group differs from the one that the experiment alone would make. The
    keys below its package then leave, down to the packages of other bricks: `model=` leaves `model.optimizer.lr`.

    Args:
        body: what the file says, embedded in its package.
        command: the root config.
        overrides: the whole command.
        repo: the config files.
    """
    if not any(isinstance(value, DictConfig) for value in body.values()):
        return body  # a title alone
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    alone = [override for override in parsed if override.key_or_group == "experiment"]
    own, final = (
        create_defaults_list(repo, command, some, prepend_hydra=True, skip_missing=True).overrides
        for some in (alone, parsed)
    )
    choices = [
        {
            group: [choice] if isinstance(choice, str) else choice
            for group, choice in (overrides.known_choices | overrides.override_choices).items()
            if group not in overrides.deletions
        }
        for overrides in (own, final)
    ]
    known = [group for group in choices[0] | choices[1] if not group.startswith("hydra/")]
    packages = {group: group_package(group, known) for group in known}
    exchanged = {package for group, package in packages.items() if choices[0].get(group) != choices[1].get(group)}
    body = copy.deepcopy(body)  # Hydra keeps what it has read
    _strip(body, "", "", set(packages.values()), exchanged - {"_global_"})
    return body


def _strip(node: DictConfig, path: str, owner: str, packages: Set[str], exchanged: Set[str]) -> None:
    """Deletes all values whose innermost brick is exchanged, and the mappings that become empty by it."""
    for key, value in list(node.items_ex(resolve=False)):
        inner = f"{path}.{key!s}".lstrip(".")
        innermost = inner if inner in packages else owner
        if isinstance(value, DictConfig) and not value._is_none() and len(value):
            _strip(value, inner, innermost, packages, exchanged)
            if not len(value):
                del node[key]
        elif innermost in exchanged:
            del node[key]


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


def check_values(config: Config) -> None:
    """Checks the values of a command that no class is built with.

    Raises:
        ConfigError: one of them does not fit.
    """
    run_test, seed, name = config.get("run_test", True), config.get("seed", 0), config.get("name")
    if run_test not in (True, False, "auto") or (isinstance(run_test, int) and not isinstance(run_test, bool)):
        raise ConfigError(f"run_test={run_test}: is true, false or auto")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed}: is a whole number from 0 to {2**32 - 1}")
    if name is not None and (not isinstance(name, str) or re.search(r"[/\\\0]|\.\.", name) or not name.strip()):
        raise ConfigError(f"name={name}: ends the name of the run directory, so it is a text without / and ..")


def compose(*overrides: str, command: str = "train") -> Config:
    """The config of `sightseq train OVERRIDES...` as a plain dictionary, for use from Python.

    Raises:
        ConfigError: an unknown group, option or key.
    """
    arguments = [quote(override) for override in overrides]
    GlobalHydra.instance().clear()
    try:
        with hydra_of_sightseq(), initialize_config_dir(str(conf_folder()), version_base="1.3", job_name="sightseq"):
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


def explain(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """What is wrong with a command, in one line, with the nearest names."""
    text = " ".join(str(error).split())
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}: write key=value, and quote a value that holds signs or spaces"
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
            for choice in value.split(","):
                if f"{key}/{choice}" == error.missing_cfg_file:
                    group, option, options = key, choice, list(group_options(key))
        return f"{group}={option}: there is no such option; {nearest(option, options)}"
    if found := re.search(r"Could not \w+ (?:to config: )?'?([^'\s]+)'", text):
        key = found[1]
        return f"there is no key or group {key!r}; {nearest(key, known_keys(command))}"
    return text


def known_keys(command: str) -> set[str]:
    """All groups, and all keys of a command before further choices."""
    GlobalHydra.instance().clear()
    with hydra_of_sightseq(), initialize_config_dir(str(conf_folder()), version_base="1.3", job_name="sightseq"):
        return {*groups(), *_dotted(OmegaConf.to_container(hydra_compose(command)))}


def _dotted(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{prefix}{key}"
            yield from _dotted(inner, f"{prefix}{key}.")
