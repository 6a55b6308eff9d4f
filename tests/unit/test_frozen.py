"""The frozen part of a network is computed once for all samples, and `prepare_training` gets the training split."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sightseq
from sightseq.bench import bench
from sightseq.composition import compose
from sightseq.core import rundir
from sightseq.core.arrays import ArrayDataset, ComputedDataset
from sightseq.core.build import build
from sightseq.core.checkpoint import read_checkpoint
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError
from sightseq.core.frozen import Frozen, precompute
from sightseq.core.loading import Batch
from sightseq.core.rundir import read_config
from sightseq.core.task import Task
from sightseq.run import execute
from sightseq.tasks.classification.images import ImageClassificationTask

CPU = torch.device("cpu")


class Net(nn.Module):
    """A convolution that is not trained, and a linear layer that is."""

    def __init__(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.Flatten(), nn.Dropout(0.5))
        self.head = nn.Linear(4 * (image_size[0] - 2) * (image_size[1] - 2), num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images))


class FrozenTask(ImageClassificationTask):
    """Trains the head on the features of the encoder, which are computed once if `cached`."""

    computed = 0
    seen: list[frozenset[str]] = []
    prepared: list[ArrayDataset] = []

    def __init__(self, *, cached: bool = True, factor: float = 1.0, **task: Any) -> None:
        super().__init__(**task)
        self.net.encoder.requires_grad_(False)
        self.cached, self.factor = cached, factor
        self.train()

    def train(self, mode: bool = True) -> "FrozenTask":
        super().train(mode)
        self.net.encoder.eval()
        return self

    @property
    def frozen(self) -> Frozen | None:
        module = nn.ModuleList([self.pixels, self.net.encoder])
        return Frozen(module, self.compute, {"factor": self.factor}) if self.cached else None

    def compute(self, batch: Batch) -> dict[str, Tensor]:
        assert not self.training
        assert not torch.is_grad_enabled()
        FrozenTask.computed += len(batch["index"])
        return {"features": self.factor * self.net.encoder(self.pixels(batch["input"]))}

    def prepare_training(self, train: ArrayDataset) -> None:
        FrozenTask.prepared.append(train)

    def augment(self, batch: Batch) -> Batch:
        FrozenTask.seen.append(frozenset(batch))
        return batch

    def logits(self, batch: Batch) -> Tensor:
        return self.net.head(batch["features"]) if "features" in batch else self(batch["input"])

    def log_probabilities(self, batch: Batch) -> Tensor:
        return self.logits(batch).log_softmax(dim=1)


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.core.build._trusted", {"sightseq", "torch", "torchmetrics", "lightning", "tests"})
    FrozenTask.computed, FrozenTask.seen, FrozenTask.prepared = 0, [], []
    composed.cache_clear()  # it holds the folders of the test


def config(*overrides: str, command: str = "train") -> dict[str, Any]:
    return copy.deepcopy(composed(*overrides, command=command))


@cache
def composed(*overrides: str, command: str) -> dict[str, Any]:
    return compose(
        *("data.synthetic=true", "baseline=none", "augment=none", "precision=32"),
        *(f"model._target_={__name__}.FrozenTask", "model/net=image/convnet", "trainer.accelerator=cpu"),
        *("~model.net.channels", "~model.net.convs_per_stage", "~model.net.kernel_size", "~model.net.batch_norm"),
        *("~model.net.pool", "~model.net.hidden", "~model.net.stage_dropout", "~model.net.dropout"),
        *("~model.net.one_logit", f"model.net._target_={__name__}.Net", *overrides),
        command=command,
    )


def prepared() -> DataModule:
    data = build(config()["data"], DataModule, "data")
    data.prepare_data()
    return data


def make(data: DataModule, seed: int = 0, **changes: Any) -> FrozenTask:
    torch.manual_seed(seed)
    return build(config()["model"] | changes, Task, "model", spec=data.spec.to_dict())


def stored(data: DataModule) -> int:
    """The number of stored samples of all splits."""
    arrays = {dataset.source: dataset.arrays for split in ("train", "val", "test") for dataset in [data.dataset(split)]}
    return sum(len(one["input"]) for one in arrays.values())


@pytest.mark.usefixtures("no_report")
def test_a_training_computes_the_frozen_part_once_and_gets_the_same_result() -> None:
    cached = sightseq.train(config("trainer.max_epochs=2") | {"run_test": True})
    assert FrozenTask.computed == stored(prepared())
    assert set(FrozenTask.seen) == {frozenset({"features", "target", "index"})}
    assert [dataset.source for dataset in FrozenTask.prepared] == ["train"]
    assert len(FrozenTask.prepared[0]) == cached["data"]["train"]
    other = sightseq.train(config("trainer.max_epochs=2", "+model.cached=false") | {"run_test": True})
    assert FrozenTask.seen[-1] == {"input", "target", "index"}
    assert FrozenTask.computed == stored(prepared())
    for split in ("val", "test"):
        assert cached[split]["loss"] == pytest.approx(other[split]["loss"], rel=1e-4)


@pytest.mark.usefixtures("no_report")
def test_a_resumed_run_and_a_test_use_the_stored_columns() -> None:
    torch.manual_seed(1)
    folder = Path(sightseq.train(config("trainer.max_epochs=1") | {"run_test": False})["folder"])
    made = read_config(folder)
    count = FrozenTask.computed
    assert count > 0
    before = read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]["net.encoder.0.weight"]
    execute(made | {"trainer": made["trainer"] | {"max_epochs": 2}}, folder)
    content = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert content["epoch"] == 1
    assert torch.equal(content["state_dict"]["net.encoder.0.weight"], before)
    assert len(FrozenTask.prepared) == 2
    tested = compose(f"ckpt={folder}", "trust=[tests]", command="test")
    execute(tested, rundir.create(tested, "sightseq test"))
    assert FrozenTask.computed == count


@pytest.mark.parametrize("cached", [True, False])
def test_bench_trains_on_the_columns(cached: bool) -> None:
    options = ("repeats=2", "measured=0.1", "rows=2", f"+model.cached={cached}".lower())
    found = bench(config(*options, command="bench"))
    assert found["training"]["framework"]["median"] > 0
    assert {name for batch in FrozenTask.seen for name in batch} - {"target", "index"} == {
        "features" if cached else "input"
    }
    assert len(FrozenTask.prepared) == 2  # of the framework and of the bare loop


def test_batches_and_columns() -> None:
    data = prepared()
    task = make(data)
    raw = data.dataset("train")[torch.tensor([3, 0, -1])]
    precompute(task.train(), data, CPU)
    assert task.training
    train, val = (data.dataset(split) for split in ("train", "val"))
    batch = train[torch.tensor([3, 0, -1])]
    assert set(batch) == {"features", "target", "index"}
    assert torch.equal(batch["index"], raw["index"])
    with torch.no_grad():
        torch.testing.assert_close(batch["features"], task.eval().net.encoder(task.pixels(raw["input"])))
    assert set(val[torch.tensor([0])]) == {"input", "features", "target", "index"}
    assert isinstance(train.arrays["features"], np.memmap)
    assert set(next(train.chunks(5))) == {"input", "features", "target"}  # baselines read the inputs too
    assert data.synthetic
    assert set(next(iter(data.train_dataloader()))) == set(batch)


def test_what_computes_the_columns_anew() -> None:
    def count(**changes: Any) -> int:
        data = prepared()
        before = FrozenTask.computed
        precompute(make(data, **changes), data, CPU)
        assert data.dataset("train").arrays["features"].shape[0] == len(data.dataset("train").arrays["input"])
        return FrozenTask.computed - before

    samples = stored(prepared())
    assert count() == samples
    assert count() == count(label_smoothing=0.1) == 0
    assert count(seed=1) == count(factor=2.0) == samples
    assert count(factor=2.0) == count() == 0


def test_the_key_depends_on_weights_buffers_modules_and_options() -> None:
    task = make(prepared())
    frozen = task.frozen
    assert frozen is not None
    keys = [frozen.key()]
    assert frozen.key() == keys[0]
    task.pixels.mean += 1
    keys.append(frozen.key())
    task.net.encoder[2].p = 0.1
    keys.append(frozen.key())
    keys.append(Frozen(frozen.module, frozen.compute, {"factor": 1.5}).key())
    assert len(set(keys)) == 4


class Computed(ComputedDataset):
    """Samples that exist only in batches."""


def test_samples_that_are_not_stored_are_refused() -> None:
    data = prepared()
    dataset = data.dataset("train")
    data._datasets["train"] = Computed(dataset.arrays, dataset.rows, dataset.source)
    with pytest.raises(ConfigError, match="computed for each batch"):
        precompute(make(data), data, CPU)


def test_no_part_of_a_network_is_frozen_by_default() -> None:
    spec, _ = ImageClassificationTask.example()
    net = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4], "hidden": [4]}
    assert ImageClassificationTask(spec=spec.to_dict(), net=net).frozen is None
