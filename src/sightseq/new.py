"""`sightseq new PACKAGE`: a package that brings a learning problem of its own, to start from. Imports nothing heavy."""

import keyword
import shutil
from pathlib import Path

from sightseq.core.errors import ConfigError
from sightseq.core.files import making
from sightseq.core.places import template_folder

TEMPLATE = "sightseq_dots"
HELP = """sightseq new PACKAGE: writes the skeleton of a package that brings a learning problem of its own

  sightseq new my_counting     a folder my_counting/ with a whole small problem, to be changed into yours:
                               spec, data, network, task, predictor, graph, baseline, configs, a test

Its README says how to install it; sightseq then lists, trains, tests, predicts and exports it like its own."""


def new(arguments: list[str]) -> None:
    """Copies the template under another name.

    Raises:
        ConfigError: no name, a name that no package can have, or a folder of this name is there.
    """
    if arguments in (["--help"], ["-h"]):
        print(HELP)
        return
    if len(arguments) != 1:
        raise ConfigError("write sightseq new PACKAGE: one name, such as my_counting")
    folder = Path(arguments[0])
    name = folder.name
    if not name.isidentifier() or keyword.iskeyword(name) or name == "sightseq":
        raise ConfigError(f"{name} cannot be the name of a package: take letters, digits and underscores")
    if folder.exists():
        raise ConfigError(f"{folder} is there already; take another name, or remove it")
    with making(folder, "another PACKAGE"):
        for source in sorted(template_folder().rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                target = folder / renamed(str(source.relative_to(template_folder())), name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(renamed(source.read_text("utf-8"), name), "utf-8")
                shutil.copymode(source, target)
    print(f"written to {folder}; its README.md says what is in it, and how to install it:")
    print(f"  pip install -e {folder}    # under uv: uv run --with-editable {folder} python -m sightseq list")
    print("  sightseq train experiment=dots debug=synthetic")


def renamed(text: str, name: str) -> str:
    """The template's text for a package of this name."""
    return text.replace(TEMPLATE, name).replace(TEMPLATE.replace("_", "-"), name.replace("_", "-"))
