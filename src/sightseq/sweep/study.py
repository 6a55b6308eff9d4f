"""The study of a search: one file that records all its trials. Imports Optuna; loaded when a search starts.

Several launches, processes and machines with a common file system can use the same file at once.
`optuna-dashboard FILE` shows it.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.distributions import distribution_to_json
from optuna.pruners import BasePruner
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from sightseq.core.errors import ConfigError
from sightseq.sweep.samplers import fixed_point, make_sampler
from sightseq.sweep.space import Space, rounded

NAME = "search"
"""Name of the only study of a file."""
LOCAL = (
    *("sweep", "jobs", "repeat_failed", "name", "resume", "logger", "paths.", "data.workers"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
)
"""Beginnings of the keys that launches of one search may set differently."""
SEARCH = "search"
"""User attribute of a study: what all its launches have in common."""
PRUNED = "pruned"
"""User attribute of a trial that was pruned: its last epoch."""
SWEEP = "sweep"
"""User attribute of a trial: the sweep folder of the launch that runs it, relative to the file's folder."""


def study_file(storage: str) -> Path:
    """Return the absolute path of a study's file; the folder of a sweep stands for its study.journal."""
    path = Path(storage).expanduser().absolute()
    return path / "study.journal" if path.is_dir() else path


def open_storage(file: Path) -> JournalStorage:
    """Open a study's file, which is created if it does not exist.

    An incomplete last line, left by a killed process or a full disk, is removed: the next would be appended to it.

    Raises:
        ConfigError: the file is something else, or its folder cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lock = JournalFileOpenLock(str(file))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size and not file.read_bytes().endswith(b"\n"):
            lock.acquire()
            try:
                content = file.read_bytes()
                os.truncate(file, content.rfind(b"\n") + 1)
            finally:
                lock.release()
        if file.exists():
            with file.open("rb") as opened:
                first = opened.readline()
            if first and "op_code" not in json.loads(first):
                raise ValueError
        return JournalStorage(JournalFileBackend(str(file), lock))
    except OSError as error:
        raise ConfigError(f"sweep.storage={file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"sweep.storage={file}: this file is not a study") from error


def load_study(file: Path, pruner: BasePruner | None = None) -> Study:
    """Return the study in an existing file."""
    return optuna.load_study(study_name=NAME, storage=open_storage(file), pruner=pruner)


class Draft(BaseJournalBackend):
    """The records of a study, and what is added to them; the additions are not written to the file.

    Optuna writes each value of a new trial by itself. A process that is killed between two of them would leave half a
    trial, which could not be completed as the sampler would have done.
    """

    def __init__(self, file: Path) -> None:
        self.records = list(JournalFileBackend(str(file)).read_logs(0))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Return the records from a number on."""
        return iter(self.records[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add records."""
        self.records += logs


Direction = Literal["maximize", "minimize"]


@dataclass
class Objectives:
    """What a search optimises.

    Attributes:
        names: such as "val/accuracy"; empty if a direction was typed and the names are not known.
        directions: "maximize" or "minimize", one for each objective.
    """

    names: Sequence[str]
    directions: Sequence[Direction]


@dataclass
class Search:
    """Suggests the trials of a search and records their scores.

    Attributes:
        file: the study's file.
        space: the overrides.
        objectives: what to optimise.
        sampler: a key of `samplers.SAMPLERS`.
        sampler_args: further arguments of the sampler.
        seed: of all suggestions.
        most: number of trials of the study, those of other launches included; None for the whole grid.
        folder: the sweep folder of this launch.
    """

    file: Path
    space: Space
    objectives: Objectives
    sampler: str
    sampler_args: Mapping[str, Any]
    seed: int
    most: int | None
    folder: Path

    def __post_init__(self) -> None:
        """Create the study, or check that the one in the file is of this search.

        Raises:
            ConfigError: it is not, or the sampler refuses its arguments or this space.
        """
        if self.sampler == "grid":
            size = len(self.space.grid())
            self.most = size if self.most is None else min(self.most, size)
        elif self.most is None:
            raise ConfigError(f"sweep.n_trials=null: the sampler {self.sampler} needs a number of trials")
        elif not self.space.searched:
            raise ConfigError("nothing to search: write KEY=interval(LOW,HIGH) or KEY=VALUE,VALUE")
        make_sampler(self.sampler, self.sampler_args, self.seed, 0)
        self._sweep = Path(os.path.relpath(self.folder, self.file.parent)).as_posix()
        storage = open_storage(self.file)
        self._lock = FileLock(self.file.with_name(f".{self.file.name}.lock"))
        with self._lock:
            if optuna.get_all_study_names(storage) not in ([], [NAME]):
                raise ConfigError(f"{self.file} is a study of another program")
            self.study = optuna.create_study(
                storage=storage, study_name=NAME, directions=self.objectives.directions, load_if_exists=True
            )
            if not self._trials():
                self.study.set_user_attr(SEARCH, self._identity())
            self._check_identity()
        self.interrupted = [t for t in self._trials(TrialState.RUNNING) if t.user_attrs.get(SWEEP) == self._sweep]

    def _identity(self) -> dict[str, Any]:
        """Return what all launches of a search have in common."""
        return {
            "space": {key: distribution_to_json(one) for key, one in self.space.searched.items()},
            "fixed": sorted(text for key, text in self.space.fixed.items() if not key.startswith(LOCAL)),
            "objectives": list(self.objectives.names),
        }

    def _check_identity(self) -> None:
        then, now = self.study.user_attrs[SEARCH], self._identity()
        directions = [direction.name.lower() for direction in self.study.directions]
        for key in sorted(then["space"].keys() | now["space"].keys()):
            if then["space"].get(key) != now["space"].get(key):
                raise ConfigError(f"{self.file} is a study of another search space: {key} differs")
        if then["fixed"] != now["fixed"]:
            others = sorted(set(then["fixed"]) ^ set(now["fixed"]))
            raise ConfigError(f"{self.file} is a study of other trainings; different: {' '.join(others)}")
        if directions != list(self.objectives.directions) or (
            then["objectives"] and now["objectives"] and then["objectives"] != now["objectives"]
        ):
            known = ", ".join(then["objectives"]) or "a score"
            raise ConfigError(f"{self.file} is a study of another objective: {' and '.join(directions)} {known}")

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def next(self) -> tuple[int, list[str]] | None:
        """Return the number and the overrides of the next trial; None if the study has all its trials.

        Trials of this launch that were interrupted come first, with the same number and values.
        """
        if self.interrupted:
            trial = self.interrupted.pop(0)
            return trial.number, self.space.overrides(trial.params)
        with self._lock:  # so that each number is given once
            number = len(self._trials())
            if self.most is not None and number >= self.most:
                return None
            values, attributes = self._suggest(number)
            # Written in one piece, with all values: a process killed here leaves a whole trial or none.
            self.study.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=values,
                    distributions=self.space.searched,
                    user_attrs={SWEEP: self._sweep},
                    system_attrs=attributes,
                )
            )
            return number, self.space.overrides(values)

    def _suggest(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the values of trial `number` and the sampler's notes on it."""
        sampler = make_sampler(self.sampler, self.sampler_args, self.seed, number)
        if sampler is None:
            values, attributes = fixed_point(self.sampler, self.space, number, self.seed), {}
        else:
            draft = optuna.load_study(study_name=NAME, storage=JournalStorage(Draft(self.file)), sampler=sampler)
            values = draft.ask(self.space.searched).params
            attributes = draft.get_trials(deepcopy=False)[number].system_attrs
        return {key: rounded(value, self.space.searched[key]) for key, value in values.items()}, attributes

    def tell(self, number: int, values: Sequence[float] | None) -> FrozenTrial:
        """Record the scores of a trial, or None if it failed; a trial that was pruned keeps its last reported score.

        Returns:
            The trial.
        """
        if PRUNED in self._trials()[number].user_attrs:
            return self.study.tell(number, state=TrialState.PRUNED)
        if values is None:
            return self.study.tell(number, state=TrialState.FAIL)
        return self.study.tell(number, values)

    def best(self) -> FrozenTrial | None:
        """Return the best trial so far, of a search with one objective."""
        finished = self._trials(TrialState.COMPLETE)
        if not finished or len(self.objectives.directions) > 1:
            return None
        best = max if self.objectives.directions[0] == "maximize" else min
        return best(finished, key=lambda trial: trial.value or 0.0)
