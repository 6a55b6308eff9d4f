"""Where the configs lie: this package's and those of installed extensions. Imports nothing heavy."""

import re
from collections.abc import Collection
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

ENTRY_POINTS = "sightseq.conf"


def conf_folder() -> Path:
    """The package's copy in an installed wheel, the repository's in a checkout."""
    package = Path(__file__).parents[1] / "conf"
    return package if package.is_dir() else Path(__file__).parents[3] / "conf"


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
    """The options of a config group, `image/convnet` in folders within it too, with their files."""
    found = {}
    for folder in (conf_folder(), *extension_folders()):
        for file in sorted((folder / group).rglob("*.yaml")):
            if file.stem != "base":
                found[str(file.relative_to(folder / group).with_suffix(""))] = file
    return found


def group_package(group: str, known: Collection[str]) -> str:
    """Where in the config the options of a group stand: `model.optimizer` for `optimizer`, `_global_` for `debug`.

    An option that writes into the package above, as `none` does to leave no mapping, does not count.

    Args:
        group: as in a defaults list; `group@package` says the package itself.
        known: all groups, so that an option of `model/net` is none of `model`.
    """
    name, _, package = group.partition("@")
    if package:
        return package
    inner = tuple(f"{other.removeprefix(f'{name}/')}/" for other in known if other.startswith(f"{name}/"))
    files = [file for option, file in group_options(name).items() if not option.startswith(inner)]
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
