"""A search ends a poor trial early; its run finishes as usual and says so."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.trial import Trial, TrialState

from sightseq import run
from sightseq.core import rundir
from sightseq.core.errors import ConfigError
from sightseq.sweep.pruning import PruneCallback
from sightseq.sweep.space import parse_space
from sightseq.sweep.study import PRUNED, Objectives, Search
from tests.conftest import composed

EPOCHS = 4


@pytest.fixture
def study(tmp_path: Path) -> Search:
    """A search with two finished trials of accuracy 0.99 in every epoch, and one that has been started."""
    space = parse_space(OverridesParser.create().parse_overrides(["model.optimizer.lr=interval(0,1)"]))
    objectives = Objectives(["val/accuracy"], ["maximize"])
    search = Search(tmp_path / "study.journal", space, objectives, "random", {}, seed=1, most=3, folder=tmp_path)
    for number in range(2):
        search.next()
        trial = Trial(search.study, search.study.get_trials(deepcopy=False)[number]._trial_id)
        for epoch in range(1, EPOCHS + 1):
            trial.report(0.99, epoch)
        search.tell(number, [0.99])
    search.next()
    return search


def callback(search: Search) -> dict[str, Any]:
    arguments = {"storage": str(search.file), "trial": 2, "epochs": EPOCHS, "score": "val/accuracy"}
    return arguments | {"pruner": "median", "pruner_args": {"n_startup_trials": 2}}


def test_a_poor_training_ends_early_and_finishes(study: Search, no_report: None) -> None:
    short = ("trainer.limit_train_batches=1", "++trainer.limit_val_batches=1", f"trainer.max_epochs={EPOCHS}")
    config = composed("experiment=digits", "run_test=false", *short)
    config["callbacks"]["prune"] = {"_target_": "sightseq.sweep.pruning.PruneCallback", **callback(study)}
    config["baseline"] = {}
    folder = rundir.create(config, "sightseq train")
    results = run.execute(config, folder)
    assert (results["pruned"], results["epochs"]) == (1, 1)
    assert json.loads((folder / "results.json").read_text())["pruned"] == 1
    assert (folder / "checkpoints" / "last.ckpt").exists()
    trial = study.tell(2, [results["val"]["accuracy"]])
    assert trial.state == TrialState.PRUNED
    assert trial.intermediate_values == {1: pytest.approx(results["val"]["accuracy"], abs=0.3)}
    # Killed after this decision but before the end of the run: when resumed, it trains no further.
    (folder / "results.json").unlink()
    again = run.execute(config, folder)
    assert (again["pruned"], again["epochs"]) == (1, 1)
    assert again["val"] == results["val"]


def test_only_poor_scores_are_pruned_and_each_epoch_counts_once(study: Search) -> None:
    prune = PruneCallback(**callback(study))
    assert not prune._report(1, 0.995)
    assert not prune._report(1, 0.1)  # the epoch was repeated after an interruption
    assert not prune._report(2, 0.2)  # the median rule compares the best epoch so far
    trial = study.study.get_trials(deepcopy=False)[2]
    assert trial.intermediate_values == {1: 0.995, 2: 0.2}
    assert PRUNED not in trial.user_attrs


def test_hyperband_ends_trials_that_are_worse_than_the_others(study: Search) -> None:
    study.most = 20
    settings = callback(study) | {"pruner": "hyperband", "pruner_args": {"reduction_factor": 2}}
    assert PruneCallback(**settings).pruner._max_resource == EPOCHS  # type: ignore[attr-defined]
    ends = {}
    for number in range(3, 20):  # each worse than the one before
        study.next()
        prune = PruneCallback(**settings | {"trial": number})
        ends[number] = next((epoch for epoch in range(1, EPOCHS + 1) if prune._report(epoch, 1 / number)), None)
        study.tell(number, [1 / number])
    states = [trial.state for trial in study.study.get_trials(deepcopy=False)[3:]]
    assert ends[3] is None
    assert len([end for end in ends.values() if end]) >= 8
    assert states == [TrialState.PRUNED if end else TrialState.COMPLETE for end in ends.values()]


def test_arguments_of_the_callback(study: Search) -> None:
    with pytest.raises(ConfigError, match="there is no such pruner"):
        PruneCallback(**callback(study) | {"pruner": "mean"})
