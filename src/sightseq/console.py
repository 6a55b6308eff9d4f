"""Terminal output of a run: a few lines before training; a table and suggested commands after it.

The functions import rich when they are called: most commands start another process before they print anything.
"""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sightseq.core.cluster import rank
from sightseq.core.naming import score_infos

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sightseq.core.datamodule import DataModule


def console() -> "Console":
    """Return a console for stdout; of distributed training, only the first process prints."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 240  # do not wrap the lines of tables in a file or a pipe
    return Console(quiet=rank() > 0, highlight=False, markup=False, soft_wrap=True, width=width)


def new_table(*left: str, right: Sequence[str] = (), whole: Sequence[str] = (), gap: int = 3) -> "Table":
    """Return an empty table without frames: left-aligned columns (text), then right-aligned columns (numbers).

    On a narrow terminal the widest columns are wrapped and nothing is truncated; columns in `whole` are not wrapped.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    for title in (*left, *right):
        justify: Literal["right", "left"] = "right" if title in right else "left"
        table.add_column(title, justify=justify, overflow="fold", no_wrap=title in whole)
    return table


def say(label: str, text: str) -> None:
    """Print one line: a short label, then text."""
    from rich.text import Text

    # One call: a notebook shows the output of each call on a line of its own.
    console().print(Text.assemble((f"{label:<10}", "bold"), text))


def command(line: str) -> str:
    """Return a command that works in the user's shell: prefixed by `uv run` if this process was started with it."""
    return f"uv run {line}" if "UV" in os.environ else line


def short(path: Path) -> str:
    """Return a path, relative to the working directory if it is inside it, quoted for the shell."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def describe(data: "DataModule") -> str:
    """Describe a dataset in one line: name, whether it is synthetic, sizes of the splits, the spec's summary."""
    words = {"train": "to train", "val": "to validate", "test": "to test"}
    counts = {split: len(data.dataset(split)) for split in words}
    sizes = ", ".join(f"{counts[split]:,} {word}" for split, word in words.items())
    if data.sample_unit != "samples":
        sizes = f"{data.sample_unit}: {sizes}"
    if data.streams:
        sizes += f", in {', '.join(map(str, data.streams.values()))} streams"
    facts = data.spec.summary().items()
    kind = "".join(f"; {n:,} {name}" if isinstance(n, int) else f"; {name} {n}" for name, n in facts)
    bad, total = len(data.skipped), sum(counts.values()) + len(data.skipped)
    skipped = f"; skipped {bad:,} of {total:,} that cannot be read, for example {data.skipped[0]}" if bad else ""
    remarks = "".join(f"; {remark}" for remark in data.remarks)
    return f"{data.name}{' (synthetic)' if data.synthetic else ''}: {sizes}{kind}{skipped}{remarks}"


def results_table(results: Mapping[str, Any], names: Sequence[str]) -> "Table":
    """Return a table of the model and its baselines; each score in `names` has a validation and a test column."""
    stages = [stage for stage in ("val", "test") if results.get(stage)]
    words = {"val": "validation", "test": "test"}
    infos = score_infos(results)
    columns = {name: infos[name] for name in names}
    table = new_table("", right=[f"{words[stage]}\n{info.title}" for stage in stages for info in columns.values()])
    rows = {results["network"]: {stage: results[stage] for stage in stages}, **results["baselines"]}
    for row, scores in rows.items():
        if "error" in scores:
            table.add_row(row, "failed")
            continue
        cells = [(info, (scores.get(stage) or {}).get(name)) for stage in stages for name, info in columns.items()]
        table.add_row(row, *("" if value is None else info.text(value) for info, value in cells))
    return table


def ending(results: Mapping[str, Any], folder: Path, report: Path) -> None:
    """Print the results and baselines, the path of the report and, after training, two commands to try next."""
    out = console()
    out.print()
    names = list(results["columns"])
    table = results_table(results, names)
    while len(names) > 1 and out.measure(table, options=out.options.update(width=1000)).maximum > out.width:
        names.pop()  # the report shows all of them
        table = results_table(results, names)
    out.print(table)
    out.print()
    if results["data"]["synthetic"]:
        say("data", "synthetic: these scores say nothing about real data")
    if training := results.get("train"):
        shown = [(info, training[name]) for name, info in score_infos(results).items() if name in training]
        texts = [f"{info.title} {info.text(value)}" for info, value in shown]
        say("training", f"{', '.join(texts)} in the last epoch, measured while training")
    for name, scores in results["baselines"].items():
        if "error" in scores:
            say("baseline", f"{name} failed: {scores['error']}; the traceback is in log.txt")
    seconds = results["seconds"]
    say(
        "time", f"{seconds['total']:.0f} s" + (f", {seconds['fit']:.0f} s of them training" if "fit" in seconds else "")
    )
    say("report", short(report))
    for name, tracker in (results.get("trackers") or {}).items():
        if "offline" in tracker:
            say(name, f"offline: {tracker['offline']}; to upload the run:")
            say("", command(f"wandb sync {' '.join(short(Path(folder)) for folder in tracker['folders'])}"))
        elif tracker["url"]:
            say(name, tracker["url"])
    if "fit" not in seconds or results["sweep"]:
        return
    experiment = results["experiment"]
    say("model", short(folder / "checkpoints" / "best.ckpt"))
    say("next", command(f"sightseq show experiment={experiment}"))
    say("", command(f"sightseq train -m experiment={experiment} seed=1,2,3 optimizer=adamw,sgd"))
