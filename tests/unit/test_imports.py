"""Rules for imports: a package or module imports only from the layers below it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import sightseq

PACKAGE = Path(sightseq.__file__).parent
CODECS = {"text", "vision", "audio", "series", "music"}
# For each top-level package or module: those that it may import from.
MAY_IMPORT = {
    "nets": set(),
    "core": set(),
    **{codec: {"core"} for codec in CODECS},
    "vision": {"core", "text"},  # a spec of images and their texts, such as captions
    "audio": {"core", "text"},  # a spec of speech and its transcripts
    "music": {"core", "text"},  # pieces as tokens are the data of a language model
    "decoding": set(),
    "data": {"core", *CODECS},
    "tasks": {"core", "decoding", "nets", *CODECS},
    "testing": {"core"},
    "console": {"core"},
    "__main__": {"cli"},
    "completion": {"core"},
    "repository": {"core"},
    "bricks": {"core", "repository"},
    "mistakes": {"core", "bricks"},
    "arguments": {"core"},
    "composition": {"core", "arguments", "bricks", "mistakes"},
    "catalogue": {"core", "console"},
    "sweep": {"core", "console", "arguments", "bricks", "composition", "mistakes", "run"},
    "compare": {"core", "console", "sweep"},
    "new": {"core"},
    "predict": {"core", "console"},
    "export": {"core", "console"},
    "bench": {"core", "console", "export", "show"},
    "eject": {"core", "console"},
    "show": {"core", "console"},
    "explain": {"core", "console", "show"},
    "serve": {"core", "console", "export", "predict"},
    "demo": {"core", "console", "predict", "serve"},
    "run": {"core", "console"},
    "cli": {
        "core",
        "console",
        "arguments",
        "bricks",
        "completion",
        "composition",
        "mistakes",
        "sweep",
        "compare",
        "catalogue",
        "new",
        "predict",
        "show",
        "explain",
        "export",
        "eject",
        "bench",
        "serve",
        "demo",
    },
    "__init__": {"core", "composition", "run", "predict"},
}
HEAVY = {"torch", "lightning", "torchmetrics", "torchvision", "sklearn", "matplotlib"}


@cache
def text(file: Path) -> str:
    return file.read_text()


@cache
def imports(file: Path, within_functions: bool = True) -> set[str]:
    tree = ast.parse(text(file))
    nodes = ast.walk(tree) if within_functions else ast.iter_child_nodes(tree)
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    nodes = ast.walk(tree) if within_functions else ast.iter_child_nodes(tree)
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_package_has_a_rule() -> None:
    assert {layer(file) for file in FILES} == set(MAY_IMPORT) - {
        codec for codec in CODECS if not (PACKAGE / codec).is_dir()
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_package_imports_only_what_is_below(file: Path) -> None:
    imported = {name.split(".")[1] for name in imports(file) if name.startswith("sightseq.")}
    assert imported - {layer(file)} <= MAY_IMPORT[layer(file)]


def test_networks_import_only_torch_and_the_standard_library() -> None:
    for file in (PACKAGE / "nets").glob("*.py"):
        tops = {name.partition(".")[0] for name in imports(file)}
        assert tops <= {
            "abc",
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


WITHOUT_TORCH = [
    "cli",
    "bricks",
    "completion",
    "composition",
    "mistakes",
    "catalogue",
    "sweep/child",
    "sweep/folder",
    "sweep/job",
    "sweep/launcher",
    "sweep/objectives",
    "sweep/restart",
    "sweep/search",
    "sweep/table",
    "sweep/wandb_yaml",
    "console",
    "core/rundir",
    "core/places",
]


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_command_line_modules_import_nothing_heavy(name: str) -> None:
    tops = {found.partition(".")[0] for found in imports(PACKAGE / f"{name}.py", within_functions=False)}
    assert not tops & HEAVY


def test_no_module_needs_imports_that_windows_lacks() -> None:
    for file in FILES:
        assert not imports(file, within_functions=False) & {"fcntl", "grp", "pwd", "resource", "termios"}, file


@pytest.mark.parametrize("name", ["soundfile", "torchaudio"])
def test_packages_of_the_extra_audio_are_imported_where_they_are_needed(name: str) -> None:
    """By `core.extras.require`, which names the extra: lines of writing need neither."""
    for file in FILES:
        assert name not in {found.partition(".")[0] for found in imports(file)}, file


TASK_PACKAGES = sorted(folder.name for folder in (PACKAGE / "tasks").iterdir() if (folder / "__init__.py").is_file())


def named_by_configs(problem: str) -> bool:
    """Whether an option of conf/model is a task of this package; otherwise it is a base of other tasks."""
    files = (PACKAGE.parents[1] / "conf" / "model").glob("*.yaml")
    return any(f"_target_: sightseq.tasks.{problem}." in file.read_text() for file in files)


def test_few_task_packages_are_bases() -> None:
    assert [problem for problem in TASK_PACKAGES if not named_by_configs(problem)] == [
        "conditional_generation",
        "music",
    ]


@pytest.mark.parametrize("problem", TASK_PACKAGES)
def test_a_task_package_is_imported_only_by_itself(problem: str) -> None:
    """Neither the commands nor another task package import it or name it; a base is imported by other task packages."""
    name = f"sightseq.tasks.{problem}"
    own = PACKAGE / "tasks" / problem if named_by_configs(problem) else PACKAGE / "tasks"
    offenders = {
        str(file.relative_to(PACKAGE))
        for file in FILES
        if not file.is_relative_to(own)
        and (any(f"{found}.".startswith(f"{name}.") for found in imports(file)) or name in text(file))
    }
    assert not offenders


def bricks() -> dict[str, Path]:
    """The class of every network, task and dataset that a config names, and the folder of its module."""
    found = {}
    for group in ("data", "model"):
        for file in (PACKAGE.parents[1] / "conf" / group).rglob("*.yaml"):
            for module, name in re.findall(r"^_target_: sightseq\.([\w.]+)\.(\w+)", file.read_text(), re.MULTILINE):
                *folders, _ = module.split(".")
                found[name] = PACKAGE.joinpath(*folders)
    return found


def test_only_configs_name_networks_tasks_and_datasets() -> None:
    found = bricks()
    assert len(found) > 15
    words = {file: set(re.findall(r"\w+", text(file))) for file in FILES}
    offenders = {
        (str(file.relative_to(PACKAGE)), name)
        for file in FILES
        for name, folder in found.items()
        if not file.is_relative_to(folder) and name in words[file]
    }
    assert not offenders


def test_files_are_short() -> None:
    for file in FILES:
        assert len(file.read_text().splitlines()) <= 300, file
