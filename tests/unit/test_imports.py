"""Imports run one way: down the house."""

import ast
from pathlib import Path

import pytest

import sightseq

PACKAGE = Path(sightseq.__file__).parent
# A room, and the rooms that it may know.
MAY_KNOW = {
    "nets": set(),
    "core": set(),
    "vision": {"core"},
    "text": {"core"},
    "decoding": set(),
    "data": {"core", "vision", "text"},
    "tasks": {"core", "console", "decoding", "nets", "text", "vision"},
    "testing": {"core"},
    "console": {"core"},
    "__main__": {"cli"},
    "completion": {"core"},
    "bricks": {"core"},
    "mistakes": {"core", "bricks"},
    "arguments": {"core"},
    "composition": {"core", "arguments", "bricks", "mistakes"},
    "catalogue": {"core", "console"},
    "sweep": {"core", "console"},
    "compare": {"core", "console", "sweep"},
    "predict": {"core", "console", "decoding", "tasks", "text", "vision"},
    "export": {"core", "console"},
    "bench": {"core", "console", "export", "show"},
    "show": {"core", "console"},
    "explain": {"core", "console", "show"},
    "run": {"core", "console"},
    "cli": {
        "core",
        "arguments",
        "bricks",
        "completion",
        "composition",
        "mistakes",
        "sweep",
        "compare",
        "catalogue",
        "predict",
        "show",
        "explain",
        "export",
        "bench",
    },
    "__init__": {"core", "composition", "run", "predict"},
}
LIGHT = {"torch", "lightning", "torchmetrics", "torchvision", "sklearn", "matplotlib"}


def imports(file: Path, within_functions: bool = True) -> set[str]:
    tree = ast.parse(file.read_text())
    nodes = ast.walk(tree) if within_functions else ast.iter_child_nodes(tree)
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    nodes = ast.walk(tree) if within_functions else ast.iter_child_nodes(tree)
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            found |= {
                f"{node.module}.{alias.name}" if node.module == "sightseq" else str(node.module) for alias in node.names
            }
    return found


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_room_has_a_rule() -> None:
    assert {room(file) for file in FILES} == set(MAY_KNOW)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_knows_only_what_is_below(file: Path) -> None:
    known = {name.split(".")[1] for name in imports(file) if name.startswith("sightseq.")}
    assert known - {room(file)} <= MAY_KNOW[room(file)]


def test_networks_know_torch_alone() -> None:
    for file in (PACKAGE / "nets").glob("*.py"):
        tops = {name.partition(".")[0] for name in imports(file)}
        assert tops <= {
            "torch",
            "torchvision",
            "collections",
            "difflib",
            "functools",
            "itertools",
            "math",
            "pathlib",
            "re",
            "typing",
            "sightseq",
        }, file


LIGHTEST = [
    "cli",
    "bricks",
    "completion",
    "composition",
    "mistakes",
    "catalogue",
    "sweep",
    "console",
    "core/rundir",
    "core/places",
]


@pytest.mark.parametrize("name", LIGHTEST)
def test_the_front_imports_nothing_heavy(name: str) -> None:
    tops = {found.partition(".")[0] for found in imports(PACKAGE / f"{name}.py", within_functions=False)}
    assert not tops & LIGHT


def test_nothing_is_imported_that_windows_lacks() -> None:
    for file in FILES:
        assert not imports(file, within_functions=False) & {"fcntl", "grp", "pwd", "resource", "termios"}, file


def test_only_configs_name_a_dataset() -> None:
    for file in FILES:
        if room(file) != "data":
            assert not any(name.startswith("sightseq.data") for name in imports(file)), file


def test_files_are_short() -> None:
    for file in FILES:
        assert len(file.read_text().splitlines()) <= 300, file
