"""`sightseq bench`: its measurements, and that the bare PyTorch loop does the same work."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from sightseq.bench import BareLoop, bench, read, summary, text, training_only_config
from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError, ExportError
from sightseq.core.task import Task

SMALL = ("debug=synthetic", "repeats=2", "measured=0.1", "rows=3")


def run(*overrides: str) -> dict[str, Any]:
    return bench(compose(*SMALL, *overrides, command="bench"))


@pytest.mark.parametrize(
    ("experiment", "unit"),
    [("digits", "samples"), ("imdb_course", "samples"), ("python_docs", "tokens"), ("calendar", "target tokens")],
)
def test_all_measurements_are_printed(experiment: str, unit: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(f"experiment={experiment}")
    training = found["training"]
    for name in ("floor", "framework", "data", "ratio"):
        assert training[name]["count"] == 2
        assert 0 < training[name]["low"] <= training[name]["median"] <= training[name]["high"]
    assert training["start_up_seconds"] > 0
    assert training["peak_memory_mib"] > 100
    assert {way: set(rows) for way, rows in found["inference"].items()} == {
        "PyTorch": {"one", "many"},
        "onnxruntime": {"one", "many"},
    }
    out = capsys.readouterr().out
    assert f"{unit}/s" in out
    assert "of the bare loop" in out
    assert json.loads((Path("runs") / experiment / "bench.json").read_text()) == found


def test_the_bare_loop_trains_like_the_framework() -> None:
    config = compose("trainer.max_epochs=1", "scheduler=none", "callbacks=default", "augment=none", "precision=32")
    data = build(config["data"], DataModule, "data")
    data.prepare_data()
    tasks = []
    for _ in range(2):
        torch.manual_seed(0)
        tasks.append(build(config["model"], Task, "model", spec=data.spec.to_dict()))
    BareLoop(tasks[0], "32-true", None)(data.train_dataloader())
    from lightning.pytorch import Trainer

    trainer = Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(tasks[1], train_dataloaders=data.train_dataloader())
    for mine, theirs in zip(tasks[0].net.parameters(), tasks[1].net.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_denoiser_is_compared_with_filters_per_megapixel(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("experiment=photos")
    assert {"PyTorch", "onnxruntime", "noisy input", "median filter", "non-local means"} <= found["inference"].keys()
    amount, unit = found["amount"]
    assert unit == "megapixel"
    seconds = found["inference"]["median filter"]["one"]["median"]
    row = next(line for line in capsys.readouterr().out.splitlines() if "median filter" in line)
    assert float(row.split()[-1]) == pytest.approx(seconds / amount, rel=0.01)


def test_data_is_read_epoch_after_epoch() -> None:
    data = build(compose("data.synthetic=true")["data"], DataModule, "data")
    data.prepare_data()
    rates = read(lambda batch: 10 * len(batch["index"]), data, 2, 0.2)
    assert 0.2 * rates["low"] > 10 * len(data.dataset("train"))


def test_medians_and_quartiles() -> None:
    found = summary([5.0, 1.0, 2.0, 4.0, 3.0])
    assert found == {"median": 3.0, "low": 2.0, "high": 4.0, "count": 5}
    assert text(found, "{:.1f}", scale=10) == "30.0 (20.0 .. 40.0)"
    assert summary([1.0]) == {"median": 1.0, "low": 1.0, "high": 1.0, "count": 1}


def test_measurements_keep_the_recipe_but_save_no_checkpoints() -> None:
    config = compose("callbacks=[default,ema]", "logger=tensorboard", "trainer.accumulate_grad_batches=4")
    alone = training_only_config(config)
    assert set(config["callbacks"]) == {"best", "last", "progress", "ema"}
    assert set(alone["callbacks"]) == {"progress", "ema"}
    assert alone["logger"] == {}
    assert alone["model"] == config["model"]


def test_fine_tuning_is_measured_with_all_layers_and_frozen_batch_norm() -> None:
    config = training_only_config(compose("model=fine_tuning", "model.freeze_statistics=true"))
    data = build(config["data"], DataModule, "data")
    data.prepare_data()
    task = build(config["model"], Task, "model", spec=data.spec.to_dict())
    task.total_steps = 10
    BareLoop(task, "32-true", None)(islice(data.train_dataloader(), 2))
    assert all(parameter.requires_grad for parameter in task.net.parameters())
    norms = [module.training for module in task.net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norms)


def test_the_bare_loop_skips_schedules_of_epochs() -> None:
    data = build(compose("data=digits")["data"], DataModule, "data")
    data.prepare_data()
    for scheduler, moves in (("one_cycle", True), ("plateau", False), ("step", False)):
        config = compose(f"scheduler={scheduler}")["model"]
        task = build(config, Task, "model", spec=data.spec.to_dict())
        task.total_steps = 10
        floor = BareLoop(task, "32-true", None)
        before = floor.optimizer.param_groups[0]["lr"]
        floor(islice(data.train_dataloader(), 2))
        assert (floor.optimizer.param_groups[0]["lr"] != before) == moves, scheduler


def test_a_model_that_cannot_be_exported_is_still_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise ExportError("no such operator")

    monkeypatch.setattr("sightseq.bench.save_onnx", refuse)
    found = run("experiment=digits")
    assert found["training"]["ratio"]["count"] == 2
    assert found["inference"] == {}
    assert "not measured: no such operator" in capsys.readouterr().out


def test_user_errors() -> None:
    with pytest.raises(ConfigError, match="repeats=0"):
        run("repeats=0")
    with pytest.raises(ConfigError, match="precision=bf16-true: bench supports"):
        run("precision=bf16-true")
    with pytest.raises(ConfigError, match="training ended before"):
        run("+trainer.max_steps=2")
    with pytest.raises(ConfigError, match="one device"):
        run("trainer.accelerator=cpu", "trainer.devices=2")
    Path("folder").mkdir()
    with pytest.raises(ConfigError, match="output=folder is a folder"):
        run("output=folder")
