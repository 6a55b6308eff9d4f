"""`sightseq new PACKAGE`: creates a template package with its own learning problem. Imports nothing heavy."""

import keyword
import shutil
from pathlib import Path

from sightseq.core.errors import ConfigError
from sightseq.core.files import creating
from sightseq.core.places import template_folder

TEMPLATE = "sightseq_dots"
HELP = """sightseq new PACKAGE: create the skeleton of a package with a learning problem of your own

  sightseq new my_counting     creates the folder my_counting/ with a small complete problem to adapt:
                               spec, data, network, task, predictor, graph, baseline, configs, a test

Its README explains how to install it. All commands of sightseq then work with it as with the built-in experiments."""


def new(arguments: list[str]) -> None:
    """Copy the template and rename it.

    Raises:
        ConfigError: the name is missing or not a valid package name, or a folder of this name exists.
    """
    if arguments in (["--help"], ["-h"]):
        print(HELP)
        return
    if len(arguments) != 1:
        raise ConfigError("write sightseq new PACKAGE: one name, such as my_counting")
    folder = Path(arguments[0])
    name = folder.name
    if not name.isidentifier() or keyword.iskeyword(name) or name == "sightseq":
        raise ConfigError(f"{name} is not a valid package name: use letters, digits and underscores")
    if folder.exists():
        raise ConfigError(f"{folder} exists already; choose another name, or remove it")
    with creating(folder, "another PACKAGE"):
        for source in sorted(template_folder().rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                target = folder / renamed(str(source.relative_to(template_folder())), name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(renamed(source.read_text("utf-8"), name), "utf-8")
                shutil.copymode(source, target)
    print(f"written to {folder}; its README.md explains its content and how to install it:")
    print(f"  pip install -e {folder}    # under uv: uv run --with-editable {folder} python -m sightseq list")
    print("  sightseq train experiment=dots debug=synthetic")


def renamed(text: str, name: str) -> str:
    """Replace the template's package name in a text by `name`."""
    return text.replace(TEMPLATE, name).replace(TEMPLATE.replace("_", "-"), name.replace("_", "-"))
