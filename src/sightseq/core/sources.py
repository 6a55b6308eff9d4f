"""The source code of modules and of the modules that they import from given packages.

Nothing is imported or executed to find it.
"""

import ast
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path


def sources(modules: Iterable[str], packages: Collection[str], left_out: str = "") -> dict[str, str]:
    """Return the source code, by module name, of modules and of the modules that they import, transitively.

    Imports within functions are followed, imports through importlib are not. A package's `__init__` is included if it
    is imported itself, or if a name is imported from it that is not a module. For a compiled module, its bytes are
    returned and its imports are unknown.

    Args:
        modules: names of modules, whose top-level packages must have been imported.
        packages: the top-level packages whose modules are followed.
        left_out: a subpackage of these whose modules are not followed.
    """
    texts: dict[str, str] = {}
    queue = list(modules)
    seen = set(queue)
    while queue:
        name = queue.pop()
        file, inside = _find(name)
        if file is None or not Path(file).is_file():
            continue
        status = Path(file).stat()
        package = name if inside is not None else name.rpartition(".")[0]
        text, imports = _read(Path(file), status.st_mtime_ns, status.st_size, package)
        texts[name] = text
        for module, member in imports:
            if module.partition(".")[0] not in packages:
                continue
            inner = f"{module}.{member}"
            target = inner if member and _find(inner) != (None, None) else module
            if target not in seen and not f"{target}.".startswith(f"{left_out or ' '}."):
                seen.add(target)
                queue.append(target)
    return dict(sorted(texts.items()))


def _find(name: str) -> tuple[str | None, list[str] | None]:
    """Return the file of a module and, if it is a package, its search path. Its parents need not be imported yet."""
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
    """Return the text and the imports of a file; its time and size are part of the cache key."""
    content = file.read_bytes()
    try:
        tree = ast.parse(content) if file.suffix == ".py" else ast.Module([], [])
    except (SyntaxError, ValueError):
        tree = ast.Module([], [])
    # latin-1 decodes any bytes, also those of a compiled file.
    return content.decode("latin-1"), frozenset(_imports(tree, package))


def _imports(tree: ast.Module, package: str) -> Iterator[tuple[str, str]]:
    """Yield each imported module with the name imported from it, "" if it is the module itself or a star."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((module, "" if alias.name == "*" else alias.name) for alias in node.names)
