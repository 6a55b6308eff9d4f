"""What Hydra calls for each job of a sweep: prepares its run directory, and records how it ended.

Imports nothing heavy.
"""

import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from sightseq.composition import plain, swept_keys
from sightseq.core import resume, rundir
from sightseq.core.errors import ConfigError
from sightseq.sweep.folder import ENDED, Job, SweepFolder
from sightseq.sweep.processes import run_command, run_process

REPEATS = frozenset({"seed", "data.fold"})
"""Keys whose values repeat one measurement and are not choices: the table averages over them."""
BOOKKEEPING = "+callbacks.prune="
"""Start of the override that a search adds to its jobs. It says which trial a job is, and is no part of its config."""

CHANGEABLE = frozenset({"jobs", "repeat_failed", "hydra/launcher", "sweep.n_trials", "hydra.sweeper.n_trials"})
"""Keys that say how a sweep is run, not what: a resumed sweep may change them."""


class JobFunction:
    """The task function of all commands: Hydra calls it with a composed config.

    A single run is only kept, as `single`. Each job of a sweep is run, in any process or on any machine that a launcher
    chooses; `ProcessLauncher` calls `prepare` instead.

    Args:
        name: of the command, such as "train".
        arguments: the arguments of the command, as Hydra reads them.
        typed: the arguments as typed.

    Attributes:
        single: the config of a single run, and its experiment.
        sweep: the folder of the sweep, once its first job was prepared.
    """

    def __init__(self, name: str, arguments: Sequence[str], typed: Sequence[str]) -> None:
        self.name, self.arguments, self.typed = name, list(arguments), list(typed)
        self.command = shlex.join(["sightseq", name, *typed])
        self.single: tuple[DictConfig, str | None] | None = None
        self.sweep: SweepFolder | None = None
        self.objectives: list[str] = []

    def __call__(self, composed: DictConfig) -> Any:
        """Run one job in its own process and wait for its end; returns its score, see `objective`.

        Raises:
            KeyboardInterrupt: the job was interrupted; this ends the sweep.
        """
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            self.single = composed, HydraConfig.get().runtime.choices.get("experiment")
            return None
        job = self.prepare(composed)
        if job.state in ENDED:
            return self.objective(job)
        print(f"\njob {job.number}: {command_of(job)}", flush=True)
        try:
            status = run_process(run_command(job.folder))
        except KeyboardInterrupt:
            self.record(replace(job, state="interrupted"))
            raise
        return self.objective(self.record(job.ended(status)))

    def prepare(self, composed: DictConfig) -> Job:
        """Return the job of a composed config, with a run directory that a process can execute.

        A job that an earlier start of the same sweep has ended is returned as it ended; an interrupted one is resumed.

        Raises:
            ConfigError: the config is invalid, or the folder is that of another sweep.
        """
        hydra = HydraConfig.get()
        config = plain(composed, hydra.runtime.choices.get("experiment"))
        if self.name != "train" or config["resume"] not in (None, "auto"):  # a config file started the sweep
            raise ConfigError("hydra.mode=MULTIRUN: only sightseq train is swept, and resume= names one run")
        swept = swept_keys(self.arguments, hydra)
        if config["run_test"] == "auto":
            config["run_test"] = swept <= REPEATS  # a sweep over choices must not read the test split
        overrides = [text for text in hydra.overrides.task if changes_jobs(text)]
        choices = [text for text in overrides if key_of(text) in swept - REPEATS]
        self.objectives = list(hydra.sweeper.get("objectives") or [])
        self.sweep = sweep = SweepFolder(Path(hydra.sweep.dir).absolute())
        sweep.begin(self.command, self.typed)
        number = int(hydra.job.num)
        job = Job(number, overrides, ", ".join(choices) or config["experiment"], Path())
        earlier = sweep.jobs().get(number)
        if earlier and earlier.overrides != overrides:
            raise ConfigError(
                f"{sweep.path}: job {number} was {' '.join(earlier.overrides)}, not {' '.join(overrides)}; "
                "leave out hydra.sweep.dir to sweep into a new folder"
            )
        if earlier and (found := self.continued(earlier, config["repeat_failed"])):
            return found
        config["sweep"] = {"command": self.command, "folder": str(sweep.path), "job": number}
        return self.record(replace(job, folder=resume.create_or_resume(config, command_of(job))))

    def continued(self, job: Job, repeat_failed: bool) -> Job | None:
        """Return a job of an earlier start of the sweep as it is now; None if it has to begin again."""
        if job.state == "failed" and repeat_failed:
            return None
        if job.state in ENDED:
            return job
        if resume.state_of(job.folder) == "at work":
            print(f"job {job.number} is still running: waiting for {job.folder}", flush=True)
            while rundir.busy(job.folder):
                time.sleep(0.5)
        state = resume.state_of(job.folder)
        if state == "finished":
            return self.record(job.ended(0))
        return self.record(replace(job, state="running")) if state in ("interrupted", "empty") else None

    def record(self, job: Job) -> Job:
        """Write the state of a job into its sweep's folder, and return the job."""
        cast(SweepFolder, self.sweep).record(job)  # `prepare` has set it
        return job

    def objective(self, job: Job) -> Any:
        """Return what Hydra's sweepers compare: the score of a job, nan if it failed.

        Where the sweeper has `objectives`, a tuple of these results: "seconds", "parameters", or a score such as
        "val/accuracy".
        """
        if not self.objectives:
            return float("nan") if job.score is None else job.score
        results = job.results() if job.state == "finished" else None
        return tuple(float("nan") if results is None else measured(results, name) for name in self.objectives)


def command_of(job: Job) -> str:
    """Return the command that runs a job alone."""
    return shlex.join(["sightseq", "train", *job.overrides])


def measured(results: dict[str, Any], name: str) -> float:
    """Return a number of results.json by its name, see `JobFunction.objective`.

    Raises:
        ConfigError: there is no such number.
    """
    stage, _, score = name.partition("/")
    found = results["seconds"]["total"] if name == "seconds" else results.get(stage)
    if isinstance(found, dict):
        found = found.get(score)
    if not isinstance(found, int | float):
        known = ["seconds", "parameters", *(f"val/{score}" for score in results["val"])]
        raise ConfigError(f"hydra.sweeper.objectives: there is no {name}; choose from {', '.join(known)}")
    return float(found)


def changes_jobs(argument: str) -> bool:
    """Return whether an argument changes what is trained, and not only how the jobs are started."""
    return key_of(argument) not in CHANGEABLE and not argument.startswith(("hydra.launcher", BOOKKEEPING))


def key_of(argument: str) -> str:
    """Return the key of an override without its prefix, or the whole of another argument."""
    return argument.partition("=")[0].lstrip("+")
