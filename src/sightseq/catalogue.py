"""`sightseq list`: the table of experiments. Reads YAML and imports nothing heavier."""

import json
import os
from pathlib import Path
from typing import Any

import yaml

from sightseq.core.download import is_present
from sightseq.core.errors import ConfigError
from sightseq.core.places import conf_folder, experiments, group_options

WIDE = 110  # minimum terminal columns to show titles, data and networks

USAGE = """sightseq list: list the experiments, whether their data is present, and their recorded results

  sightseq list                a table; with titles, data and networks if the terminal has at least 110 columns
  sightseq list format=json    the same as JSON, for programs

Data is searched under $SIGHTSEQ_DATA, or ./data. To train an experiment: sightseq train experiment=NAME"""


def print_catalogue(arguments: list[str]) -> None:
    """Print a table of the experiments: project, data and whether it is present, network, recorded result.

    Raises:
        ConfigError: an argument is neither `format=json` nor --help.
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
    columns = ["project", "experiment", "data", "data is here", "network", "test result"]
    if narrow := out.width < WIDE:
        columns = ["experiment", "data is here", "test result"]
    table = new_table(*columns, whole=["experiment", "data", "data is here"])
    for row in rows:
        here = "yes" if row["here"] else "downloads" if row["downloads"] else "no"
        cells = {
            "project": row["title"],
            "data is here": here,
            "test result": (row["result"] or "").removeprefix("test "),
        }
        table.add_row(*((row | cells)[name] for name in columns))
    out.print(table)
    if narrow:
        out.print(f"\nA terminal of at least {WIDE} columns, or a pipe, shows titles, data and networks.")


def describe(name: str, file: Path) -> dict[str, Any]:
    """Return one row of the table, from the experiment's file and its data's file."""
    experiment = read(file)
    named = [brick for brick in experiment.get("defaults", []) if isinstance(brick, dict)]
    bricks = {key.removeprefix("override /"): value for brick in named for key, value in brick.items()}
    data = {}
    options = group_options("data")
    if bricks.get("data") in options:
        data = read(options[bricks["data"]])
    root = Path(os.environ.get("SIGHTSEQ_DATA", "data"))
    here = "folders" not in data or is_present(root, data["folders"])
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
    """Return the content of a YAML file merged over the files in its folder that it inherits from."""
    content = dict(yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {})
    for base in content.get("defaults", []):
        if isinstance(base, str) and (path := file.with_name(f"{base.rpartition('/')[2]}.yaml")).exists():
            inherited = read(path)
            content = inherited | content | {"defaults": inherited.get("defaults", []) + content["defaults"]}
    return content


def recorded(experiment: str) -> str | None:
    """Return the result recorded by scripts/record.py, such as "test accuracy 99.58 ± 0.03 %", or None."""
    file = conf_folder() / "results.json"
    records = json.loads(file.read_text()) if file.exists() else {}
    summary: str | None = records.get(experiment, {}).get("summary")
    return summary
