"""Measurements within an epoch: learning rates, norms of gradients, throughput."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from sightseq.core.metering import Meter
from sightseq.tasks.classification.images import ImageClassificationTask
from tests.conftest import composed

NET = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4], "hidden": [8]}
HALVED = {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "gamma": 0.5, "interval": "step"}


class Recorder(Logger):
    """A tracker that keeps what it gets."""

    name = version = ""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, Any]]] = []
        self.parameters: dict[str, Any] = {}

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.parameters = params


class TwoRates(ImageClassificationTask):
    def parameter_groups(self) -> list[dict[str, Any]]:
        first, *others = self.parameters()
        return [{"params": [first], "lr": 0.1}, {"params": others[:2]}, {"params": others[2:]}]


@pytest.mark.filterwarnings("ignore")
def test_rates_and_norms_are_those_of_the_step() -> None:
    config = composed("logger=csv", "trainer.log_every_n_steps=2", "logger.csv.watch=true")
    spec, batch = ImageClassificationTask.example()
    small = {**batch, "index": torch.tensor([0, 1, -1, -1, -1, -1])}  # two samples, the others are padding
    optimizer = {"_target_": "torch.optim.SGD", "lr": 0.8}
    task = TwoRates(spec=spec.to_dict(), net=NET, optimizer=optimizer, scheduler=HALVED)
    norms: list[float] = []
    clip = task.configure_gradient_clipping

    def before_clipping(*arguments: Any, **more: Any) -> None:
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in task.parameters() if p.grad is not None]).item())
        clip(*arguments, **more)

    task.configure_gradient_clipping = before_clipping  # type: ignore[method-assign]
    recorder = Recorder()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=2,
        gradient_clip_val=1e-3,
        logger=recorder,
        log_every_n_steps=1000,
        callbacks=[Meter(config, Path())],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, DataLoader([batch, small, batch, small, small], batch_size=None))
    rows = [(step, row) for step, row in recorder.rows if "step/lr" in row]
    assert [step for step, _ in rows] == [2, 3]  # every second step, and the last one of the epoch
    assert [row["epoch"] for _, row in rows] == [0.8, 1.0]
    assert [row["step/lr"] for _, row in rows] == pytest.approx([0.05, 0.025])
    assert [row["step/lr-2"] for _, row in rows] == pytest.approx([0.4, 0.2])
    assert [row["step/gradient_norm"] for _, row in rows] == pytest.approx(norms[1:])
    assert all("step/lr-3" not in row and row["step/samples_per_second"] > 0 for _, row in rows)
    assert recorder.parameters["model"] == config["model"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_throughput_excludes_validation(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now, rows = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    counted: list[Any] = []
    task: Any = SimpleNamespace(
        device=torch.device(device), size=lambda batch: counted.append(batch) or 6, size_unit=""
    )
    trainer: Any = SimpleNamespace(
        global_step=1,
        world_size=2,
        current_epoch=0,
        num_training_batches=4,
        is_last_batch=False,
        optimizers=[],
        loggers=[SimpleNamespace(log_metrics=lambda row, step: rows.append(row), log_hyperparams=lambda _: None)],
        sanity_checking=False,
    )
    meter = Meter(composed("logger=csv", "trainer.log_every_n_steps=2"), Path())
    meter.on_train_start(trainer, task)
    meter._groups = [{"lr": 0.1}]
    now[0] = 2  # resumed within an epoch, so without `on_train_epoch_start`
    meter.on_train_batch_end(trainer, task, {"loss": 1.0}, {}, 0)
    meter.on_validation_start(trainer, task)
    now[0] = 9
    meter.on_validation_end(trainer, task)
    now[0] = 11
    meter.on_before_optimizer_step(trainer, task, None)  # type: ignore[arg-type]
    meter.on_train_batch_end(trainer, task, {"loss": 1.0}, {}, 1)
    (row,) = rows
    assert row["step/samples_per_second"] == 2 * (6 + 6) / 4  # two processes, 11 s without the 7 s of validation
    assert len(counted) == (2 if device == "cpu" else 1)
