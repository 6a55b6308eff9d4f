"""Where the configs lie: this package's and those of installed extensions. Imports nothing heavy."""

import re
from collections import Counter
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

ENTRY_POINTS = "sightseq.conf"


def conf_folder() -> Path:
    """The package's copy in an installed wheel, the repository's in a checkout."""
    package = Path(__file__).parents[1] / "conf"
    return package if package.is_dir() else Path(__file__).parents[3] / "conf"


def template_folder() -> Path:
    """The package that `sightseq new` copies: the wheel's copy, or in a checkout the tests' extension."""
    package = Path(__file__).parents[1] / "template"
    return package if package.is_dir() else Path(__file__).parents[3] / "tests" / "extension"


def extension_folders() -> list[Path]:
    """The config folders that installed packages name as entry points, found without importing them.

    The entry point `mine = "my_package.conf"` names the folder conf/ inside my_package.
    """
    found = []
    for entry in entry_points(group=ENTRY_POINTS):
        package, *inner = entry.value.replace(":", ".").split(".")
        spec = find_spec(package)
        if spec and spec.submodule_search_locations:
            found.append(Path(next(iter(spec.submodule_search_locations)), *inner))
    return found


def extension_packages() -> set[str]:
    """The top-level packages of those extensions, whose classes are trusted."""
    return {entry.value.replace(":", ".").partition(".")[0] for entry in entry_points(group=ENTRY_POINTS)}


def group_options(group: str) -> dict[str, Path]:
    """The options of a config group, `image/convnet` in folders within it too, with their files.

    A folder that is a group itself is no part of it: `net` of `model`.
    """
    inner = tuple(name.removeprefix(f"{group}/") + "/" for name in groups_of("train") if name.startswith(f"{group}/"))
    found = {}
    for folder in (conf_folder(), *extension_folders()):
        for file in sorted((folder / group).rglob("*.yaml")):
            option = file.relative_to(folder / group).with_suffix("").as_posix()
            if file.stem != "base" and not option.startswith(inner):
                found[option] = file
    return found


def experiments() -> dict[str, Path]:
    """The experiments by name: the last part of their path in conf/experiment/, or all of it where others share it."""
    options = group_options("experiment")
    lasts = Counter(option.rpartition("/")[2] for option in options)
    names = {option: last if lasts[last := option.rpartition("/")[2]] == 1 else option for option in options}
    return {names[option]: file for option, file in options.items()}


def experiment_name(option: str) -> str:
    """The name of an option of the group: "digits" for image/digits."""
    last, file = option.rpartition("/")[2], group_options("experiment").get(option)
    return last if experiments().get(last) == file else option


def experiment_option(name: str) -> str:
    """The option of the group that a name stands for; what is no name stays as it is."""
    file = experiments().get(name)
    return next((option for option, other in group_options("experiment").items() if other == file), name)


def groups_of(command: str) -> set[str]:
    """The groups in the defaults list of a command, and of those that it begins with."""
    text = (conf_folder() / f"{command}.yaml").read_text(encoding="utf-8")
    found = set(re.findall(r"^  - (?:optional |override )?/?([\w/]+):", text, re.MULTILINE))
    parents = set(re.findall(r"^  - (\w+)\s*(?:#.*)?$", text, re.MULTILINE)) - {"_self_"}
    return found.union(*map(groups_of, parents))


def group_package(group: str) -> str:
    """Where in the config the options of a group stand: `model.optimizer` for `optimizer`, `_global_` for `debug`.

    An option that writes into the package above, as `none` does to leave no mapping, does not count.

    Args:
        group: as in a defaults list; `group@package` says the package itself.
    """
    name, _, package = group.partition("@")
    if package:
        return package
    files = group_options(name).values()
    headers = [re.match(r"#\s*@package\s+(\S+)", file.read_text(encoding="utf-8")) for file in files]
    return max((header[1] for header in headers if header), key=len, default=name.replace("/", "."))


def groups() -> set[str]:
    """The names of all config groups."""
    return {
        str(path.relative_to(folder))
        for folder in (conf_folder(), *extension_folders())
        for path in folder.rglob("*")
        if path.is_dir()
    }
