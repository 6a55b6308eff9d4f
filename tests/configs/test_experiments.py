"""Every experiment runs on its synthetic data, with every other brick of the same kind."""

import json
from pathlib import Path

import pytest

import sightseq
from sightseq.composition import compose
from sightseq.core.places import group_options
from sightseq.show import show
from tests.conftest import small

EXPERIMENTS = sorted(group_options("experiment"))
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
    assert set(results["test"]) >= {"loss", "accuracy"}
    assert (folder / "report.html").stat().st_size > 10_000
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_batch_of_experiment(experiment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "batch.png"
    config = small(compose(f"experiment={experiment}", "data.synthetic=true", f"output={picture}", command="show"))
    show(config)
    out = capsys.readouterr().out
    assert "target [" in out
    if config["data"]["name"] in TEXTS:
        assert any(line.startswith(("positive: ", "good: ")) for line in map(str.strip, out.splitlines()))
    else:
        assert picture.stat().st_size > 10_000


TEXTS = ("imdb", "text_csv")
BRICKS = [
    f"{group}={option}"
    for group in ("model/net", "optimizer", "scheduler", "augment", "callbacks", "data", "baseline")
    for option in sorted(group_options(group))
]


@pytest.mark.parametrize("brick", BRICKS)
def test_brick(brick: str) -> None:
    group, _, option = brick.partition("=")
    bricks = ["experiment=digits", "augment=none", "model/net=image/convnet", brick]
    if option.startswith("text") or option in TEXTS:
        bricks = ["experiment=imdb", brick]
    elif group == "model/net":
        bricks.append("data=cifar10")  # digits are too small for networks of five stages
    assert (run(*bricks) / "results.json").exists()


@pytest.mark.parametrize("debug", sorted(group_options("debug")))
def test_debug(debug: str) -> None:
    config = sightseq.compose(f"debug={debug}", "data.synthetic=true", "trainer.max_epochs=1", "baseline=none")
    results = sightseq.train(config | {"run_test": config["run_test"] == "auto"})
    assert results["epochs"] == 1
