"""sweep.html, and the best job of a sweep as an experiment."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightseq.composition import compose
from sightseq.core.naming import ScoreInfo
from sightseq.sweep import figures
from sightseq.sweep.best import differences, experiment_text
from sightseq.sweep.folder import Job, SweepFolder
from sightseq.sweep.page import importances, parameters, ranking, write_sweep_page

INFO = ScoreInfo("accuracy", higher_is_better=True, percent=True)


def sweep_of(scores: dict[str, list[float | None]]) -> SweepFolder:
    """A sweep with one job for each score; None for a failed one."""
    sweep = SweepFolder(Path("runs/sweeps/1"))
    sweep.begin("sightseq train -m <optimizer>", ["-m"])
    for choice, values in scores.items():
        for seed, score in enumerate(values):
            number = len(sweep.jobs())
            folder = Path("runs", str(number)).absolute()
            folder.mkdir()
            if score is not None:
                results = {"title": "Digits", "headline": "accuracy", "metrics": {"accuracy": asdict(INFO)}}
                results |= {"val": {"accuracy": score}, "test": None, "seconds": {"total": 3.0}}
                (folder / "results.json").write_text(json.dumps(results))
                (folder / "metrics.csv").write_text(f"epoch,val/accuracy\n1,{score / 2}\n2,{score}\n")
            job = Job(number, [*(part for part in choice.split(", ") if "=" in part), f"seed={seed}"], choice, folder)
            sweep.record(job.ended(0 if score is not None else 2))
    return sweep


def test_the_page_ranks_the_choices_and_draws_what_mattered() -> None:
    spaces = {
        f"model.optimizer.lr={lr}, optimizer={name}": lr for lr in (0.001, 0.01, 0.1) for name in ("adamw", "sgd")
    }
    sweep = sweep_of(
        {choice: [0.5 + lr, 0.52 + lr] for choice, lr in spaces.items()} | {"model.optimizer.lr=9": [None]}
    )
    page = write_sweep_page(sweep)
    assert page == sweep.path / "sweep.html"
    text = page.read_text()
    assert text.index("lr=0.1, optimizer=adamw</td>") < text.index("lr=0.001, optimizer=adamw</td>")
    assert "61.00 ± 1.41 %" in text
    assert "sightseq train -m &lt;optimizer&gt;" in text
    assert "13 jobs, 1 failed." in text
    assert {file.stem for file in (sweep.path / "figures").iterdir()} == {
        "learning-curves",
        "importance",
        "slices",
        "parallel-coordinates",
    }


def test_a_sweep_over_seeds_has_no_parameters() -> None:
    sweep = sweep_of({"digits": [0.5, 0.6, 0.7, 0.8]})
    write_sweep_page(sweep)
    assert [file.stem for file in (sweep.path / "figures").iterdir()] == ["learning-curves"]


def test_a_sweep_without_results_has_no_page() -> None:
    assert write_sweep_page(sweep_of({"optimizer=sgd": [None, None]})) is None


def test_the_best_mean_is_first() -> None:
    jobs = list(sweep_of({"a=1": [0.1, 0.9], "b=1": [0.6, 0.7]}).jobs().values())
    assert list(ranking(jobs, INFO)) == ["b=1", "a=1"]
    assert list(ranking(jobs, ScoreInfo("loss", higher_is_better=False))) == ["a=1", "b=1"]


def test_a_parameter_that_decides_is_the_most_important() -> None:
    random = np.random.default_rng(0)
    decides, nothing = random.random(40).tolist(), random.random(40).tolist()
    shares = importances({"nothing": nothing, "decides": decides, "name": ["a", "b"] * 20}, decides)
    assert next(iter(shares)) == "decides"
    assert shares["decides"] > 0.8
    assert importances({"nothing": nothing, "decides": decides}, [1.0] * 40) == {}


def test_values_on_axes_by_hand() -> None:
    job = Job(0, [], "model.optimizer.lr=1e-3, +trainer.x=2, optimizer=sgd", Path())
    assert parameters(job) == {"model.optimizer.lr": 0.001, "trainer.x": 2.0, "optimizer": "sgd"}
    assert figures.scaled([1.0, 10.0, 100.0]).tolist() == pytest.approx([0.0, 0.5, 1.0])  # logarithmic
    assert figures.scaled([1.0, 2.0, 3.0]).tolist() == [0.0, 0.5, 1.0]
    assert figures.scaled(["sgd", "adamw", "sgd"]).tolist() == [1.0, 0.0, 1.0]
    assert figures.ticks(["b", "a"], None) == [("a", 0.0), ("b", 1.0)]
    assert figures.ticks([0.5, 0.25], INFO) == [("25.00%", 0.0), ("50.00%", 1.0)]


@pytest.mark.parametrize(
    "typed",
    [
        "optimizer=sgd model.optimizer.lr=0.3 seed=3",
        "experiment=tiny_shakespeare callbacks=[default,ema] optimizer=sgd +trainer.min_epochs=2",
        "experiment=imdb model/net=text/bilstm ~callbacks.progress",
    ],
)
def test_the_best_job_composes_as_an_experiment(
    typed: str, sightseq, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "best" / "experiment").mkdir(parents=True)
    (tmp_path / "best" / "experiment" / "best.yaml").write_text(experiment_text(typed.split(), "the best"))
    passed: list[dict[str, Any]] = []
    monkeypatch.setattr("sightseq.cli.execute", lambda command, config, *_: passed.append(config))
    status, _, errors = sightseq(*shlex.split(f"train --config-dir {tmp_path / 'best'} experiment=best"))
    assert status == 0, errors
    expected = compose(*typed.split())
    assert passed[0].pop("experiment") == "best"
    expected.pop("experiment")
    passed[0]["callbacks"] = {name: brick for name, brick in passed[0]["callbacks"].items() if brick}
    for config in (passed[0], expected):
        config["seed"] = config["data"]["seed"] = None
    assert passed[0] == expected


def test_differences_by_hand() -> None:
    assert list(differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 0, "e": 5}})) == [
        (("b", "c"), 2),
        (("b", "d"), 3),
        (("b", "e"), None),
    ]
