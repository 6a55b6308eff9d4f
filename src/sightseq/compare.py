"""`sightseq compare`: how measurements differ, and whether their scores differ by more than seeds do."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightseq.core.errors import ConfigError
from sightseq.core.naming import SECONDS, ScoreInfo, score_infos
from sightseq.core.rundir import Config, read_config, without_repeats
from sightseq.sweep.folder import SweepFolder
from sightseq.sweep.table import flat, mean_std

Score = tuple[str, str]  # ("test", "accuracy"), ("total", "seconds"), ...
Repeat = tuple[Any, Any]  # fold and seed
WORDS = {"val": "validation", "test": "test", "fit": "training", "total": "total"}
NOT_SHOWN = ("paths.", "logger.", "data.root", "data.cache", "callbacks.prune.")  # they do not change results
CONFIDENCE = 0.95
HELP = {"--help", "-h"}
USAGE = """sightseq compare RUN RUN ...: show how runs differ, and whether their scores differ by more than seeds do

  sightseq compare runs/digits/*       two or more finished runs; other files are left out
  sightseq compare runs/sweeps/SWEEP   the runs of a sweep

Runs with the same config, code and machine that differ only in seed or fold are
one measurement; its scores are mean ± std. Each measurement is compared with the
first: the difference of the means with its 95 % confidence interval."""


@dataclass
class Measurement:
    """Runs with the same config, code and machine that differ only in seed or fold.

    Attributes:
        config: the common config, code and machine, by dotted keys.
        runs: the scores of each run, by run directory.
        repeats: the fold and seed of each run, by run directory.
        infos: how to print and rank each score.
    """

    config: dict[str, str]
    runs: dict[Path, dict[Score, float]]
    repeats: dict[Path, Repeat]
    infos: dict[str, ScoreInfo]

    def values(self, score: Score) -> list[float]:
        """Return the values of a score in all runs that have it, ordered by fold and seed."""
        return [self.runs[folder][score] for folder in self.having(score)]

    def having(self, score: Score) -> list[Path]:
        """Return the runs that have a score, ordered by fold and seed."""
        return sorted(
            (folder for folder in self.runs if score in self.runs[folder]), key=lambda f: str(self.repeats[f])
        )


def print_comparison(arguments: list[str]) -> None:
    """Print how the runs differ, their scores as mean ± std, and the difference of each measurement from the first.

    Args:
        arguments: run directories or folders of sweeps, with at least two finished runs; runs that differ only in
            seed or fold are one measurement. Anything that is not a run is left out. --help prints the usage.

    Raises:
        ConfigError: fewer than two runs are finished, or a path does not exist.
    """
    from sightseq.console import console, new_table, say, short

    if HELP & {*arguments}:
        print(USAGE)
        return
    named = [Path(argument).resolve() for argument in dict.fromkeys(arguments)]
    folders = [run.resolve() for folder in named for run in runs_of(folder)]
    configs: dict[Path, Config] = {}
    for folder in folders:
        try:
            configs[folder] = read_config(folder)
        except ConfigError:
            if folder in named and not folder.exists():
                raise
            # A pattern such as runs/digits/* matches other files too, and a job of a sweep may have been deleted.
            say("left out", f"{short(folder)}: not a run directory")
    finished = [folder for folder in configs if (folder / "results.json").exists()]
    for folder in configs.keys() - finished:
        say("left out", f"{short(folder)}: not finished")
    if len(finished) < 2:
        raise ConfigError("write sightseq compare RUN RUN ...: the run directories of at least two finished runs")
    measurements = measured({folder: configs[folder] for folder in finished})
    names, first = [chr(ord("A") + index) for index in range(len(measurements))], measurements[0]
    table = new_table("", "runs", "", "")
    for name, measurement in zip(names, measurements, strict=True):
        parents = " ".join(dict.fromkeys(short(folder.parent) for folder in measurement.runs))
        table.add_row(name, str(len(measurement.runs)), parents, " ".join(folder.name for folder in measurement.runs))
    out = console()
    out.print(table)
    keys = dict.fromkeys(key for measurement in measurements for key in measurement.config)
    if differing := [key for key in keys if len({measurement.config.get(key) for measurement in measurements}) > 1]:
        table = new_table("\nwhat differs", *(f"\n{name}" for name in names))
        for key in differing:
            table.add_row(key, *(measurement.config.get(key, "") for measurement in measurements))
        out.print(table)
    table = new_table("\nscore", right=[f"\n{name}" for name in (*names, *(f"{name} - A" for name in names[1:]))])
    for score in first.runs[next(iter(first.runs))]:
        if not all(measurement.values(score) for measurement in measurements):
            continue
        info = first.infos[score[1]]
        cells = [info.mean_std_text(*mean_std(measurement.values(score))) for measurement in measurements]
        differences = [difference_text(first, other, score) for other in measurements[1:]]
        table.add_row(f"{WORDS[score[0]]} {info.title}", *cells, *differences)
    out.print(table)
    if len(measurements) > 1:
        out.print(
            f"\n±: the standard deviation over runs (scores), the {CONFIDENCE:.0%} confidence interval (differences)."
            "\n*: the difference is significant; ?: there are too few runs to decide"
        )


def runs_of(folder: Path) -> list[Path]:
    """Return the runs of a sweep's folder; any other folder itself."""
    if not (folder / "sweep.json").exists():
        return [folder]
    return [job.folder for job in SweepFolder(folder).jobs().values()]


def measured(configs: dict[Path, Config]) -> list[Measurement]:
    """Group finished runs into measurements; if a seed and fold was run twice, only the last run counts."""
    measurements: dict[str, Measurement] = {}
    for folder, whole in configs.items():
        config, repeats = without_repeats(whole)
        results = json.loads((folder / "results.json").read_text())
        environment = {key: results[key] for key in ("precision", "commit", "hardware", "versions") if key in results}
        common = {key: value for key, value in flat(config | environment) if not key.startswith(NOT_SHOWN)}
        measurement = measurements.setdefault(
            json.dumps(common), Measurement(common, {}, {}, score_infos(results) | {"seconds": SECONDS})
        )
        stages = [stage for stage in ("val", "test") if results[stage]]
        scores = {(stage, name): value for stage in stages for name, value in results[stage].items()}
        repeat = repeats["data.fold"], repeats["seed"]
        for earlier in [other for other, its in measurement.repeats.items() if its == repeat]:
            del measurement.runs[earlier], measurement.repeats[earlier]
        measurement.runs[folder] = scores | {(part, "seconds"): value for part, value in results["seconds"].items()}
        measurement.repeats[folder] = repeat
    return list(measurements.values())


def difference_text(first: Measurement, other: Measurement, score: Score) -> str:
    """Format the difference other - first: "+0.50 ± 0.21 *"; without an interval if either has only one run.

    The confidence interval is that of a paired t-test if both have the same folds (runs of one fold share its
    difficulty), else that of Welch's t-test (unequal variances).
    """
    from scipy import stats

    before, after = first.values(score), other.values(score)
    info = first.infos[score[1]]
    scale, digits, unit = (100, 2, " %") if info.percent else (1, 4 if info.digits is None else info.digits, "")
    difference = scale * (mean_std(after)[0] - mean_std(before)[0])
    text = f"{difference:+.{digits}f}"
    if min(len(before), len(after)) < 2:
        return f"{text}{unit} ?"
    if len({*before}) == len({*after}) == 1:  # no variance: significance cannot be tested
        return f"{text}{unit} {'?' if difference else ' '}"
    repeats_first, repeats_other = (
        [measurement.repeats[folder] for folder in measurement.having(score)] for measurement in (first, other)
    )
    paired = repeats_first == repeats_other and len({fold for fold, _ in repeats_first}) > 1
    test = stats.ttest_rel(after, before) if paired else stats.ttest_ind(after, before, equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    half = scale * (high - low) / 2
    return f"{text} ± {half:.{digits}f}{unit} {'*' if abs(difference) > half else ' '}"
