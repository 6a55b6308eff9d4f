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
GROUPS = ("data", "model", "model/net")

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
    rows = catalogue()
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


def catalogue() -> list[dict[str, Any]]:
    """Return a row for each experiment."""
    options, records = {group: group_options(group) for group in GROUPS}, recorded()
    return [describe(name, file, options, records) for name, file in experiments().items()]


def describe(name: str, file: Path, options: dict[str, dict[str, Path]], records: dict[str, Any]) -> dict[str, Any]:
    """Return the row of an experiment, from its file and those of its data, task and network.

    Args:
        name: the experiment's name.
        file: the experiment's file.
        options: the options of `GROUPS`, with their files.
        records: what was recorded of each experiment.
    """
    experiment = read(file)
    bricks = chosen(read(conf_folder() / "train.yaml")) | chosen(experiment)
    files = [options.get(group, {}).get(bricks.get(group, "")) for group in GROUPS]
    data, task, network = (read(path) if path else {} for path in files)
    network |= experiment.get("model", {}).get("net", {})
    root = Path(os.environ.get("SIGHTSEQ_DATA", "data"))
    return {
        "experiment": name,
        "title": experiment.get("title", name),
        "data": bricks.get("data", ""),
        "network": bricks.get("model/net", ""),
        "task": class_name(task),
        "datamodule": class_name(data),
        "architecture": network.get("name") or class_name(network),
        "licence": data.get("licence"),
        "folders": data.get("folders"),
        "here": "folders" not in data or is_present(root, data["folders"]),
        "downloads": "url" in data,
        "result": records.get(name, {}).get("summary"),  # such as "test accuracy 99.58 ± 0.03 %"
    }


def chosen(config: dict[str, Any]) -> dict[str, str]:
    """Return the option of each group that a defaults list chooses."""
    named = [entry for entry in config.get("defaults", []) if isinstance(entry, dict)]
    return {key.removeprefix("override /"): option for entry in named for key, option in entry.items()}


def class_name(content: dict[str, Any]) -> str:
    """Return the name of the class that an option's `_target_` names, without its module."""
    return str(content.get("_target_", "")).rpartition(".")[2]


def read(file: Path) -> dict[str, Any]:
    """Return the content of a YAML file merged over the files in its folder that it inherits from."""
    content = dict(yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {})
    for base in content.get("defaults", []):
        if not isinstance(base, str):
            continue
        path = file.with_name(base.removesuffix("@_here_").rpartition("/")[2] + ".yaml")
        if path.exists():
            inherited = read(path)
            content = inherited | content | {"defaults": inherited.get("defaults", []) + content["defaults"]}
    return content


def recorded() -> dict[str, Any]:
    """Return what scripts/record.py recorded of each experiment."""
    file = conf_folder() / "results.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}
