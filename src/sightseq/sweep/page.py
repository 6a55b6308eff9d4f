"""sweep.html: which choice is best, how the jobs learned, and what mattered."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightseq.core.blocks import Block, FigureBlock, TableBlock
from sightseq.core.naming import SECONDS, ScoreInfo, score_infos
from sightseq.core.report import write_page
from sightseq.sweep.best import write_experiment
from sightseq.sweep.figures import COLOURS, importance_figure, learning_curves, logarithmic, parallel, slices
from sightseq.sweep.folder import Job, SweepFolder
from sightseq.sweep.job import command_of, key_of
from sightseq.sweep.table import mean_std

FEW = 4  # jobs; fewer show nothing about parameters


def write_sweep_page(sweep: SweepFolder) -> Path | None:
    """Write sweep.html into the folder of a sweep, with figures/ and the best job as experiment/best.yaml.

    Returns:
        The path of the page; None if no job has finished.
    """
    jobs = list(sweep.jobs().values())
    scored = [job for job in jobs if job.score is not None and math.isfinite(job.score)]
    if not scored:
        return None
    results = scored[0].results() or {}
    headline = str(results["headline"])
    info = score_infos(results).get(headline, ScoreInfo(headline, higher_is_better=True))
    ranked = ranking(scored, info)
    best = next(iter(ranked))
    first = max(ranked[best], key=lambda job: (job.score or 0.0) * (1 if info.higher_is_better else -1))
    file = write_experiment(first, sweep.path)
    command = f"sightseq train --config-dir {sweep.path} experiment={file.stem}"
    failed = [job for job in jobs if job.state == "failed"]
    content = {
        "title": results.get("title") or headline,
        "name": f"sweep {sweep.path.name}",
        "warning": None,
        "command": sweep.about()["command"],
        "headlines": [(score_text(ranked[best], info), f"validation {info.title}: {best}")],
        "summary": f"{len(jobs)} jobs, {len(failed)} failed." if failed else f"{len(jobs)} jobs.",
        "best": {"command": command, "file": file.name, "text": file.read_text()},
    }
    return write_page(sweep.path / "sweep.html", content, blocks(jobs, ranked, info))


def ranking(jobs: Sequence[Job], info: ScoreInfo) -> dict[str, list[Job]]:
    """Return the scored jobs of each choice, the choice with the best mean first."""
    groups: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.choice].append(job)
    means = {choice: mean_std([job.score or 0.0 for job in group])[0] for choice, group in groups.items()}
    return {choice: groups[choice] for choice in sorted(means, key=means.__getitem__, reverse=info.higher_is_better)}


def score_text(jobs: Sequence[Job], info: ScoreInfo) -> str:
    """Return the mean score of jobs ± its standard deviation."""
    return info.mean_std_text(*mean_std([job.score or 0.0 for job in jobs]))


def blocks(jobs: Sequence[Job], ranked: Mapping[str, list[Job]], info: ScoreInfo) -> list[Block]:
    """Return the blocks of the page."""
    rows: list[list[str | float | None]] = []
    for rank, (choice, group) in enumerate(ranked.items(), start=1):
        seconds = [float(results["seconds"]["total"]) for job in group if (results := job.results())]
        spent = SECONDS.mean_std_text(*mean_std(seconds)) if seconds else None
        rows.append([str(rank), choice, str(len(group)), score_text(group, info), spent])
    found: list[Block] = [
        TableBlock(
            "Ranking",
            ("rank", "choice", "runs", f"validation {info.title}", "seconds"),
            rows,
            caption="Mean ± standard deviation over seeds and folds.",
        )
    ]
    caption = f"Validation {info.title} after each epoch. The best {len(COLOURS)} choices have colours."
    found.append(FigureBlock("Learning curves", learning_curves(ranked, info), caption=caption))
    found += search_blocks([job for group in ranked.values() for job in group], info)
    lines = [[str(job.number), job.state, info.text(job.score), command_of(job), str(job.folder)] for job in jobs]
    found.append(TableBlock("Jobs", ("job", "state", info.title, "command", "run directory"), lines))
    return found


def search_blocks(jobs: Sequence[Job], info: ScoreInfo) -> list[Block]:
    """Return what mattered: the score over each swept parameter, and Optuna's importances if it is installed."""
    trials = [parameters(job) for job in jobs]
    keys = [key for key in trials[0] if len({trial.get(key) for trial in trials} - {None}) > 1]
    values = {key: [trial[key] for trial in trials] for key in keys if all(key in trial for trial in trials)}
    scores = [job.score or 0.0 for job in jobs]
    if not values or len(jobs) < FEW:
        return []
    found: list[Block] = []
    if len(values) > 1 and (shares := importances(values, scores)):
        caption = "Share of the variance of the score that a parameter explains (fANOVA: Hutter et al., 2014; Optuna)."
        found.append(FigureBlock("Importance", importance_figure(shares), caption=caption))
    found.append(FigureBlock("Slices", slices(values, scores, info), caption="Each point is a job."))
    if len(values) > 1:
        caption = f"Each line is a job; its colour is its {info.title}."
        found.append(FigureBlock("Parallel coordinates", parallel(values, scores, info), caption=caption))
    return found


def importances(values: Mapping[str, Sequence[float | str]], scores: Sequence[float]) -> dict[str, float]:
    """Return the importance of each parameter, the highest first; nothing without Optuna or without variance."""
    try:
        import optuna
    except ImportError:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    spaces = {key: distribution(column) for key, column in values.items()}
    for number, score in enumerate(scores):
        chosen = {key: column[number] for key, column in values.items()}
        study.add_trial(optuna.trial.create_trial(params=chosen, distributions=spaces, value=score))
    try:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    except RuntimeError:  # all scores are equal
        return {}


def distribution(values: Sequence[float | str]) -> Any:
    """Return Optuna's distribution of a parameter that has these values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if any(isinstance(value, str) for value in values):
        return CategoricalDistribution(sorted({*values}, key=str))
    numbers = [float(value) for value in values]
    return FloatDistribution(min(numbers), max(numbers), log=logarithmic(numbers))


def parameters(job: Job) -> dict[str, float | str]:
    """Return the swept values of a job by key: numbers, or texts."""
    found: dict[str, float | str] = {}
    for part in job.choice.split(", "):
        value = part.partition("=")[2]
        try:
            found[key_of(part)] = float(value)
        except ValueError:
            found[key_of(part)] = value
    return found
