"""`sightseq list`: what there is. Reads YAML and nothing heavier."""

import json
import os
from pathlib import Path
from typing import Any

import yaml

from sightseq.core.download import is_here
from sightseq.core.errors import ConfigError
from sightseq.core.places import conf_folder, group_options


def print_catalogue(arguments: list[str]) -> None:
    """Prints a table of the experiments: project, data and whether it is here, network, recorded result.

    Raises:
        ConfigError: there are arguments; this command takes one, `format=json`.
    """
    if arguments not in ([], ["format=json"]):
        raise ConfigError(f"sightseq list takes no {' '.join(arguments)}; only format=json")
    rows = [describe(name, file) for name, file in group_options("experiment").items()]
    if arguments:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from sightseq.console import console, new_table

    table = new_table("project", "experiment", "data", "is here", "network", "recorded result")
    for row in rows:
        here = "yes" if row["here"] else "downloads" if row["downloads"] else "no"
        table.add_row(row["title"], row["experiment"], row["data"], here, row["network"], row["result"] or "")
    console().print(table)


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
        if isinstance(base, str) and (beside := file.with_name(f"{base}.yaml")).exists():
            below = read(beside)
            content = below | content | {"defaults": below.get("defaults", []) + content["defaults"]}
    return content


def recorded(experiment: str) -> str | None:
    """The result of an experiment that scripts/record.py has written down, such as "test accuracy 99.58 ± 0.03 %"."""
    file = conf_folder() / "results.json"
    records = json.loads(file.read_text()) if file.exists() else {}
    summary: str | None = records.get(experiment, {}).get("summary")
    return summary
