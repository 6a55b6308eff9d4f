"""The report of a run: report.html, a self-contained page, and its figures as files.

It does not depend on the task: scores are read by name, and a task provides its own content as blocks.
"""

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sightseq.core.blocks import Block, FigureBlock, Page
from sightseq.core.facts import facts
from sightseq.core.naming import ScoreInfo, score_infos
from sightseq.core.plots import curves_figure

SYNTHETIC = "Generated data: these results say nothing about the real task."
SPLITS = {"test": "Test", "val": "Validation"}
STAGES = {"train": "training", "val": "validation"}

log = logging.getLogger("sightseq")


def write_report(run_dir: Path, config: dict[str, Any], results: dict[str, Any], blocks: Sequence[Block]) -> Path:
    """Write report.html and figures/ into a run directory.

    Args:
        run_dir: the run directory.
        config: the resolved config, as plain values.
        results: the content of results.json; a missing key is left out of the report.
        blocks: shown in this order.

    Returns:
        The path of the page.
    """
    splits: dict[str, Any] = {split: results[split] for split in SPLITS if results.get(split)}
    infos, headline = _infos(results)
    content = {
        "title": results.get("title") or results.get("experiment") or "A run",
        "name": results.get("name") or run_dir.name,
        "warning": SYNTHETIC if (results.get("data") or {}).get("synthetic") else None,
        "headlines": _headlines(results, splits, headline, infos),
        "summary": _summary(results, splits, infos),
        "table": _table(results, splits, headline, infos) if splits else None,
        "command": results.get("command"),
        "facts": facts(results, _baselines(results)),
        "config": yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
    }
    return write_page(run_dir / "report.html", content, blocks)


def write_page(path: Path, content: Mapping[str, Any], blocks: Sequence[Block]) -> Path:
    """Write a page and the figures/ beside it; return its path.

    Args:
        path: of the page; its template is sightseq/core/NAME.j2.
        content: the variables of the template.
        blocks: shown in this order.
    """
    page = Page(path.parent / "figures")
    shown = [{"title": block.title, "caption": block.caption, "content": _content(block, page)} for block in blocks]
    # Autoescape: class names, titles and config values may hold HTML.
    environment = Environment(
        loader=PackageLoader("sightseq.core", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    path.write_text(environment.get_template(f"{path.name}.j2").render(content, blocks=shown), "utf-8")
    return path


def learning_curves(run_dir: Path, results: dict[str, Any]) -> list[Block]:
    """Return the block of the learning curves in a run's metrics.csv; an empty list if there are none.

    Args:
        run_dir: the run directory.
        results: the content of results.json.
    """
    infos, headline = _infos(results)
    history = read_history(run_dir / "metrics.csv")
    curves = _curves(history, headline, infos)
    if not curves:
        return []
    caption = "Training is measured during each epoch, validation after it. The ring marks the best epoch."
    if differs := results.get("training_differs"):
        differing = " and ".join(differs)
        caption += f" Training is measured with {differing}, validation without, so validation may look better."
    if not str(results.get("precision") or "32").startswith("32"):
        caption += f" Both ran in {results['precision']}; the scores in the table were computed in 32 bits."
    return [FigureBlock("Learning curves", curves_figure(history, curves), caption=caption)]


def _infos(results: dict[str, Any]) -> tuple[dict[str, ScoreInfo], str]:
    """Return the scores of a run by name, and the name of the headline score."""
    infos = score_infos(results)
    return infos, str(results.get("headline") or next(iter(infos), "loss"))


def _content(block: Block, page: Page) -> Markup:
    """Return the HTML of a block, or its error if it fails, with the traceback in the log: the training is not lost."""
    try:
        return block.html(page)
    except Exception as error:  # a third-party block may raise anything, at the end of a long run
        log.exception("the block %s of the report failed", block.title)
        message = " ".join(str(error).split())[:200]
        return Markup('<p class="soft">failed: {}: {}</p>').format(type(error).__name__, message)


def read_history(path: Path) -> list[dict[str, float]]:
    """Return the rows of a metrics.csv, empty cells as NaN; no rows if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(cell or "nan") for name, cell in row.items()} for row in csv.DictReader(file)]


def _curves(
    history: Sequence[Mapping[str, float]], headline: str, infos: Mapping[str, ScoreInfo]
) -> dict[str, ScoreInfo]:
    """Select at most four scores to plot: loss and headline first, then those measured in both stages."""
    columns = {name for row in history for name, value in row.items() if math.isfinite(value)}
    both = [name for name in sorted(infos) if {f"train/{name}", f"val/{name}"} <= columns]
    names = [name for name in dict.fromkeys(["loss", headline, *both]) if {f"train/{name}", f"val/{name}"} & columns]
    return {name: infos[name] for name in names[:4] if name in infos}


def _headlines(
    results: dict[str, Any], splits: Mapping[str, Any], headline: str, infos: Mapping[str, ScoreInfo]
) -> list[tuple[str, str]]:
    """Return the headline scores of the run and of the best baseline on the same split, each with its label."""
    split = next((split for split in splits if splits[split].get(headline) is not None), None)
    if split is None or headline not in infos:
        return []
    info = infos[headline]
    shown = [(info.text(splits[split][headline]), f"{SPLITS[split].lower()} {info.title}")]
    baselines = {name: (scores.get(split) or {}).get(headline) for name, scores in _baselines(results).items()}
    if best := info.best(baselines):
        shown.append((info.text(baselines[best]), f"best baseline: {best}"))
    return shown


def _baselines(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name.replace("_", " "): scores for name, scores in (results.get("baselines") or {}).items()}


def _table(
    results: dict[str, Any], splits: Mapping[str, Any], headline: str, infos: Mapping[str, ScoreInfo]
) -> dict[str, Any]:
    """Return one column per metric, one group of rows (model and baselines) per split, and the failed baselines."""
    models = {"This model": results, **_baselines(results)}
    measured = {split: {name: model[split] for name, model in models.items() if model.get(split)} for split in splits}
    names = list(dict.fromkeys(metric for rows in measured.values() for values in rows.values() for metric in values))
    metrics = sorted(infos.keys() & set(names), key=lambda metric: (metric != headline, names.index(metric)))
    groups = []
    for split, rows in measured.items():
        count = (results.get("data") or {}).get(split)
        columns = [
            _column(infos[metric], {name: values.get(metric) for name, values in rows.items()}) for metric in metrics
        ]
        cells = [(name, [column[name] for column in columns]) for name in rows]
        counted = (results.get("data") or {}).get("counted", "samples")
        groups.append((f"{SPLITS[split]}, {count:,} {counted}" if count else SPLITS[split], cells))
    failed = [(name, model["error"]) for name, model in models.items() if "error" in model]
    return {"metrics": [infos[metric].title for metric in metrics], "groups": groups, "failed": failed}


def _column(info: ScoreInfo, values: Mapping[str, float | None]) -> dict[str, tuple[str, bool]]:
    """Return for each model the formatted value and whether it is the best; values with equal text are both best."""
    texts = {name: info.text(value) for name, value in values.items()}
    best = info.best(values) if sum(value is not None for value in values.values()) > 1 else None
    return {name: (text, best is not None and text == texts[best]) for name, text in texts.items()}


def _summary(results: dict[str, Any], splits: Mapping[str, Any], infos: Mapping[str, ScoreInfo]) -> str:
    """Describe in one or two sentences which model the scores belong to."""
    sentences = []
    if splits and results.get("best_epoch") is not None and results.get("epochs"):
        epoch = f"epoch {results['best_epoch']} of {results['epochs']}"
        chosen = "the last one"
        stage, _, name = (results.get("monitor") or "").partition("/")
        if name in infos:
            extreme = "highest" if infos[name].higher_is_better else "lowest"
            chosen = f"the one with the {extreme} {STAGES[stage]} {infos[name].title}"
        sentences.append(f"This is the model of {epoch}, {chosen}.")
    if "test" in splits:
        sentences.append("The test data was used neither for training nor for choosing the epoch.")
    elif splits:
        sentences.append("The test data was not read: these are validation scores.")
    return " ".join(sentences)
