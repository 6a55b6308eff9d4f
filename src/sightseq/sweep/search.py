"""Hydra sweeper that searches for hyper-parameters with Optuna: `sightseq train -m sweep=optuna`.

It imports Hydra and nothing heavier: the command line registers it at every start.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from sightseq.core.errors import ConfigError
from sightseq.core.extras import require
from sightseq.sweep.objectives import ask_objectives

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from sightseq.sweep.space import Space
    from sightseq.sweep.study import Direction, Objectives, Search

SEEDS = ("seed", "data.fold")
"""Keys that repeat a measurement: the best of them would be chosen by luck."""


class SearchSweeper(Sweeper):
    """Runs the trials of a search; each is one training.

    Args:
        sampler: tpe, random, quasi_random, grid, gp or nsga2.
        sampler_args: further arguments of the sampler's class in Optuna.
        pruner: none, median or hyperband.
        pruner_args: further arguments of the pruner's class in Optuna.
        n_trials: trials of the whole study, those of earlier and other launches included; None for the whole grid.
        n_jobs: trials in a batch, with launchers that cannot start one whenever another ends.
        direction: maximize, minimize, or auto: as the scores require; a list if there are several objectives.
        objectives: names of the scores to optimise, such as val/accuracy, seconds or parameters; None for the task's
            main score.
        storage: the study's file, or the folder of the sweep that it is in.
        seed: of all suggestions.
        params: the search space by key; the command line takes precedence.
    """

    def __init__(
        self,
        sampler: str,
        sampler_args: Mapping[str, Any],
        pruner: str,
        pruner_args: Mapping[str, Any],
        n_trials: int | None,
        n_jobs: int,
        direction: str | Sequence[str],
        objectives: Sequence[str] | None,
        storage: str,
        seed: int,
        params: Mapping[str, Any] | None,
    ) -> None:
        for name, number in (("n_trials", n_trials), ("n_jobs", n_jobs)):
            if number is not None and (not isinstance(number, int) or number < 1):
                raise ConfigError(f"sweep.{name}={number}: must be a whole number above 0")
        self.sampler, self.sampler_args = sampler, dict(sampler_args)
        self.pruner, self.pruner_args = pruner, dict(pruner_args)
        self.n_trials, self.n_jobs, self.seed = n_trials, n_jobs, seed
        self.directions = [direction] if isinstance(direction, str) else list(direction)
        self.objectives = None if objectives is None else [str(name) for name in objectives]
        self.storage, self.params = storage, dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Create the launcher."""
        self.hydra_context: HydraContext = hydra_context
        self.config: DictConfig = config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]] | None:
        """Run the search; return the jobs of each batch, or None with a launcher that has no batches.

        Raises:
            ConfigError: Optuna is not installed, or the search space, the study or a setting is invalid.
        """
        require("optuna", "sweep")
        from sightseq.sweep.samplers import check_sampler, make_pruner
        from sightseq.sweep.space import check_repeats, parse_space
        from sightseq.sweep.study import Search, study_file

        check_sampler(self.sampler)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        typed = [f"{key}={value}" for key, value in self.params.items()]
        overrides = parser.parse_overrides(arguments)
        check_repeats(overrides)
        space = parse_space([*parser.parse_overrides(typed), *overrides])
        first = self.check(space)
        objectives = self.find_objectives(first)
        if self.pruner != "none" and len(objectives.directions) > 1:
            raise ConfigError("sweep.pruner: a search with several objectives cannot prune")
        epochs = OmegaConf.select(first, "trainer.max_epochs")
        known = isinstance(epochs, int) and epochs > 0 and "trainer.max_epochs" not in space.searched
        self.epochs: int | None = epochs if known else None
        make_pruner(self.pruner, self.pruner_args, self.epochs)  # to check its arguments; the jobs use it
        folder = Path(self.config.hydra.sweep.dir).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        self.search: Search = Search(
            file=study_file(self.storage),
            space=space,
            objectives=objectives,
            sampler=self.sampler,
            sampler_args=self.sampler_args,
            seed=self.seed,
            most=self.n_trials,
            folder=folder,
        )
        if done := len(self.search.study.get_trials(deepcopy=False)):
            print(f"search: {self.search.file} has {done} of {self.search.most} trials already", flush=True)
        if stream := getattr(self.launcher, "stream", None):
            stream(self.ask, self.tell)
            return None
        batches = []
        while batch := [job for job in (self.ask() for _ in range(self.n_jobs)) if job]:
            returns = self.launcher.launch([overrides for _, overrides in batch], initial_job_idx=batch[0][0])
            for (number, _), job in zip(batch, returns, strict=True):
                self.tell(number, job)
            batches.append(returns)
        return batches

    def ask(self) -> tuple[int, list[str]] | None:
        """Return the number and the overrides of the next job; None if there is none."""
        trial = self.search.next()
        if trial is None or self.pruner == "none":
            return trial
        number, overrides = trial
        callback = {
            "_target_": "sightseq.sweep.pruning.PruneCallback",
            "storage": str(self.search.file),
            "trial": number,
            "pruner": self.pruner,
            "pruner_args": self.pruner_args,
            "epochs": self.epochs,
            "score": next(iter(self.search.objectives.names), None),
        }
        return number, [*overrides, f"+callbacks.prune={in_grammar(callback)}"]

    def tell(self, number: int, job: JobReturn) -> None:
        """Record the score of a job that has ended, and print it."""
        values = scores_of(job, len(self.search.objectives.directions))
        trial = self.search.tell(number, values)
        print(describe(trial, self.search), flush=True)

    def check(self, space: "Space") -> DictConfig:
        """Compose one job for each option of a searched group, so that a key that one lacks is found before the search.

        Returns:
            The config of the first.

        Raises:
            ConfigError: a seed is searched, or an option lacks a key of the overrides.
            HydraException: the first config cannot be composed, or there is no such option.
        """
        from sightseq.sweep.space import discrete_values, from_unit

        if seeds := [key for key in SEEDS if key in space.searched and self.sampler != "grid"]:
            raise ConfigError(
                f"{seeds[0]}: a search would prefer a lucky one; leave it out, and repeat the best trial with "
                f"sightseq train -m {seeds[0]}=1,2,3 (sweep.sampler=grid runs every combination)"
            )
        loader = self.hydra_context.config_loader
        values = {key: from_unit(one, 0.0) for key, one in space.searched.items()}
        first = loader.load_sweep_config(self.config, space.overrides(values))
        for key in [key for key in space.searched if loader.get_group_options(key.partition("@")[0])]:
            for option in discrete_values(key, space.searched[key])[1:]:
                try:
                    loader.load_sweep_config(self.config, space.overrides({**values, key: option}))
                except HydraException as error:
                    if isinstance(error, MissingConfigException):
                        raise
                    problem = str(error).splitlines()[0]
                    raise ConfigError(f"{key}={option} does not go with the other overrides: {problem}") from error
        return first

    def find_objectives(self, config: DictConfig) -> "Objectives":
        """Return the objectives, and their directions as typed or as the task's scores require.

        Args:
            config: the config of a job.
        """
        from sightseq.sweep.study import Objectives

        if unknown := [one for one in self.directions if one not in ("auto", "maximize", "minimize")]:
            raise ConfigError(f"sweep.direction={unknown[0]}: must be auto, maximize or minimize")
        if self.directions == ["auto"]:
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            plain: Any = OmegaConf.to_container(config, resolve=True)
            return Objectives(**ask_objectives(plain, self.objectives))
        if "auto" in self.directions or len(self.directions) != len(self.objectives or [""]):
            raise ConfigError("sweep.direction: write auto, or maximize or minimize for each of sweep.objectives")
        return Objectives(self.objectives or [], cast(list["Direction"], self.directions))


def scores_of(job: JobReturn, count: int) -> list[float] | None:
    """Return the scores of a job; None if it failed, or if one of them is missing or not a number."""
    if job.status != JobStatus.COMPLETED:
        return None
    value = job.return_value
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) != count or not all(isinstance(one, int | float) and not math.isnan(one) for one in values):
        return None
    return [float(one) for one in values]


def describe(trial: "FrozenTrial", search: "Search") -> str:
    """Return one line about a trial that has ended: number, score, values, best trial so far."""
    values = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in trial.params.items())
    scores = ", ".join(f"{value:.5g}" for value in trial.values or ())
    state = trial.state.name.lower()
    ended = {"fail": "failed", "complete": scores}.get(state, f"{state} at {scores}")
    best = search.best()
    return f"trial {trial.number}: {ended} ({values})" + (
        f"; best {best.value:.5g} in trial {best.number}" if best else ""
    )


def in_grammar(value: Any) -> str:
    """Return a plain value in Hydra's override grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{in_grammar(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(in_grammar, value)) + "]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
