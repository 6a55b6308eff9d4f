"""What is true of the task of every experiment, on a batch of its synthetic data."""

import pytest
import torch

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.checkpoint import load_task
from sightseq.core.datamodule import DataModule
from sightseq.core.order import Batch
from sightseq.core.places import experiments
from sightseq.core.scores import Output
from sightseq.core.task import Task
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.testing import check_task
from tests.conftest import small

EXPERIMENTS = sorted(experiments())


def task_and_batch(*overrides: str) -> tuple[Task, Batch]:
    config = small(compose(*overrides, "debug=synthetic", "data.batch_size=16"))
    data = build(config["data"], DataModule, "data")
    data.prepare_data()
    torch.manual_seed(0)
    task = build(config["model"], Task, "model", spec=data.spec.to_dict())
    return task, next(iter(data.train_dataloader()))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_task_of_experiment(experiment: str) -> None:
    task, batch = task_and_batch(f"experiment={experiment}")
    if "fresh" in batch:  # a few tokens of each stream are enough to learn by heart
        batch |= {name: batch[name][:, :8] for name in ("input", "target")}
    check_task(task, batch)


class CountsFiller(ImageClassificationTask):
    """Averages over all rows, fillers too."""

    def step(self, batch: Batch, stage: str) -> Output:
        output = super().step(batch, stage)
        return Output(output.loss_sum, torch.tensor(len(batch["index"])), output.values)


class ForgetsTheHead(ImageClassificationTask):
    """Optimises all but the last layer."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(list(self.net.parameters())[:-2], lr=0.1)


@pytest.mark.parametrize(
    ("cls", "complaint"), [(CountsFiller, "counts a filler row"), (ForgetsTheHead, "does not optimise")]
)
def test_the_check_finds_what_is_wrong(cls: type[Task], complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.core.build._trusted", {"sightseq", __name__.partition(".")[0]})
    task, batch = task_and_batch()
    with pytest.raises(AssertionError, match=complaint):
        check_task(cls(**task.hparams), batch, learn=False)


def test_a_checkpoint_is_enough_to_rebuild_a_task(trained) -> None:
    task = load_task(trained / "checkpoints" / "best.ckpt")
    assert task.spec.classes == tuple("0123456789")
    assert task.predict_step({"input": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)}).shape == (2, 10)
