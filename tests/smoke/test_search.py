"""`sightseq train -m sweep=...` on the command line. The jobs compose their configs and train nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from sightseq.sweep.objectives import find_objectives


class Composing:
    """A launcher whose jobs end with a score that depends on their learning rate."""

    def __init__(self, hydra_context: Any, config: Any) -> None:
        self.loader, self.config = hydra_context.config_loader, config
        self.jobs: list[dict[str, Any]] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        done = []
        for overrides in job_overrides:
            composed = self.loader.load_sweep_config(self.config, list(overrides))
            OmegaConf.set_struct(composed, False)
            hydra = composed.pop("hydra")
            config: Any = OmegaConf.to_container(composed, resolve=True)
            self.jobs.append({"config": config, "choices": hydra.runtime.choices, "overrides": overrides})
            score = -abs(config["model"]["optimizer"]["lr"] - 0.01)
            done.append(JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=score))
        return done


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Composing]:
    launchers: list[Composing] = []

    def instantiate(self: Any, hydra_context: Any, task_function: Any, config: Any) -> Composing:
        launchers.append(Composing(hydra_context, config))
        return launchers[-1]

    monkeypatch.setattr(Plugins, "instantiate_launcher", instantiate)
    return launchers


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that finds the objectives is a call in this one."""
    monkeypatch.setattr("sightseq.sweep.search.ask_objectives", find_objectives)


SPACE = ["model.optimizer.lr=tag(log,interval(1e-4,1e-1))", "model/net=image/convnet,image/resnet"]


def test_a_search_over_a_number_and_a_group(sightseq, launched: list[Composing], in_process: None) -> None:
    few = ["sweep.n_trials=4", "sweep.n_jobs=2", "sweep.storage=here/study.journal"]
    status, output, errors = sightseq("train", "-m", "sweep=optuna", "experiment=fashion_mnist_course", *SPACE, *few)
    assert status == 0, errors
    jobs = launched[0].jobs
    assert len(jobs) == 4
    assert {job["choices"]["model/net"] for job in jobs} == {"image/convnet", "image/resnet"}
    assert all(1e-4 <= job["config"]["model"]["optimizer"]["lr"] <= 1e-1 for job in jobs)
    assert all(job["config"]["title"].startswith("Clothes") for job in jobs)
    assert "prune" not in jobs[0]["config"]["callbacks"]
    lines = output.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"trial {number}" for number in range(4)]
    best = max(-abs(job["config"]["model"]["optimizer"]["lr"] - 0.01) for job in jobs)
    assert f"best {best:.5g} in trial" in lines[-1]  # auto: higher accuracy is better
    first = json.loads(Path("here/study.journal").read_text().splitlines()[0])
    assert first["directions"] == [2]  # maximize
    status, _, errors = sightseq("train", "-m", "sweep=optuna", "experiment=fashion_mnist_course", *SPACE, *few)
    assert status == 0, errors
    assert launched[1].jobs == []


def test_a_search_space_from_a_file(
    sightseq, launched: list[Composing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightseq.bricks.extension_folders", lambda: [tmp_path])
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /hydra/sweeper: optuna\n"
        "trainer: {max_epochs: 7}\n"
        "hydra: {sweeper: {n_trials: 3, direction: maximize, params: "
        "{model.optimizer.lr: 'interval(0.5,0.6)', optimizer: 'adamw,sgd', seed: 4}}}\n"
    )
    status, _, errors = sightseq("train", "-m", "sweep=mine", "model.optimizer.lr=interval(0.1,0.2)")
    assert status == 0, errors
    configs = [job["config"] for job in launched[0].jobs]
    assert len(configs) == 3
    for config in configs:
        assert 0.1 <= config["model"]["optimizer"]["lr"] <= 0.2  # the command line takes precedence
        assert (config["seed"], config["trainer"]["max_epochs"]) == (4, 7)


def test_jobs_of_a_pruned_search_report_to_its_study(sightseq, launched: list[Composing]) -> None:
    status, _, errors = sightseq(
        "train", "-m", "sweep=learning_rate", "sweep.direction=maximize", "sweep.n_trials=2", "trainer.max_epochs=9"
    )
    assert status == 0, errors
    prune = launched[0].jobs[1]["config"]["callbacks"]["prune"]
    assert (prune["pruner"], prune["epochs"], prune["trial"], prune["score"]) == ("hyperband", 9, 1, None)
    assert Path(prune["storage"]).exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("sweep=optunaa a=1,2", "did you mean optuna"),
        (
            "sweep=optuna sweep.n_trails=3 seed=1",
            "sweep.n_trails: this sweep has no such setting; did you mean n_trials?",
        ),
        (
            "sweep.n_trials=3 seed=1,2",
            "sweep.n_trials: this sweep has no such setting; available: max_batch_size, params",
        ),
        ("sweep=optuna sweep.direction=maximize model.optimizer.lrr=1,2", "did you mean model.optimizer.lr"),
        ("sweep=optuna sweep.direction=maximize model/net=image/convnt,image/resnet", "there is no such option"),
        (  # one of the networks has no such key
            "sweep=optuna sweep.direction=maximize model/net=image/convnet,image/resnet model.net.kernel_size=3,5",
            "model/net=image/resnet does not go with the other overrides: Could not override 'model.net.kernel_size'",
        ),
        ("sweep=optuna model.optimizer.lr=0.1,0.2 sweep.n_trials=0", "ConfigError: sweep.n_trials=0: must be"),
        ("model.optimizer.lr=interval(0,1)", "add sweep=optuna to search among them"),
        ("sweep=optuna seed=1,2", "seed: a search would prefer a lucky one"),
        ("sweep=optuna optimizer=adamw,sgd sweep.objectives=[val/acc]", "did you mean val/accuracy"),
        ("sweep=optuna optimizer=adamw,sgd model.net.hidden=-1", "model.net.hidden=-1 does not fit"),
        ("sweep=optuna sweep.direction=maximize model.optimizer.lr=interval(1,0)", "first bound of an interval"),
    ],
)
def test_mistakes(typed: str, words: str, sightseq, launched: list[Composing], in_process: None) -> None:
    status, _, errors = sightseq("train", "-m", *typed.split())
    assert status == 2
    assert len(errors.splitlines()) == 1
    assert words in errors
    assert not launched[-1:] or launched[-1].jobs == []
