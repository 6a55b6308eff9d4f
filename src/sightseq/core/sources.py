"""The source code that a module stands on: its own, and that of what it imports from the same packages. Nothing is
imported or run to find it.
"""

import ast
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path


def sources(modules: Iterable[str], packages: Collection[str], left_out: str = "") -> dict[str, str]:
    """The source of modules, and of the modules that they import, transitively, by name.

    Imports within functions count, and those by importlib do not. A package's `__init__` counts where it is imported
    itself, or for a name that is no module of it. Of a compiled module the bytes count, and its imports are unknown.

    Args:
        modules: their names; their top-level packages are imported.
        packages: the top-level packages whose modules are followed.
        left_out: a package whose modules are not followed, though they lie within such a package.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        file, inside = _find(name)
        if file is None or not Path(file).is_file():
            continue
        status = Path(file).stat()
        package = name if inside is not None else name.rpartition(".")[0]
        text, imports = _read(Path(file), status.st_mtime_ns, status.st_size, package)
        found[name] = text
        for module, member in imports:
            if module.partition(".")[0] not in packages:
                continue
            inner = f"{module}.{member}"
            target = inner if member and _find(inner) != (None, None) else module
            if target not in seen and not f"{target}.".startswith(f"{left_out or ' '}."):
                seen.add(target)
                waiting.append(target)
    return dict(sorted(found.items()))


def _find(name: str) -> tuple[str | None, list[str] | None]:
    """The file of a module, and where the modules of it lie if it is a package; its parents may not be imported yet."""
    if module := sys.modules.get(name):
        file, path = getattr(module, "__file__", None), getattr(module, "__path__", None)
    else:
        parent = name.rpartition(".")[0]
        above = _find(parent)[1] if parent else None
        spec = PathFinder.find_spec(name, above) if above is not None else None
        file, path = (spec.origin, spec.submodule_search_locations) if spec else (None, None)
    return file, None if path is None else list(path)


@lru_cache(maxsize=1024)
def _read(file: Path, modified: int, size: int, package: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """The text of a file of that time and size, and its imports."""
    content = file.read_bytes()
    try:
        tree = ast.parse(content) if file.suffix == ".py" else ast.Module([], [])
    except (SyntaxError, ValueError):
        tree = ast.Module([], [])
    return content.decode("latin-1"), frozenset(_imports(tree, package))  # which reads any bytes: it may be compiled


def _imports(tree: ast.Module, package: str) -> Iterator[tuple[str, str]]:
    """The modules that are imported, or from which a member is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((module, "" if alias.name == "*" else alias.name) for alias in node.names)
