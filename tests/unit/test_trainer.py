"""The Trainer of a run: monitored scores, the checkpoint that is scored, schedules, and all Trainer arguments."""

import csv
import inspect
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

import sightseq
from sightseq.core.build import build
from sightseq.core.checkpoint import read_checkpoint
from sightseq.core.errors import ConfigError
from sightseq.core.optimization import adapt_length, make_optimizer, make_schedule, remember_decay
from sightseq.core.report import write_report
from sightseq.core.task import Task
from sightseq.core.trainer import POSITIVE_ARGUMENTS, REFUSED_ARGUMENTS, check_trainer, make_callbacks

pytestmark = pytest.mark.usefixtures("no_report")
TINY = (
    "data.synthetic=true",
    "callbacks=default",
    "baseline=none",
    "augment=none",
    "model/net=image/convnet",
    "model.net.channels=[4]",
    "model.net.hidden=[8]",
    "precision=32",
)


def run(*overrides: str, test: bool = False) -> tuple[dict[str, Any], Path]:
    """The results and the run directory of a tiny training."""
    results = sightseq.train(sightseq.compose(*TINY, *overrides) | {"run_test": test})
    return results, Path(results["folder"])


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: float(value or "nan") for name, value in row.items()} for row in csv.DictReader(file)]


def callbacks(*overrides: str) -> dict[type, Any]:
    config = sightseq.compose(*TINY, *overrides)
    from sightseq.data.image.digits import Digits

    task = build(config["model"], Task, "model", spec=Digits.example_spec.to_dict())
    return {type(one): one for one in make_callbacks(config, Path("checkpoints").absolute(), task)}


# Monitors


@pytest.mark.parametrize(
    ("monitor", "mode"), [(None, "max"), ("val/accuracy", "max"), ("val/loss", "min"), ("train/loss", "min")]
)
def test_the_mode_comes_from_the_monitored_score(monitor: str | None, mode: str) -> None:
    given = f",monitor:{monitor}" if monitor else ""
    typed = [f"+callbacks.stop={{_target_:lightning.pytorch.callbacks.EarlyStopping{given}}}"]
    if monitor:
        typed.append(f"+callbacks.best.monitor={monitor}")
    found = callbacks(*typed)
    for kind in (ModelCheckpoint, EarlyStopping):
        assert (found[kind].monitor, found[kind].mode) == (monitor or "val/accuracy", mode)


def test_a_monitor_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"monitor=val/acuracy.*did you mean val/accuracy"):
        callbacks("+callbacks.best.monitor=val/acuracy")
    assert not list(Path("runs").glob("*/*/metrics.csv"))


def test_the_epoch_of_the_lowest_loss_is_kept_and_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.core.report.write_report", write_report)  # despite `no_report`
    results, folder = run("trainer.max_epochs=4", "+callbacks.best.monitor=val/loss", "model.optimizer.lr=0.03")
    losses = [row["val/loss"] for row in history(folder)]
    assert len(set(losses)) == 4
    assert results["monitor"] == "val/loss"
    assert results["best_epoch"] == 1 + losses.index(min(losses))
    assert results["val"]["loss"] == pytest.approx(min(losses), rel=1e-4)
    page = (folder / "report.html").read_text()
    assert f"epoch {results['best_epoch']} of 4, the one with the lowest validation loss" in page


@pytest.mark.parametrize("typed", [("save_top_k=3",), ("filename=mine",), ("save_top_k=2", "filename=mine")])
def test_the_best_of_several_checkpoints_is_scored(typed: tuple[str, ...]) -> None:
    # With this learning rate the loss increases later, so the last epoch is not the best.
    rising = ("scheduler=none", "model.optimizer.lr=0.05", "seed=3")
    overrides = [f"{'' if 'filename' in one else '+'}callbacks.best.{one}" for one in typed]
    results, folder = run("trainer.max_epochs=6", "+callbacks.best.monitor=train/loss", *rising, *overrides)
    losses = [row["train/loss"] for row in history(folder)]
    best = read_checkpoint(folder / "checkpoints" / "best.ckpt")
    assert results["best_epoch"] == best["epoch"] + 1 == 1 + losses.index(min(losses))
    kept = {path.name for path in (folder / "checkpoints").glob("*.ckpt")} - {"last.ckpt", "best.ckpt"}
    count = int(typed[0][-1]) if "top_k" in typed[0] else 1
    assert len(kept) == count
    assert len({read_checkpoint(folder / "checkpoints" / name)["epoch"] for name in kept}) == count


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor", "has no logger"),
        ("model.net.channels=[0]", "has no weights; is a width 0\\?"),
        ("trainer.max_epochs=0", "0 trains nothing"),
    ],
)
def test_settings_that_cannot_train_give_a_one_line_error_and_no_run(typed: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        run("trainer.max_epochs=1", typed)
    assert "\n" not in str(caught.value)
    assert not any(Path("runs").iterdir())


# Schedules


def optimizer() -> torch.optim.Optimizer:
    return make_optimizer({"_target_": "torch.optim.SGD", "lr": 0.1}, [{"params": [torch.nn.Parameter(torch.ones(1))]}])


def schedule(name: str, total_steps: float = 100, **arguments: Any) -> dict[str, Any]:
    config = {"_target_": f"torch.optim.lr_scheduler.{name}", **arguments}
    return make_schedule(config, optimizer(), total_steps, "val/accuracy", higher_is_better=True)


def test_interval_of_a_schedule() -> None:
    assert schedule("OneCycleLR", max_lr=0.1)["interval"] == "step"
    assert schedule("StepLR", step_size=3)["interval"] == "epoch"
    assert schedule("CyclicLR", base_lr=0.1, max_lr=0.2, interval="step")["interval"] == "step"
    plateau = schedule("ReduceLROnPlateau", patience=2)
    assert (plateau["monitor"], plateau["reduce_on_plateau"], plateau["interval"]) == ("val/accuracy", True, "epoch")
    assert plateau["scheduler"].mode == "max"


def test_a_schedule_that_needs_a_length_says_so() -> None:
    with pytest.raises(ConfigError, match=r"OneCycleLR needs the length.*scheduler=none"):
        schedule("OneCycleLR", math.inf, max_lr=0.1)
    assert schedule("StepLR", math.inf, step_size=3)


@pytest.mark.parametrize("rate", [0, 0.0, -1])
def test_a_learning_rate_that_is_not_above_0_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"model\.optimizer\.lr=.* is not above 0"):
        make_optimizer({"_target_": "torch.optim.SGD", "lr": rate}, [])


@pytest.mark.parametrize("name", ["OneCycleLR", "sightseq"])
def test_an_extended_schedule_equals_one_of_the_new_length(name: str) -> None:
    def make(steps: int) -> Any:
        if name == "OneCycleLR":
            return schedule(name, steps, max_lr=0.1)["scheduler"]
        config = {"_target_": "sightseq.core.schedule.WarmupCosine"}
        return make_schedule(config, optimizer(), steps, "val/loss", higher_is_better=False)["scheduler"]

    def steps(one: Any, count: int) -> list[float]:
        rates = []
        for _ in range(count):
            one.optimizer.step()
            one.step()
            rates.append(one.get_last_lr()[0])
        return rates

    whole, short, same, longer = make(20), make(10), make(10), make(20)
    expected = steps(whole, 20)
    before = steps(short, 10)
    for restored in (same, longer):
        fresh = restored.state_dict()
        restored.load_state_dict(short.state_dict())
        restored.optimizer.load_state_dict(short.optimizer.state_dict())
        adapt_length(restored, fresh)
    assert same.state_dict() == short.state_dict()
    assert same.get_last_lr()[0] == before[-1]
    assert steps(longer, 10) == pytest.approx(expected[10:])


@pytest.mark.parametrize(
    ("name", "arguments"), [("ReduceLROnPlateau", {"patience": 2}), ("CosineAnnealingWarmRestarts", {"T_0": 3})]
)
def test_a_schedule_without_a_length_is_restored_unchanged(name: str, arguments: dict[str, Any]) -> None:
    before, restored = (schedule(name, **arguments)["scheduler"] for _ in range(2))
    for score in (0.5, 0.4, 0.3, 0.2):
        before.optimizer.step()
        before.step(score) if name == "ReduceLROnPlateau" else before.step()
    fresh = restored.state_dict()
    assert before.state_dict() != fresh
    restored.load_state_dict(before.state_dict())
    adapt_length(restored, fresh)
    assert restored.state_dict() == before.state_dict()


def test_a_plateau_lowers_the_learning_rate() -> None:
    _, folder = run(
        "trainer.max_epochs=4", "scheduler=plateau", "model.scheduler.patience=0", "model.optimizer.lr=1e-6"
    )
    rates = [row["lr"] for row in history(folder)]
    assert rates[0] == pytest.approx(1e-6)
    assert rates[-1] < 0.5 * rates[0]


# Arguments of Lightning's Trainer

WORKS: dict[str, tuple[str, ...]] = {
    "max_steps min_steps": ("max_steps=5", "min_steps=1", "max_epochs=-1"),
    "max_time max_epochs": ("max_time='00:00:00:01'", "max_epochs=null"),
    "limit_train_batches limit_val_batches limit_test_batches num_sanity_val_steps enable_progress_bar "
    "enable_model_summary min_epochs": (
        *("limit_train_batches=2", "limit_val_batches=1", "limit_test_batches=1", "num_sanity_val_steps=1"),
        *("enable_progress_bar=false", "enable_model_summary=true", "min_epochs=1"),
    ),
    "val_check_interval reload_dataloaders_every_n_epochs log_every_n_steps inference_mode": (
        *("val_check_interval=0.5", "reload_dataloaders_every_n_epochs=1", "max_epochs=2"),
        *("log_every_n_steps=1", "inference_mode=false"),
    ),
    "check_val_every_n_epoch accumulate_grad_batches gradient_clip_val gradient_clip_algorithm": (
        *("check_val_every_n_epoch=2", "max_epochs=3", "accumulate_grad_batches=3"),
        *("gradient_clip_val=1", "gradient_clip_algorithm=value"),
    ),
    "deterministic benchmark profiler detect_anomaly sync_batchnorm enable_autolog_hparams": (
        *("deterministic=true", "benchmark=true", "profiler=simple", "detect_anomaly=true"),
        *("sync_batchnorm=true", "enable_autolog_hparams=false"),
    ),
    "accelerator strategy devices num_nodes": ("accelerator=cpu", "strategy=auto", "devices=1", "num_nodes=1"),
}
FAILS: dict[str, dict[str, Any]] = {
    "enable_checkpointing": {"enable_checkpointing": False},
    "fast_dev_run": {"fast_dev_run": True},
    **{name: {name: "x"} for name in REFUSED_ARGUMENTS},
}


def test_every_argument_of_the_trainer_works_or_is_refused() -> None:
    assert {*" ".join(WORKS).split(), *FAILS} == {*inspect.signature(Trainer.__init__).parameters} - {"self"}
    assert {*POSITIVE_ARGUMENTS} <= {*" ".join(WORKS).split()}


@pytest.mark.parametrize("names", WORKS)
def test_arguments_that_work(names: str) -> None:
    typed = [f"++trainer.{one}" for one in WORKS[names]]
    results, _ = run("trainer.max_epochs=1", "scheduler=none", *typed, test=True)
    assert math.isfinite(results["val"]["loss"])
    assert math.isfinite(results["test"]["loss"])


@pytest.mark.parametrize("name", FAILS)
def test_an_argument_that_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{name}.*"):
        check_trainer({"max_epochs": 1} | FAILS[name])


@pytest.mark.parametrize("name", POSITIVE_ARGUMENTS)
@pytest.mark.parametrize("value", [0, -1])
def test_an_argument_that_must_be_above_0(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{name}={value} is not above 0"):
        check_trainer({"max_epochs": 1, name: value})


@pytest.mark.parametrize("settings", [{"max_epochs": None}, {"max_epochs": -1}, {"max_epochs": -1, "max_steps": -1}])
def test_a_training_without_end_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="never end"):
        check_trainer(settings)
    check_trainer(settings | {"max_time": "00:00:00:10"})
    check_trainer(settings | {"max_steps": 10})


# Gradients


def weights(folder: Path) -> torch.Tensor:
    content = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    return torch.cat([value.flatten() for value in content["state_dict"].values() if value.is_floating_point()])


def test_accumulated_batches_are_weighted_by_their_samples() -> None:
    """Accumulating batches of 40, 40 and 30 samples equals one step of all 110."""
    plain = ("trainer.max_epochs=1", "optimizer=sgd", "model.optimizer.lr=0.5", "scheduler=none", "data.shuffle=false")
    _, whole = run(*plain, "data.batch_size=110")
    _, parts = run(*plain, "data.batch_size=40", "trainer.accumulate_grad_batches=3")
    torch.testing.assert_close(weights(parts), weights(whole), atol=1e-6, rtol=1e-5)


def test_weight_decay_remembers_the_shape_of_weights_that_are_cut_into_pieces() -> None:
    layer = torch.nn.Linear(3, 2)
    remember_decay(layer)
    for parameter in layer.parameters():
        parameter.data = parameter.data.flatten()  # as FSDP does
    config = {"_target_": "torch.optim.SGD", "lr": 0.1, "weight_decay": 0.5}
    groups = make_optimizer(config, [{"params": list(layer.parameters())}]).param_groups
    assert [(group["params"], group["weight_decay"]) for group in groups] == [([layer.weight], 0.5), ([layer.bias], 0)]


def test_gradients_are_clipped_by_value_on_request() -> None:
    plain = ("trainer.max_epochs=1", "optimizer=sgd", "scheduler=none", "data.batch_size=110", "model.optimizer.lr=1")
    plain += ("model.optimizer.momentum=0", "model.optimizer.nesterov=false", "model.optimizer.weight_decay=0")
    _, free = run(*plain, "model.optimizer.lr=1e-12")
    clip = ("trainer.gradient_clip_val=1e-4", "+trainer.gradient_clip_algorithm=value")
    _, clipped = run(*plain, *clip)
    change = (weights(clipped) - weights(free)).abs()
    assert change.max().item() == pytest.approx(1e-4, rel=0.01)
    assert (change > 0.99e-4).float().mean() > 0.2  # many values are at the limit, unlike with clipping by norm


def test_the_results_describe_the_scores() -> None:
    results, folder = run("trainer.max_epochs=1")
    found = json.loads((folder / "results.json").read_text())["metrics"]
    assert found["calibration_error"] == {"title": "calibration error", "higher_is_better": False, "percent": True}
    assert set(results["val"]) <= set(found)
