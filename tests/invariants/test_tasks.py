"""Properties of every task that has a config, checked on its own example with each network of its kind."""

import pytest
import torch

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.checkpoint import load_task
from sightseq.core.datamodule import DataModule
from sightseq.core.loading import Batch
from sightseq.core.scores import Output
from sightseq.core.task import Task
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.testing import check_task
from tests.conftest import small

from .conftest import bricks, learns_by_gradients, task_classes

MODELS = {cls: model for model, cls in reversed(task_classes().items())}  # one model option per task class
CASES = [(model, net) for cls, model in MODELS.items() if learns_by_gradients(cls) for net in bricks(cls.net_kind)]
LARGE = 2_000_000  # weights; a larger network learns too slowly for this check


def task_and_batch(*overrides: str) -> tuple[Task, Batch]:
    config = small(compose(*overrides, "debug=synthetic", "data.batch_size=16"))
    data = build(config["data"], DataModule, "data")
    data.prepare_data()
    torch.manual_seed(0)
    task = build(config["model"], Task, "model", spec=data.spec.to_dict())
    return task, next(iter(data.train_dataloader()))


@pytest.mark.parametrize(("model", "net"), CASES)
def test_task_with_each_kind_of_network(model: str, net: str) -> None:
    spec, batch = task_classes()[model].example()
    config = small(compose(f"model={model}", f"model/net={net}", "augment=none"))["model"]
    torch.manual_seed(0)
    task = build(config, Task, "model", spec=spec.to_dict())
    assert task.size(batch) > 0
    check_task(task, batch, learn=sum(p.numel() for p in task.parameters()) < LARGE)


class CountsPadding(ImageClassificationTask):
    """Counts padding rows in the mean loss."""

    def step(self, batch: Batch, stage: str) -> Output:
        output = super().step(batch, stage)
        return Output(output.loss_sum, torch.tensor(len(batch["index"])), output.values)


class OmitsTheHead(ImageClassificationTask):
    """Optimises all layers except the last."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(list(self.net.parameters())[:-2], lr=0.1)


@pytest.mark.parametrize(
    ("cls", "complaint"), [(CountsPadding, "counts a padding row"), (OmitsTheHead, "does not optimise")]
)
def test_the_check_refuses_wrong_tasks(cls: type[Task], complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.core.build._trusted", {"sightseq", __name__.partition(".")[0]})
    task, batch = task_and_batch()
    with pytest.raises(AssertionError, match=complaint):
        check_task(cls(**task.hparams), batch, learn=False)


def test_a_checkpoint_is_enough_to_rebuild_a_task(trained) -> None:
    task = load_task(trained / "checkpoints" / "best.ckpt")
    assert task.spec.classes == tuple("0123456789")
    assert task.predict_step({"input": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)}).shape == (2, 10)
