"""Locates the configs of this package and of installed extensions. Imports nothing heavy."""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

ENTRY_POINTS = "sightseq.conf"


def conf_folder() -> Path:
    """Return the config folder: the package's copy in an installed wheel, the repository's in a checkout."""
    package = Path(__file__).parents[1] / "conf"
    return package if package.is_dir() else Path(__file__).parents[3] / "conf"


def template_folder() -> Path:
    """Return the package that `sightseq new` copies: the wheel's copy, or tests/extension in a checkout."""
    package = Path(__file__).parents[1] / "template"
    return package if package.is_dir() else Path(__file__).parents[3] / "tests" / "extension"


def extension_folders() -> list[Path]:
    """Return the config folders that installed packages name as entry points, without importing the packages.

    The entry point `mine = "my_package.conf"` names the folder conf/ inside my_package.
    """
    return list(_extension_folders(tuple(sys.path)))


@cache
def _extension_folders(search_path: tuple[str, ...]) -> list[Path]:
    # Cached by the search path: this reads the metadata of all installed packages, and composing one config asks
    # twenty times.
    folders = []
    for entry in entry_points(group=ENTRY_POINTS):
        package, *inner = entry.value.replace(":", ".").split(".")
        spec = find_spec(package)
        if spec and spec.submodule_search_locations:
            folders.append(Path(next(iter(spec.submodule_search_locations)), *inner))
    return folders


def extension_packages() -> set[str]:
    """Return the top-level packages of installed extensions, whose classes are trusted."""
    return {entry.value.replace(":", ".").partition(".")[0] for entry in entry_points(group=ENTRY_POINTS)}


def group_options(group: str) -> dict[str, Path]:
    """Return the options of a config group by name, with their files.

    An option in a subfolder is named by its path, such as `image/convnet`. A subfolder that is a group itself is left
    out, such as `net` of `model`.
    """
    inner = tuple(name.removeprefix(f"{group}/") + "/" for name in groups_of("train") if name.startswith(f"{group}/"))
    options = {}
    for folder in (conf_folder(), *extension_folders()):
        for file in sorted((folder / group).rglob("*.yaml")):
            option = file.relative_to(folder / group).with_suffix("").as_posix()
            if file.stem != "base" and not option.startswith(inner):
                options[option] = file
    return options


def experiments() -> dict[str, Path]:
    """Return the experiments by name: the last part of the path in conf/experiment/, or all of it if not unique."""
    options = group_options("experiment")
    return {name: options[option] for option, name in _experiment_names(options).items()}


def experiment_name(option: str) -> str:
    """Return the name of an option of the experiment group, such as "digits" for image/digits."""
    return _experiment_names(group_options("experiment")).get(option, option)


def experiment_option(name: str) -> str:
    """Return the option of the experiment group with this name; an unknown name is returned unchanged."""
    names = _experiment_names(group_options("experiment"))
    return next((option for option, other in names.items() if other == name), name)


def _experiment_names(options: Iterable[str]) -> dict[str, str]:
    """Return the name of each option: its last part, or all of it if others end in the same way."""
    last = {option: option.rpartition("/")[2] for option in options}
    counts = Counter(last.values())
    return {option: name if counts[name] == 1 else option for option, name in last.items()}


def groups_of(command: str) -> set[str]:
    """Return the groups in the defaults list of a command and of the root configs that it includes."""
    text = (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8")
    names = set(re.findall(r"^  - (?:optional |override )?/?([\w/]+):", text, re.MULTILINE))
    parents = set(re.findall(r"^  - (\w+)\s*(?:#.*)?$", text, re.MULTILINE)) - {"_self_"}
    return names.union(*map(groups_of, parents))


def group_package(group: str) -> str:
    """Return the config key under which a group's options are placed: `model.optimizer` for `optimizer`, `_global_`
    for `debug`.

    An option that writes into the parent package is ignored: `none` does so, to set the key to null.

    Args:
        group: as in a defaults list; `group@package` names the package explicitly.
    """
    name, _, package = group.partition("@")
    if package:
        return package
    files = group_options(name).values()
    headers = [re.match(r"#\s*@package\s+(\S+)", file.read_text(encoding="utf-8")) for file in files]
    return max((header[1] for header in headers if header), key=len, default=name.replace("/", "."))


def groups() -> set[str]:
    """Return the names of all config groups."""
    return {
        str(path.relative_to(folder))
        for folder in (conf_folder(), *extension_folders())
        for path in folder.rglob("*")
        if path.is_dir()
    }
