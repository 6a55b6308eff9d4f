"""Searches of the batch size and the learning rate."""

import copy
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import sightseq
from sightseq.core import resume, rundir, tuning
from sightseq.core.checkpoint import read_checkpoint
from sightseq.core.errors import ConfigError
from sightseq.core.task import Task
from sightseq.tasks.captioning.self_critical import SelfCriticalTask
from sightseq.tasks.classification.images import ImageClassificationTask

from .test_trainer import TINY

pytestmark = pytest.mark.usefixtures("no_report")
RATES = [1e-8 * 10 ** (8 * i / 100) for i in range(100)]


def valley(noise: float = 0.0) -> list[float]:
    """A loss that is flat, falls fastest at a rate of 1e-3, is lowest at 1e-2 and then rises."""
    losses = []
    for i, rate in enumerate(RATES):
        fall = 1 / (1 + math.exp(-4 * (math.log10(rate) + 3)))
        losses.append(2 - fall + max(0.0, math.log10(rate) + 2) ** 2 + noise * math.sin(37 * i))
    return losses


@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_the_rate_of_the_fastest_fall(noise: float) -> None:
    index = tuning.steepest(RATES, valley(noise))
    assert index is not None
    assert RATES[index] == pytest.approx(1e-3, rel=0.5)


def test_a_loss_that_does_not_fall_has_no_rate() -> None:
    assert tuning.steepest(RATES, [2.0] * 100) is None
    assert tuning.steepest(RATES, [2 + 0.001 * math.sin(37 * i) for i in range(100)]) is None
    assert tuning.steepest(RATES, [math.nan] * 100) is None
    assert tuning.steepest(RATES, [2.0, *range(3, 102)]) is None


def test_smoothed_losses_average_their_neighbours() -> None:
    assert tuning.smoothed([0.0, 0, 0, 7, 0, 0, 0]) == [7 / 4, 7 / 5, 7 / 6, 1.0, 7 / 6, 7 / 5, 7 / 4]


def test_parameter_groups_keep_their_ratio() -> None:
    body, head = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [body], "lr": 0.01}, {"params": [head]}], lr=0.1)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[0.01, 0.1], total_steps=10)  # starts at 1/25 of them
    tuning.keep_ratios(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = 0.5  # as the search does
    (body + head).sum().backward()
    optimizer.step()
    assert (body.item(), head.item()) == pytest.approx((-0.05, -0.5))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.5])


def test_a_schedule_keeps_its_ratio() -> None:
    model = {"optimizer": {"lr": 0.1}, "scheduler": {"max_lr": 0.2}}
    assert tuning.found_values({"model": model}, "lr", 0.01) == {
        "model.optimizer.lr": 0.01,
        "model.scheduler.max_lr": pytest.approx(0.02),
    }


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]


def test_a_search_finds_values_and_leaves_no_trace_in_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    short = (*TINY, "trainer.max_epochs=2", "data.batch_size=16", "model.net.dropout=0.2")
    composed = sightseq.compose(*short, "tune=[batch_size,lr]") | {"run_test": False}
    typed = copy.deepcopy(composed)
    folder = Path(sightseq.train(composed)["folder"])
    assert "tuned" not in composed  # the caller's config: another training with it searches again
    saved = rundir.read_config(folder)
    size, rate = saved["data"]["batch_size"], saved["model"]["optimizer"]["lr"]
    assert size == 110  # all samples
    assert 1e-6 < rate < 1
    assert saved["model"]["scheduler"]["max_lr"] == rate
    assert saved["tuned"]["data.batch_size"] == {"before": 16, "found": size}
    assert {path.name for path in (folder / "figures").iterdir()} == {"tune_batch_size.png", "tune_lr.png"}
    assert f"data.batch_size={size} instead of 16" in capsys.readouterr().out
    assert not list(folder.glob(".*.ckpt"))
    # The same values without a search give the same weights.
    values = (f"data.batch_size={size}", f"model.optimizer.lr={rate}")
    other = Path(sightseq.train(sightseq.compose(*short, *values) | {"run_test": False})["folder"])
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(folder).items())
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["sightseq"]["config"]["tuned"] == saved["tuned"]
    # The config as typed finds this run again, which does not search again.
    (folder / "results.json").unlink()
    assert resume.find_run(typed) == folder
    assert rundir.without_repeats(saved)[0] == rundir.without_repeats(typed)[0]


def test_full_memory_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch of 64 samples does not fit: Lightning goes back to 32."""
    step = ImageClassificationTask.step

    def small_memory(self: Any, batch: dict[str, torch.Tensor], stage: str) -> Any:
        if len(batch["index"]) > 40:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return step(self, batch, stage)

    monkeypatch.setattr(ImageClassificationTask, "step", small_memory)
    searched: list[int] = []
    write = tuning.write_config

    def stop(folder: Path, config: dict[str, Any]) -> None:
        write(folder, config)
        searched.append(config["data"]["batch_size"])
        raise ConfigError("enough")

    monkeypatch.setattr(tuning, "write_config", stop)
    with pytest.raises(ConfigError, match="enough"):
        sightseq.train(sightseq.compose(*TINY, "tune=batch_size", "data.batch_size=16") | {"run_test": False})
    assert searched == [32]


def test_one_sample_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(ImageClassificationTask, "step", no_memory)
    with pytest.raises(ConfigError, match="not enough memory for one sample"):
        sightseq.train(sightseq.compose(*TINY, "tune=batch_size", "data.batch_size=2") | {"run_test": False})


def test_a_cpu_stops_at_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([100.0, 150.0, 260.0])
    monkeypatch.setattr(tuning, "peak_memory", lambda: next(used))
    monkeypatch.setattr(tuning.psutil, "virtual_memory", lambda: SimpleNamespace(available=300 * 2**20))
    task: Any = SimpleNamespace(device=torch.device("cpu"), training_step=lambda *_: "loss", size=lambda batch: 4)
    data: Any = SimpleNamespace(batch_size=4)
    step = tuning.measured(task, data, {})
    assert step({}, 0) == "loss"
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        step({}, 1)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("tune=speed",), "tune=speed: must be lr, batch_size"),
        (("tune=lr", "trainer=ddp_cpu"), "tune searches on one device, not on trainer.devices=2"),
        (("tune=batch_size", "data.batch_size=5000"), "start with a smaller one"),
        (("+callbacks.f._target_=lightning.pytorch.callbacks.LearningRateFinder",), "write tune=lr"),
    ],
)
def test_searches_that_are_refused(typed: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        sightseq.train(sightseq.compose(*TINY, *typed) | {"run_test": False})
    assert "\n" not in str(caught.value)


def test_tasks_without_a_rate_to_search() -> None:
    def task(kind: type[Task]) -> Any:
        like = type("Like", (SimpleNamespace,), {"prepare_training": kind.prepare_training})
        return like(automatic_optimization=True, optimizer={"lr": 0.1})

    tuning.check_task(task(ImageClassificationTask), "lr")
    tuning.check_task(task(SelfCriticalTask), "batch_size")
    with pytest.raises(ConfigError, match="is not what its gradients minimise"):
        tuning.check_task(task(SelfCriticalTask), "lr")
