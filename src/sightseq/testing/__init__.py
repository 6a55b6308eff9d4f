"""What is true of every network, task and dataset: checks for this package's own and for anyone's.

    from sightseq.testing import check_datamodule, check_network, check_task

    def test_my_network():
        check_network(MyTask, MyNet, width=8)

Each check raises AssertionError with a sentence that says what is wrong. They cost seconds.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
from sightseq.core.loading import PAD_INDEX, Batch, BatchSampler
from sightseq.core.scores import Output
from sightseq.core.spec import Spec
from sightseq.core.task import STAGES, Task
from sightseq.testing.networks import check_network

__all__ = ["check_datamodule", "check_network", "check_task"]


def check_task(task: Task, batch: Batch, steps: int = 60, learn: bool = True) -> None:
    """Checks a task on one batch of its data.

    Its hyper-parameters are plain and rebuild it; its weights load into the rebuilt one, which then computes the
    same; a filler row counts nowhere; every weight is optimised; it can learn the batch by heart.

    Args:
        task: freshly built.
        batch: of training data, at least four rows.
        steps: of AdamW, in which the loss of that batch must fall to half.
        learn: leave this last check out with False.

    Raises:
        AssertionError: one of these does not hold.
    """
    name = type(task).__name__
    hparams = dict(task.hparams)
    assert json.loads(json.dumps(hparams)) == _as_lists(hparams), f"{name} keeps hyper-parameters that are not plain"
    target = f"{type(task).__module__}.{type(task).__qualname__}"
    twin = build({"_target_": target, **hparams}, Task, "model")
    twin.load_state_dict(task.state_dict())
    task.eval()
    twin.eval()
    with torch.no_grad():
        whole, again = task.step(batch, "val"), twin.step(batch, "val")
        assert torch.equal(whole.loss_sum, again.loss_sum), f"{name} computes otherwise when it is rebuilt"
        filled = {key: torch.cat([value, value[:1]]) for key, value in batch.items()}
        filled["index"] = filled["index"].clone()
        filled["index"][-1] = PAD_INDEX
        for stage in STAGES:
            _check_filler(name, task, stage, task.step(batch, stage), task.step(filled, stage))
    task.total_steps = 100
    found = task.configure_optimizers()
    optimizer = found["optimizer"] if isinstance(found, Mapping) else found
    optimised = {id(p) for group in optimizer.param_groups for p in group["params"]}
    forgotten = [n for n, p in task.named_parameters() if p.requires_grad and id(p) not in optimised]
    assert not forgotten, f"{name} does not optimise {', '.join(forgotten)}"
    if learn:
        _check_learning(name, task, batch, steps)


def _check_filler(name: str, task: Task, stage: str, plain: Output, filled: Output) -> None:
    assert int(plain.count) == int(filled.count), f"{name} counts a filler row in {stage}"
    torch.testing.assert_close(plain.loss_sum, filled.loss_sum, msg=lambda m: f"{name}: a filler row adds loss: {m}")
    scores = []
    for output in (plain, filled):
        metrics = task.scoreboard.metrics(stage)
        metrics.reset()
        task.scoreboard.update(stage, output)
        scores.append({key: value.clone() for key, value in metrics.compute().items()})
        metrics.reset()
    torch.testing.assert_close(
        scores[0], scores[1], msg=lambda m: f"{name}: filler changes the metrics of {stage}: {m}"
    )


def _check_learning(name: str, task: Task, batch: Batch, steps: int) -> None:
    task.train()
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3, weight_decay=0)
    losses = []
    for _ in range(steps):
        output = task.step(batch, "train")
        loss = output.loss_sum / output.count
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert min(losses) < losses[0] / 2, f"{name} cannot learn one batch: its loss goes from {losses[0]} to {losses[-1]}"


def check_datamodule(make: Callable[..., DataModule]) -> None:
    """Checks a dataset, on its synthetic twin or the real files, whichever `make` gives.

    Preparing twice gives the same; its splits are disjoint; its spec survives JSON; every sample is read exactly
    once an epoch, by one process or by two; batches have `input`, `target` and `index`.

    Args:
        make: returns a new data module with the keyword arguments it is given.

    Raises:
        AssertionError: one of these does not hold.
    """
    data, again = (make(batch_size=7, eval_batch_size=7) for _ in range(2))
    name = type(data).__name__
    data.prepare_data()
    again.prepare_data()
    assert data.spec == again.spec, f"{name}: preparing it twice gives another spec"
    assert Spec.from_dict(json.loads(json.dumps(data.spec.to_dict()))) == data.spec, f"{name}: its spec is not plain"
    assert type(data.spec) is type(data.example_spec), f"{name}: example_spec is of another kind than its spec"
    splits = {split: data.dataset(split) for split in STAGES}
    for split, dataset in splits.items():
        for other, another in splits.items():
            shared = set(dataset.rows) & set(another.rows) if dataset.source == another.source else set()
            assert split == other or not shared, f"{name}: {len(shared)} samples are in {split} and in {other}"
        for world in (1, 2):
            orders = [data.batch_sampler(split, rank, world) for rank in range(world)]
            seen = np.concatenate([_read(dataset, order) for order in orders])
            assert sorted(seen) == sorted(dataset.rows), f"{name}: {split} is not read exactly once"
            batches = {(len(order), sum(1 for _ in order)) for order in orders}
            assert len(batches) == 1, f"{name}: two processes get unequal parts of {split}"
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        batch = next(iter(loader))
        assert {"input", "target", "index"} <= set(batch), f"{name}: a batch has only {sorted(batch)}"
        assert len({len(tensor) for tensor in batch.values()}) == 1, f"{name}: a batch of unequal lengths"
        assert batch["index"].dtype == torch.int64, f"{name}: index is not int64"


def _read(dataset: Any, order: BatchSampler) -> NDArray[np.int64]:
    """The numbers of all samples that were read, or, of streams, of all tokens."""
    found = []
    for indices in order:
        batch = dataset[indices]
        index = batch["index"]
        if "fresh" in batch:
            index = torch.where(
                batch["target"] == PAD_INDEX, PAD_INDEX, index[:, None] + torch.arange(batch["target"].shape[1])
            )
        found.append(index[index != PAD_INDEX])
    return torch.cat(found).numpy()


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value
