"""The gallery: one page for each topic of conf/experiment/, made from the experiments and their recorded results."""

import math
import re
from pathlib import Path
from typing import Any

import yaml
from record import baselines, repeated  # scripts/record.py

from sightseq.catalogue import catalogue, recorded
from sightseq.core.naming import SECONDS, score_infos
from sightseq.core.places import experiments

PICTURES = Path(__file__).parent / "pages" / "pictures"
CAPTIONS = yaml.safe_load((Path(__file__).parent / "captions.yaml").read_text(encoding="utf-8"))

INDEX = """# Gallery

Each project is a LightningModule paired with a LightningDataModule, chosen by one file in `conf/experiment/`. A result
is the mean ± the standard deviation over seeds or folds, on a test split that is read once, after training.
[Results](../results.md) has all scores and the verdicts against the baselines.
"""


def write_gallery(folder: Path) -> list[Any]:
    """Write the pages into a folder; return them as entries of the navigation."""
    folder.mkdir()
    topics: dict[str, list[dict[str, Any]]] = {}
    files = experiments()
    for row in catalogue():
        file = files[row["experiment"]]
        topics.setdefault(file.parent.name, []).append(row | {"about": about(file)})
    records = recorded()
    cards = []
    for topic, rows in topics.items():
        sections = "\n\n".join(section(row, records.get(row["experiment"])) for row in rows)
        (folder / f"{topic}.md").write_text(f"# {topic.capitalize()}\n\n{sections}\n", encoding="utf-8")
        cards.append(card(topic, rows))
    index = INDEX + '\n<div class="cards" markdown>\n\n' + "\n".join(cards) + "\n</div>\n"
    (folder / "index.md").write_text(index, encoding="utf-8")
    return ["gallery/index.md", *({topic.capitalize(): f"gallery/{topic}.md"} for topic in topics)]


def about(file: Path) -> str:
    """Return the comment at the top of an experiment's file: what it is, and where its recipe is from."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.removeprefix("#").removeprefix(" "))
    # A list needs an empty line before it.
    return re.sub(r"(?<=[^\n])\n(?=- )", "\n\n", "\n".join(lines), count=1)


def picture(name: str) -> str:
    """Return an experiment's picture with its caption, the caption alone, or nothing."""
    caption = CAPTIONS.get(name)
    if not caption:
        return ""
    drawn = (PICTURES / f"{name}.webp").exists()
    return (f"![{name}](../pictures/{name}.webp)\n" if drawn else "") + f"*{caption}*{{ .caption }}"


def card(topic: str, rows: list[dict[str, Any]]) -> str:
    """Return the entry of a topic on the gallery's first page: a picture, and the names of its experiments."""
    names = [row["experiment"] for row in rows]
    drawn = next((name for name in names if (PICTURES / f"{name}.webp").exists()), None)
    image = f"[![{topic}](../pictures/{drawn}.webp)]({topic}.md)\n" if drawn else ""
    links = ", ".join(f"[{name}]({topic}.md#{name})" for name in names)
    return f"<div markdown>\n\n{image}\n**[{topic.capitalize()}]({topic}.md)**\n\n{links}\n\n</div>\n"


def section(row: dict[str, Any], found: dict[str, Any] | None) -> str:
    """Return the part of a page about one experiment."""
    name = row["experiment"]
    facts = {
        "LightningModule": f"`{row['task']}`",
        "LightningDataModule": f"`{row['datamodule']}`, {source(row)}",
        "Network": f"`{row['architecture']}`",
    }
    facts |= measured(name, found) if found else {"Result": "not recorded"}
    table = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    command = f"uv run sightseq train experiment={name}"
    parts = [f"## {row['title']} {{ #{name} }}", row["about"], picture(name), f"```sh\n{command}\n```"]
    return "\n\n".join(part for part in [*parts, f"| | |\n|---|---|\n{table}"] if part)


def source(row: dict[str, Any]) -> str:
    """Say where the data comes from."""
    if not row["folders"]:
        return "included"
    if not row["licence"]:
        return f"your files in `{row['folders'][0]}`"
    if row["downloads"]:
        return "downloaded and verified at first use"
    return f"to be downloaded by hand, into `{row['folders'][0]}`"


def filled(text: str) -> str:
    """Replace `{{NAME}}` by the recorded result of an experiment, and `{{NAME: WHAT}}` by another number of its record.

    WHAT is `parameters`, `seconds` (of training) or a baseline's name. So no recorded number is typed on a page.
    """
    records = recorded()

    def number(match: re.Match[str]) -> str:
        found, what = records[match[1]], match[2]
        metric = found["headline"]
        info = score_infos(found)[metric]
        if what == "parameters":
            return f"{found['parameters']:,}"
        if what == "seconds":
            return SECONDS.mean_std_text(*found["seconds"]["fit"])
        mean, std = found["baselines"][what][metric] if what else found["scores"][f"test/{metric}"]
        return info.mean_std_text(mean, std or math.nan)

    return re.sub(r"\{\{(\w+)(?:: ([^}]+))?\}\}", number, text)


def measured(name: str, found: dict[str, Any]) -> dict[str, str]:
    """Return what was recorded of an experiment."""
    hardware = found["hardware"]
    word, values = repeated(found)
    where = hardware["accelerator"] if hardware["accelerator"] != "none" else f"{hardware['cores']} cores"
    return {
        "Parameters": f"{found['parameters']:,}",
        "Result": f"**{found['summary']}**, {len(values)} {word} ([all scores](../results.md#{name}))",
        **({"Baselines": baselines(found)} if found["baselines"] else {}),
        "Seconds": f"{SECONDS.mean_std_text(*found['seconds']['fit'])} of training, on {hardware['cpu']}, {where}",
        **({"Note": found["note"]} if found["note"] else {}),
    }
