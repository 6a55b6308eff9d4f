"""The tasks and data modules work in a plain Lightning Trainer."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer

import sightseq
from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.checkpoint import data_of, load_task, read_checkpoint
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import CheckpointError
from sightseq.core.task import Task

EPOCHS = 2


@dataclass
class Fitted:
    task: Task
    data: DataModule
    trainer: Trainer
    path: Path
    """The checkpoint that the Trainer writes by default."""


@pytest.fixture(scope="module", params=["digits", "ptb"])
def fitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A training of two epochs with Lightning's default Trainer."""
    place = tmp_path_factory.mktemp(request.param)
    size = ["data.batch_size=20", "model.net.channels=[2]"]
    if request.param == "ptb":
        size = ["data.batch_size=10", "model.net.embedding=4", "model.net.hidden=[4,4]", "data.bptt=20"]
    config = compose(f"experiment={request.param}", "scheduler=one_cycle", f"paths.cache={place}", *size)
    data = build({**config["data"], "synthetic": True}, DataModule, "data")
    data.prepare_data()
    task = build(config["model"], Task, "model", spec=data.spec.to_dict())
    trainer = Trainer(max_epochs=EPOCHS, default_root_dir=place, accelerator="cpu", enable_progress_bar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(task, datamodule=data)
    (path,) = place.rglob("*.ckpt")
    return Fitted(task, data, trainer, path)


def test_the_schedule_spans_the_training(fitted: Fitted) -> None:
    steps = EPOCHS * len(fitted.data.train_dataloader())
    assert fitted.trainer.global_step == steps
    schedule: Any = fitted.trainer.lr_scheduler_configs[0].scheduler
    assert (schedule.last_epoch, schedule.total_steps) == (steps, steps)


@pytest.mark.filterwarnings("ignore")
def test_validates_tests_and_predicts(fitted: Fitted) -> None:
    assert isinstance(fitted.data, LightningDataModule)
    (val,) = fitted.trainer.validate(fitted.task, datamodule=fitted.data, verbose=False)
    (test,) = fitted.trainer.test(fitted.task, datamodule=fitted.data, verbose=False)
    assert val["val/loss"] > 0
    found = fitted.trainer.predict(fitted.task, datamodule=fitted.data)
    assert found is not None
    targets = torch.cat([batch["target"].flatten() for batch in fitted.data.test_dataloader()])
    if type(fitted.data).__name__ == "PTB":
        loss = -torch.cat([part.flatten() for part in found]).sum() / (targets >= 0).sum()
    else:
        probabilities = torch.cat(list(found))
        loss = -probabilities[torch.arange(len(targets)), targets].log().mean()
    assert loss.item() == pytest.approx(test["test/loss"], rel=1e-4)


def test_a_dataset_is_indexed_as_lightnings_users_expect(fitted: Fitted) -> None:
    dataset = fitted.data.dataset("train")
    batch = dataset.batch(torch.tensor([3, 4]))
    for rows in (dataset[3:5], dataset[[3, 4]], dataset[torch.tensor([3, 4])]):
        assert rows.keys() == batch.keys()
        assert all(torch.equal(rows[name], batch[name]) for name in batch)
    assert all(torch.equal(values, batch[name][0]) for name, values in dataset[3].items())
    assert torch.equal(dataset[-1]["target"], dataset[len(dataset) - 1]["target"])
    with pytest.raises(IndexError):
        dataset[len(dataset)]


@pytest.mark.filterwarnings("ignore")
def test_its_checkpoint_is_loaded(fitted: Fitted) -> None:
    own = fitted.task.state_dict()
    for loaded in (
        type(fitted.task).load_from_checkpoint(fitted.path, weights_only=True),
        load_task(fitted.path),
        sightseq.load(fitted.path, "cpu").task,
    ):
        assert type(loaded) is type(fitted.task)
        assert loaded.spec == fitted.data.spec
        assert all(torch.equal(value, own[name]) for name, value in loaded.state_dict().items())


def test_its_checkpoint_does_not_contain_the_data_config(fitted: Fitted) -> None:
    content = read_checkpoint(fitted.path)
    with pytest.raises(CheckpointError, match="name it with data="):
        data_of(content, fitted.task, compose("ckpt=x", command="test"))
    given = compose("ckpt=x", f"data={fitted.data.name}", command="test")
    assert data_of(content, fitted.task, given).given_spec == fitted.data.spec
