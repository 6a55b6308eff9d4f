"""A search for hyper-parameters: samplers, resuming, sharing, failures. Its jobs are functions, not trainings."""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState

from sightseq.core.errors import ConfigError
from sightseq.core.places import conf_folder
from sightseq.sweep.objectives import find_objectives
from sightseq.sweep.samplers import SAMPLERS
from sightseq.sweep.search import SearchSweeper
from sightseq.sweep.space import parse_space
from sightseq.sweep.study import PRUNED, Objectives, Search, load_study, open_storage, study_file
from tests.conftest import composed

Function = Callable[[dict[str, Any]], Any]
SPACE = ["x=interval(-5,5)", "lr=tag(log,interval(1e-4,1))", "net=a,b,c", "width=int(interval(1,8))", "epochs=3"]
SETTINGS = yaml.safe_load((conf_folder() / "hydra" / "sweeper" / "optuna.yaml").read_text())


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)


def bowl(job: dict[str, Any]) -> float:
    return (job["x"] - 1) ** 2 + (np.log10(job["lr"]) + 2) ** 2 + {"a": 1, "b": 0, "c": 2}[job["net"]] + job["width"]


class Batches:
    """A launcher that calls a function with the values of each job's overrides."""

    def __init__(self, function: Function = bowl) -> None:
        self.function = function
        self.jobs: list[tuple[int, list[str]]] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        return [self.run(initial_job_idx + i, list(overrides)) for i, overrides in enumerate(job_overrides)]

    def run(self, number: int, overrides: list[str]) -> JobReturn:
        self.jobs.append((number, overrides))
        parsed = OverridesParser.create().parse_overrides(overrides)
        job = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
        try:
            job.return_value = self.function({one.key_or_group: one.value() for one in parsed})
        except RuntimeError as error:
            job.status, job.return_value = JobStatus.FAILED, error
        return job


class Slots(Batches):
    """A launcher that starts a job whenever one of its slots is free. Of the running jobs, the newest ends first."""

    def __init__(self, function: Function = bowl, slots: int = 1) -> None:
        super().__init__(function)
        self.slots = slots

    def stream(self, ask: Callable[[], Any], tell: Callable[[int, JobReturn], None]) -> None:
        running: list[tuple[int, list[str]]] = []
        more = True
        while more or running:
            while more and len(running) < self.slots:
                job = ask()
                more = job is not None
                running += [job] if job else []
            if running:
                number, overrides = running.pop()
                tell(number, self.run(number, overrides))


def search(folder: Path, launcher: Batches, *typed: str, **settings: Any) -> list[FrozenTrial]:
    """Run a search; return the trials of its study."""
    storage = f"{folder}/study.journal"
    given = {**SETTINGS, "n_trials": 12, "direction": "minimize", "storage": storage, **settings}
    del given["_target_"]
    sweeper = SearchSweeper(**given)
    loader = SimpleNamespace(get_group_options=lambda _: [], load_sweep_config=lambda *_: OmegaConf.create())
    sweeper.hydra_context = SimpleNamespace(config_loader=loader)  # type: ignore[assignment]
    sweeper.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}})
    sweeper.launcher = launcher  # type: ignore[assignment]
    sweeper.sweep(list(typed) or SPACE)
    return trials(study_file(given["storage"]))


def trials(file: Path) -> list[FrozenTrial]:
    return load_study(file).get_trials(deepcopy=False)


def plain(found: Sequence[FrozenTrial]) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.state, trial.params, trial.values) for trial in found]


def hartmann(x: np.ndarray) -> float:
    """Hartmann's function of six variables (Dixon and Szegő, 1978); its minimum is -3.322."""
    a = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    p = [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991]]
    p += [[2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]
    distances = (np.array(a) * (x - np.array(p) / 10000) ** 2).sum(1)
    return float(-np.array([1, 1.2, 3, 3.2]) @ np.exp(-distances))


def test_hartmann_at_its_minimum() -> None:
    best = np.array([0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573])
    assert hartmann(best) == pytest.approx(-3.32237, abs=1e-5)


@pytest.mark.slow
def test_tpe_needs_a_sixth_of_the_trials_of_random_search(tmp_path: Path) -> None:
    space = parse_space(OverridesParser.create().parse_overrides([f"x{i}=interval(0,1)" for i in range(6)]))
    found = []
    for seed in range(20):
        one = Search(
            tmp_path / str(seed), space, Objectives([], ["minimize"]), "tpe", {}, seed, most=40, folder=tmp_path
        )
        scores = []
        while job := one.next():
            scores.append(hartmann(np.array([float(override.partition("=")[2]) for override in job[1]])))
            one.tell(job[0], [scores[-1]])
        found.append(min(scores))
    points = np.random.default_rng(0).random((100, 240, 6))
    random = np.mean([min(hartmann(point) for point in points_of_one) for points_of_one in points])
    assert np.mean(found) < random


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "grid"])
def test_samplers_stay_within_the_space_and_repeat_themselves(sampler: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"sampler": sampler}
    if sampler == "nsga2":
        settings["sampler_args"] = {"population_size": 4}
    if sampler == "gp":  # slower than the others
        settings |= {"n_trials": 7, "sampler_args": {"n_startup_trials": 5}}
    first = search(tmp_path / "1", Batches(), **settings)
    for trial in first:
        assert -5 <= trial.params["x"] <= 5
        assert 1e-4 <= trial.params["lr"] <= 1
        assert trial.params["net"] in ("a", "b", "c")
        assert trial.params["width"] in range(1, 9)
    assert len({trial.params["x"] for trial in first}) > 5
    assert plain(search(tmp_path / "2", Batches(), **settings)) == plain(first)
    assert plain(search(tmp_path / "3", Batches(), seed=2, **settings)) != plain(first)


def test_quasi_random_points_are_evenly_spaced(tmp_path: Path) -> None:
    found = search(tmp_path, Batches(lambda job: 0.0), "x=interval(0,16)", sampler="quasi_random", n_trials=16)
    assert sorted(int(trial.params["x"]) for trial in found) == list(range(16))


def test_grid_runs_every_combination_once(tmp_path: Path) -> None:
    launcher = Batches(lambda job: job["a"])
    typed = ["a=1,2", "b=range(0,3)", "seed=7,8"]
    found = search(tmp_path, launcher, *typed, sampler="grid", n_trials=None, n_jobs=5)
    assert [overrides for _, overrides in launcher.jobs] == [
        [f"a={a}", f"b={b}", f"seed={seed}"] for a in (1, 2) for b in (0, 1, 2) for seed in (7, 8)
    ]
    assert [number for number, _ in launcher.jobs] == list(range(12))
    assert [trial.values for trial in found] == [[1.0]] * 6 + [[2.0]] * 6
    assert len(search(tmp_path / "few", Batches(lambda job: 0), "a=1,2,3", sampler="grid", n_trials=2)) == 2


def test_a_search_with_several_slots(tmp_path: Path) -> None:
    found = search(tmp_path, launcher := Slots(slots=4), n_trials=30)
    assert sorted(number for number, _ in launcher.jobs) == list(range(30))
    assert all(trial.state == TrialState.COMPLETE for trial in found)
    assert launcher.jobs[0][0] == 3  # of the first four, the newest ended first


def killed_after(count: int) -> Function:
    """The function `bowl`, interrupted in job number `count`."""
    seen = []

    def function(job: dict[str, Any]) -> float:
        seen.append(job)
        if len(seen) > count:
            raise KeyboardInterrupt
        return bowl(job)

    return function


@pytest.mark.parametrize("sampler", ["tpe", "quasi_random", "nsga2"])
def test_an_interrupted_search_resumes_exactly(sampler: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"sampler": sampler, "n_trials": 16}
    if sampler == "nsga2":
        settings["sampler_args"] = {"population_size": 4}
    whole = search(tmp_path / "whole", Slots(), **settings)
    for moment in (0, 5, 12, 15):
        folder = tmp_path / str(moment)
        with pytest.raises(KeyboardInterrupt):
            search(folder, Slots(killed_after(moment)), **settings)
        assert [trial.state for trial in trials(folder / "study.journal")][-1] == TrialState.RUNNING
        launcher = Slots()
        assert plain(search(folder, launcher, **settings)) == plain(whole)
        assert launcher.jobs[0][0] == moment  # the interrupted job, with its number


def test_a_search_killed_while_it_writes_resumes_exactly(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole", Slots(), n_trials=16)
    content = (tmp_path / "whole" / "study.journal").read_bytes()
    for cut in np.random.default_rng(1).integers(0, len(content), 10):  # the end of what was written
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "study.journal").write_bytes(content[:cut])
        assert plain(search(folder, Slots(), n_trials=16)) == plain(whole)


def test_a_finished_search_is_prolonged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(tmp_path, Slots(), n_trials=5)
    capsys.readouterr()
    launcher = Slots()
    assert len(search(tmp_path, launcher, n_trials=5)) == 5
    assert launcher.jobs == []
    assert "has 5 of 5 trials already" in capsys.readouterr().out
    assert len(search(tmp_path, launcher, n_trials=8)) == 8
    assert [number for number, _ in launcher.jobs] == [5, 6, 7]


def test_two_launches_share_one_study(tmp_path: Path) -> None:
    storage = str(tmp_path / "common" / "study.journal")
    launchers = [Slots(slots=2), Slots(slots=2)]
    with ThreadPoolExecutor() as pool:
        both = [
            pool.submit(search, tmp_path / str(i), launcher, n_trials=30, storage=storage)
            for i, launcher in enumerate(launchers)
        ]
        for one in both:
            one.result()
    found = trials(Path(storage))
    numbers = [number for launcher in launchers for number, _ in launcher.jobs]
    assert sorted(numbers) == list(range(30))
    assert all(trial.state == TrialState.COMPLETE for trial in found)
    # A launch repeats its own interrupted trials, not those of the other, which may still run.
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "0", Slots(killed_after(0)), n_trials=31, storage=storage)
    other, own = Slots(), Slots()
    search(tmp_path / "1", other, n_trials=32, storage=storage)
    assert [number for number, _ in other.jobs] == [31]
    search(tmp_path / "0", own, n_trials=32, storage=str(tmp_path / "common"))  # the folder stands for its study
    assert [number for number, _ in own.jobs] == [30]


@pytest.mark.parametrize(
    ("typed", "settings", "words"),
    [
        (["x=interval(0,5)", *SPACE[1:]], {}, "another search space: x differs"),
        (SPACE[1:], {}, "another search space: x differs"),
        ([*SPACE, "y=1,2"], {}, "another search space: y differs"),
        ([*SPACE[:-1], "epochs=4"], {}, "other trainings; different: epochs=3 epochs=4"),
        (SPACE, {"direction": "maximize"}, "another objective: minimize a score"),
    ],
)
def test_a_study_of_something_else_is_refused(
    typed: list[str], settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    search(tmp_path, Batches(), n_trials=2)
    with pytest.raises(ConfigError, match=re.escape(f"study.journal is a study of {words}")):
        search(tmp_path, Batches(), *typed, **settings)
    local = ["jobs=2", "name=second", "paths.data=elsewhere", "trainer.devices=2"]
    assert len(search(tmp_path, Batches(), *SPACE, *local, n_trials=3)) == 3


def test_failed_trials_do_not_end_the_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: list[Any] = [2.0, float("nan"), RuntimeError("diverged"), None, 1.0, "text", float("inf")]

    def function(job: dict[str, Any]) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    found = search(tmp_path, Slots(function), "net=a,b", "x.y=3", n_trials=7)
    assert [trial.state.name for trial in found] == ["COMPLETE", *["FAIL"] * 3, "COMPLETE", "FAIL", "COMPLETE"]
    lines = [re.sub(r"net=.", "net=?", line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "trial 0: 2 (net=?); best 2 in trial 0",
        *[f"trial {number}: failed (net=?); best 2 in trial 0" for number in (1, 2, 3)],
        "trial 4: 1 (net=?); best 1 in trial 4",
        "trial 5: failed (net=?); best 1 in trial 4",
        "trial 6: inf (net=?); best 1 in trial 4",
    ]


def test_a_pruned_trial_keeps_its_last_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def function(job: dict[str, Any]) -> float:
        prune = job["callbacks.prune"]
        assert prune["_target_"] == "sightseq.sweep.pruning.PruneCallback"
        assert prune["pruner_args"] == {"n_startup_trials": 2}
        assert prune["epochs"] is None
        if prune["trial"] == 1:
            study = load_study(Path(prune["storage"]))
            trial_id = study.get_trials(deepcopy=False)[1]._trial_id
            study._storage.set_trial_intermediate_value(trial_id, 1, 0.25)
            study._storage.set_trial_user_attr(trial_id, PRUNED, 1)
        return 0.5

    folder = tmp_path / "it's, a folder"
    settings: dict[str, Any] = {"pruner": "median", "pruner_args": {"n_startup_trials": 2}, "n_trials": 3}
    found = search(folder, Slots(function), "x=interval(0,1)", direction="maximize", **settings)
    assert [trial.state.name for trial in found] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert found[1].values == [0.25]
    assert "trial 1: pruned at 0.25 (x=" in capsys.readouterr().out


def test_several_objectives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings: dict[str, Any] = {
        "sampler": "nsga2",
        "sampler_args": {"population_size": 6},
        "objectives": ["val/accuracy", "seconds"],
        "direction": ["maximize", "minimize"],
    }
    found = search(tmp_path, Batches(lambda job: (job["x"], job["x"] ** 2)), n_trials=24, **settings)
    assert all(len(trial.values) == 2 for trial in found)
    assert "best" not in capsys.readouterr().out
    with pytest.raises(ConfigError, match="several objectives cannot prune"):
        search(tmp_path, Batches(), pruner="median", **settings)
    assert search(tmp_path / "one", Batches(), **settings)[0].state == TrialState.FAIL  # it returns one score
    with pytest.raises(ConfigError, match="a study of another objective: maximize and minimize val/accuracy, seconds"):
        search(tmp_path, Batches(), **settings | {"objectives": ["val/accuracy", "parameters"]})


@pytest.mark.parametrize(
    ("typed", "settings", "words"),
    [
        (SPACE, {"sampler": "tpee"}, "sweep.sampler=tpee: there is no such sampler; did you mean tpe?"),
        (SPACE, {"sampler_args": {"startup": 3}}, "sweep.sampler_args: TPESampler got an unexpected keyword"),
        (SPACE, {"sampler": "quasi_random", "sampler_args": {"a": 1}}, "the sampler quasi_random takes no arguments"),
        (SPACE, {"sampler": "grid"}, "x: a grid needs single values, as in x=0.1,0.2"),
        (SPACE, {"pruner": "medium"}, "sweep.pruner=medium: there is no such pruner; did you mean median?"),
        (SPACE, {"pruner": "median", "pruner_args": {"n_warmup_steps": -1}}, "sweep.pruner_args: Number of warmup"),
        (SPACE, {"n_trials": None}, "sweep.n_trials=null: the sampler tpe needs a number of trials"),
        (SPACE, {"n_trials": 0}, "sweep.n_trials=0: must be a whole number above 0"),
        (SPACE, {"n_jobs": "two"}, "sweep.n_jobs=two: must be a whole number above 0"),
        (SPACE, {"direction": "up"}, "sweep.direction=up: must be auto, maximize or minimize"),
        (SPACE, {"objectives": ["val/loss", "seconds"]}, "maximize or minimize for each of sweep.objectives"),
        (["epochs=3"], {}, "nothing to search: write KEY="),
        ([*SPACE, "seed=1,2,3"], {}, "seed: a search would prefer a lucky one"),
        (["lr=interval(1,0)"], {}, "lr=interval(1,0): the first bound"),
        (["lr=interval(1,2)", "a=1", "lr=3"], {}, "lr=interval(1,2) and lr=3: give each key once"),
    ],
)
def test_mistakes(typed: list[str], settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        search(tmp_path, Batches(), *typed, **settings)


def test_mistakes_about_the_file(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a text\n")
    (tmp_path / "list").write_text("[1, 2]\n[3]\n")
    for name, words in (("text", "is not a study"), ("list", "is not a study"), ("text/study", "File exists")):
        with pytest.raises(ConfigError, match=words):
            search(tmp_path, Batches(), storage=str(tmp_path / name))
    assert (tmp_path / "text").read_text() == "a text\n"
    optuna.create_study(storage=open_storage(tmp_path / "other"), study_name="mine")
    with pytest.raises(ConfigError, match="other is a study of another program"):
        search(tmp_path, Batches(), storage=str(tmp_path / "other"))


def test_without_optuna_the_command_that_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'sightseq[sweep]'")):
        search(tmp_path, Batches())


def test_objectives_of_a_task() -> None:
    config = composed("experiment=digits")
    assert find_objectives(config, None) == {"names": ["val/accuracy"], "directions": ["maximize"]}
    several = find_objectives(config, ["val/loss", "val/accuracy", "seconds", "parameters"])
    assert several["directions"] == ["minimize", "maximize", "minimize", "minimize"]
    with pytest.raises(ConfigError, match="did you mean val/accuracy"):
        find_objectives(config, ["val/acuracy"])
    json.dumps(several)
