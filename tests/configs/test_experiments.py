"""Every experiment runs on its synthetic data, with every other brick of the same kind."""

import json
from pathlib import Path
from typing import Any

import pytest

import sightseq
from sightseq.composition import compose
from sightseq.core.build import find_class
from sightseq.core.datamodule import DataModule
from sightseq.core.places import experiments, group_options
from sightseq.show import show
from tests.conftest import small

EXPERIMENTS = sorted(experiments())
SHORT = (
    "debug=synthetic",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "data.eval_batch_size=50",
    "baseline=none",
)


def run(*overrides: str) -> Path:
    return Path(sightseq.train(small(sightseq.compose(*SHORT, *overrides)) | {"run_test": True})["folder"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment(experiment: str) -> None:
    folder = run(f"experiment={experiment}")
    results = json.loads((folder / "results.json").read_text())
    assert results["data"]["synthetic"]
    assert set(results["test"]) >= {"loss", "accuracy", results["headline"]}
    assert (folder / "report.html").stat().st_size > 10_000
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_batch_of_experiment(experiment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "batch.png"
    config = small(compose(f"experiment={experiment}", "data.synthetic=true", f"output={picture}", command="show"))
    show(config)
    out = capsys.readouterr().out
    assert "target [" in out
    if (kind := kind_of(config)) == "image":
        assert picture.stat().st_size > 10_000
    else:
        assert (" queen" if config["data"]["name"] in PROSE else "wonderful") in out, kind


PROSE = ("ptb", "python_docs", "text_files", "tiny_shakespeare", "wikitext2")
BRICKS = [
    f"{group}={option}"
    for group in ("model/net", "optimizer", "scheduler", "augment", "callbacks", "data", "baseline")
    for option in sorted(group_options(group))
]
HOMES = {"text": "imdb", "language": "python_docs"}  # an experiment of each kind but images


def kind_of(config: dict[str, Any]) -> str:
    """The kind of the data: image, text, language, ..."""
    spec = find_class(config["data"]["_target_"], DataModule, "data").example_spec
    return type(spec).__name__.removesuffix("Spec").lower()


@pytest.mark.parametrize("brick", BRICKS)
def test_brick(brick: str) -> None:
    group, _, option = brick.partition("=")
    kind = kind_of(compose(brick)) if group == "data" else option.partition("/")[0]
    bricks = ["experiment=digits", "augment=none", "model/net=image/convnet", brick]
    if kind in HOMES:
        bricks = [f"experiment={HOMES[kind]}", brick]
    elif group == "model/net":
        bricks.append("data=cifar10")  # digits are too small for networks of five stages
    assert (run(*bricks) / "results.json").exists()


@pytest.mark.parametrize("debug", sorted(group_options("debug")))
def test_debug(debug: str) -> None:
    config = sightseq.compose(f"debug={debug}", "data.synthetic=true", "trainer.max_epochs=1", "baseline=none")
    results = sightseq.train(config | {"run_test": config["run_test"] == "auto"})
    assert results["epochs"] == 1
