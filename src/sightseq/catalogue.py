"""`sightseq list`: what there is. Reads YAML and nothing heavier."""

import json
import os
from pathlib import Path
from typing import Any

import yaml

from sightseq.core.download import is_here
from sightseq.core.errors import ConfigError
from sightseq.core.places import conf_folder, experiments, group_options

WIDE = 110  # columns of a terminal that has room for titles and networks

USAGE = """sightseq list: lists the experiments, whether their data is here, and their recorded results

  sightseq list                a table; a terminal of 110 columns has room for titles and networks
  sightseq list format=json    the same for programs

Data is looked for under $SIGHTSEQ_DATA, or ./data. Train one with sightseq train experiment=NAME."""


def print_catalogue(arguments: list[str]) -> None:
    """Prints a table of the experiments: project, data and whether it is here, network, recorded result.

    Raises:
        ConfigError: there are arguments; this command takes one, `format=json`, besides --help.
    """
    if arguments in (["--help"], ["-h"]):
        print(USAGE)
        return
    if arguments not in ([], ["format=json"]):
        raise ConfigError(f"sightseq list takes no {' '.join(arguments)}; only format=json")
    rows = [describe(name, file) for name, file in experiments().items()]
    if arguments:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from sightseq.console import console, new_table

    out = console()
    columns = ["project", "experiment", "data", "is here", "network", "recorded result"]
    if narrow := out.width < WIDE:
        columns = [name for name in columns if name not in ("project", "network")]
    table = new_table(*columns, whole=["experiment", "data", "is here"], gap=2 if narrow else 3)
    for row in rows:
        here = "yes" if row["here"] else "downloads" if row["downloads"] else "no"
        cells = {"project": row["title"], "is here": here, "recorded result": row["result"] or ""}
        table.add_row(*((row | cells)[name] for name in columns))
    out.print(table)
    if narrow:
        out.print(f"\nA terminal of {WIDE} columns, or a pipe, has room for titles and networks.")


def describe(name: str, file: Path) -> dict[str, Any]:
    """One experiment, from its file and that of its data."""
    experiment = read(file)
    named = [brick for brick in experiment.get("defaults", []) if isinstance(brick, dict)]
    bricks = {key.removeprefix("override /"): value for brick in named for key, value in brick.items()}
    data = {}
    options = group_options("data")
    if bricks.get("data") in options:
        data = read(options[bricks["data"]])
    root = Path(os.environ.get("SIGHTSEQ_DATA", "data"))
    here = "folders" not in data or is_here(root, data["folders"])
    return {
        "experiment": name,
        "title": experiment.get("title", name),
        "data": bricks.get("data", ""),
        "network": bricks.get("model/net", ""),
        "here": here,
        "downloads": "url" in data,
        "result": recorded(name),
    }


def read(file: Path) -> dict[str, Any]:
    """The content of a YAML file, on top of those beside it that it inherits from."""
    content = dict(yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {})
    for base in content.get("defaults", []):
        if isinstance(base, str) and (beside := file.with_name(f"{base.rpartition('/')[2]}.yaml")).exists():
            below = read(beside)
            content = below | content | {"defaults": below.get("defaults", []) + content["defaults"]}
    return content


def recorded(experiment: str) -> str | None:
    """The result of an experiment that scripts/record.py has written down, such as "test accuracy 99.58 ± 0.03 %"."""
    file = conf_folder() / "results.json"
    records = json.loads(file.read_text()) if file.exists() else {}
    summary: str | None = records.get(experiment, {}).get("summary")
    return summary
