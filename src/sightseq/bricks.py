"""Config loader: drops an experiment's settings for a brick that the user exchanges. Imports Hydra, nothing heavier.

A brick is the option of a config group that can be exchanged, such as `optimizer=sgd` or `model/net=image/resnet`.
"""

import contextlib
import copy
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any, cast

from hydra import initialize_config_dir
from hydra._internal import hydra as hydra_internals
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from sightseq.core.places import (
    conf_folder,
    experiment_option,
    experiments,
    extension_folders,
    group_options,
    group_package,
    groups_of,
)
from sightseq.core.rundir import dated_name
from sightseq.repository import Repository

# The cache of a config goes from a sweep to its jobs. Registered here, because a launcher of Hydra's may unpickle
# `Loader` in another process.
OmegaConf.register_new_resolver("sightseq.dated_name", dated_name, use_cache=True, replace=True)


class Loader(ConfigLoaderImpl):
    """Hydra's loader with two changes: it finds extensions' options, and drops settings of exchanged bricks."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        """Add the config folders of extensions before the schemas, which come last."""
        for folder in extension_folders():
            config_search_path.prepend("sightseq-extension", f"file://{folder}", SearchPathQuery(provider="schema"))
        super().__init__(config_search_path)
        self.repository = Repository(config_search_path)

    def load_configuration(self, config_name: str | None, overrides: list[str], *args: Any, **more: Any) -> DictConfig:
        """Return the composed config. Hydra calls this for a single run and for each job of a sweep."""
        overrides = [_placed(override) for override in overrides]
        self._request = config_name, overrides
        return super().load_configuration(config_name, overrides, *args, **more)

    def get_group_options(
        self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG, *args: Any, **more: Any
    ) -> list[str]:
        """Return the options of a group, or its subgroups, for help and completion: named as in `group_options`."""
        if group_name.startswith("hydra"):
            return super().get_group_options(group_name, results_filter, *args, **more)
        if results_filter == ObjectType.CONFIG:
            return list(experiments() if group_name == "experiment" else group_options(group_name))
        options = super().get_group_options(group_name, results_filter, *args, **more)
        known = groups_of("train")
        return [name for name in options if group_name not in known or f"{group_name}/{name}" in known]

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        self._defaults = defaults
        return super()._compose_config_from_defaults_list(defaults, repo)

    def _load_single_config(self, default: ResultDefault, repo: IConfigRepository) -> ConfigResult:
        loaded = super()._load_single_config(default, repo)
        if (default.config_path or "").startswith("experiment/"):
            loaded = copy.copy(loaded)
            loaded.config = drop_exchanged_settings(
                cast(DictConfig, loaded.config), *self._request, self._defaults, repo
            )
        return loaded


def _placed(override: str) -> str:
    """Return `experiment=digits` with the path that Hydra needs: `experiment=image/digits`."""
    key, sign, value = override.partition("=")
    return f"{key}={experiment_option(value)}" if sign and key.lstrip("+") == "experiment" else override


@contextlib.contextmanager
def sightseq_hydra() -> Iterator[None]:
    """Context in which Hydra applications use `Loader`.

    Other Hydra applications of the user are not affected, as they would be by a `hydra_plugins` package or a registered
    plugin.
    """
    module: Any = hydra_internals
    module.ConfigLoaderImpl = Loader
    try:
        yield
    finally:
        module.ConfigLoaderImpl = ConfigLoaderImpl


@contextlib.contextmanager
def composing() -> Iterator[None]:
    """Context in which Hydra's `compose` gives the same config as the commands."""
    GlobalHydra.instance().clear()
    with sightseq_hydra(), initialize_config_dir(str(conf_folder()), version_base="1.3", job_name="sightseq"):
        yield


def drop_exchanged_settings(
    body: DictConfig,
    command: str | None,
    overrides: Sequence[str],
    defaults: Iterable[ResultDefault],
    repo: IConfigRepository,
) -> DictConfig:
    """Return the content of an experiment file without its settings for exchanged bricks; those of the trainer stay.

    A brick is exchanged if the choice of its group differs from the one that the experiment alone makes. The keys below
    its package are then dropped, except those below the packages of other bricks: `model=` keeps `model.optimizer.lr`.

    Args:
        body: content of the file, embedded in its package.
        command: name of the root config.
        overrides: all overrides of the command.
        defaults: the config files that these choose.
        repo: the config files.
    """
    if not any(isinstance(value, DictConfig) for value in body.values()):
        return body  # only a title
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    alone = [override for override in parsed if override.key_or_group == "experiment"]
    if not any(repo.group_exists(override.key_or_group) for override in parsed if override not in alone):
        return body  # no option is chosen but the experiment
    own = chosen(create_defaults_list(repo, command, alone, prepend_hydra=True, skip_missing=True).defaults)
    final = chosen(defaults)
    packages = {group: group_package(group) for group in own | final}
    exchanged = {package for group, package in packages.items() if own.get(group) != final.get(group)}
    exchanged -= {"_global_", "trainer"}  # an option of trainer is a machine; the epochs are the experiment's
    body = copy.deepcopy(body)  # Hydra caches the original
    _strip(body, "", "", set(packages.values()), exchanged)
    return body


def chosen(defaults: Iterable[ResultDefault]) -> dict[str, list[str]]:
    """Return the files that are taken from each group, but those of Hydra; several if the options combine."""
    files: dict[str, list[str]] = {}
    for default in defaults:
        path = default.config_path or ""
        group = default.override_key or path.rpartition("/")[0]  # an option of several has no key
        if group and not group.startswith("hydra"):
            files.setdefault(group, []).append(path)
    return files


def _strip(node: DictConfig, path: str, owner: str, packages: Set[str], exchanged: Set[str]) -> None:
    """Delete all values whose innermost brick is exchanged, and the mappings that become empty."""
    for key, value in list(node.items_ex(resolve=False)):
        inner = f"{path}.{key!s}".lstrip(".")
        innermost = inner if inner in packages else owner
        if isinstance(value, DictConfig) and not value._is_none() and len(value):
            _strip(value, inner, innermost, packages, exchanged)
            if not len(value):
                del node[key]
        elif innermost in exchanged:
            del node[key]
