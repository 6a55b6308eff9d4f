"""Every experiment runs on synthetic data, and every brick runs in an experiment that it fits.

By default, one experiment of each task class is trained and every brick is built; the slow tests train all of them.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import sightseq
from sightseq.catalogue import catalogue, read
from sightseq.composition import compose
from sightseq.core.baseline import Baseline
from sightseq.core.build import build, find_class
from sightseq.core.datamodule import DataModule
from sightseq.core.places import experiments, group_options
from sightseq.core.task import Task
from sightseq.core.trainer import make_callbacks
from sightseq.show import show
from tests.conftest import composed, small

SHORT = (
    "debug=synthetic",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "data.eval_batch_size=50",
    "baseline=none",
)


ROWS = {row["experiment"]: row for row in catalogue()}


def one_of_each() -> list[Any]:
    """All experiments; only the first one of each task class is not marked as slow.

    The files are read, not composed: composing them all takes longer than all imports.
    """
    found, seen = [], set()
    for name, row in sorted(ROWS.items()):
        found.append(pytest.param(name, marks=pytest.mark.slow if row["task"] in seen else ()))
        seen.add(row["task"])
    return found


EXPERIMENTS = one_of_each()


def run(*overrides: str) -> Path:
    return Path(sightseq.train(small(sightseq.compose(*SHORT, *overrides)) | {"run_test": True})["folder"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment(experiment: str) -> None:
    folder = run(f"experiment={experiment}")
    results = json.loads((folder / "results.json").read_text())
    assert results["data"]["synthetic"]
    row = ROWS[experiment]
    assert (row["task"], row["datamodule"]) == (results["task"], results["data"]["module"])
    assert set(results["test"]) >= {"loss", results["headline"]}
    assert set(results["test"]) <= set(results["metrics"])
    assert (folder / "report.html").stat().st_size > 10_000
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_batch_of_experiment(experiment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "batch.png"
    config = small(compose(f"experiment={experiment}", "data.synthetic=true", f"output={image}", command="show"))
    show(config)
    lines = capsys.readouterr().out.splitlines()
    assert any("target [" in line for line in lines)
    texts = [line for line in lines if line.startswith(" " * 10) and len(line) > 40]  # texts of the batch
    assert image.exists() != bool(texts)
    assert texts or image.stat().st_size > 10_000


# Bricks


def options(*groups: str) -> list[str]:
    return [f"{group}={option}" for group in groups for option in sorted(group_options(group))]


def model(brick: str) -> Task:
    """An image task with the given brick, which is not a network."""
    config = compose("experiment=digits", "augment=none", "model/net=image/convnet", brick)["model"]
    spec, _ = find_class(config["_target_"], Task, "model").example()
    task = build(config, Task, "model", spec=spec.to_dict())
    task.total_steps = 10
    return task


@pytest.mark.parametrize("brick", options("optimizer", "scheduler"))
def test_optimizers_and_schedulers_update_the_weights(brick: str) -> None:
    task = model(brick)
    made = task.configure_optimizers()
    optimizer = made["optimizer"] if isinstance(made, dict) else made
    _, batch = type(task).example()
    before = torch.cat([weight.detach().flatten() for weight in task.net.parameters()])
    output = task.step(batch, "train")
    torch.autograd.backward(output.loss_sum / output.count)
    optimizer.step()
    assert not torch.equal(before, torch.cat([weight.detach().flatten() for weight in task.net.parameters()]))


def of_images(brick: str) -> bool:
    """Whether all augmentations of an option of augment are for images, not for lines of writing or sounds."""
    option = read(group_options("augment")[brick.partition("=")[2]])
    targets = [one["_target_"] for one in option.values() if isinstance(one, dict) and "_target_" in one]
    return all(".vision." in target and ".line_" not in target for target in targets)


@pytest.mark.parametrize("brick", [brick for brick in options("augment") if of_images(brick)])
def test_augmentations_change_the_training_images(brick: str) -> None:
    task = model(brick).train()
    _, batch = type(task).example()
    seen = task.augment(batch)["input"]
    assert seen.shape == batch["input"].shape
    assert torch.equal(seen, batch["input"] / 255) == (brick == "augment=none")


@pytest.mark.parametrize("brick", options("callbacks", "baseline"))
def test_callbacks_and_baselines_are_built(brick: str) -> None:
    config = compose("experiment=digits", brick)
    if brick.startswith("callbacks"):
        assert make_callbacks(config, Path("checkpoints").absolute(), model("optimizer=adam"))
    for name, one in config["baseline"].items():
        assert build(one, Baseline, f"baseline.{name}")


def fitting_experiment(brick: str) -> str:
    """An experiment that the brick fits: it has networks of the same kind, this dataset, or the same spec class."""
    group, _, option = brick.partition("=")
    if group == "data":
        data = composed(brick)
        same = [name for name in sorted(experiments()) if spec_of(composed(f"experiment={name}")) is spec_of(data)]
        return next(
            (name for name in same if composed(f"experiment={name}")["data"]["name"] == data["data"]["name"]), same[0]
        )
    path = group_options("model/net")[option] if group == "model/net" else None
    for name in sorted(experiments()):
        cls = find_class(composed(f"experiment={name}")["model"]["_target_"], Task, "model")
        if path is None or path.is_relative_to(group_folder() / cls.net_kind):
            return name
    raise AssertionError(brick)


def group_folder() -> Path:
    return next(iter(group_options("trainer").values())).parents[1] / "model" / "net"


def spec_of(config: dict[str, Any]) -> type:
    return type(find_class(config["data"]["_target_"], DataModule, "data").example_spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    "brick", options("model/net", "optimizer", "scheduler", "augment", "callbacks", "data", "baseline")
)
def test_brick(brick: str) -> None:
    assert (run(f"experiment={fitting_experiment(brick)}", "init_from=null", brick) / "results.json").exists()


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("debug", sorted(group_options("debug")))
def test_debug(debug: str) -> None:
    config = sightseq.compose(f"debug={debug}", "data.synthetic=true", "trainer.max_epochs=1", "baseline=none")
    results = sightseq.train(config | {"run_test": config["run_test"] == "auto"})
    assert results["epochs"] == 1
