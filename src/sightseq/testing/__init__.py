"""Checks of the invariants that every network, task and dataset must fulfil, your own included.

    from sightseq.testing import check_datamodule, check_network, check_task

    def test_my_network():
        check_network(MyTask, MyNet, width=8)

Each check raises AssertionError with a sentence that describes the problem, and takes seconds.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
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
    """Check a task on one batch of its data.

    The task can be rebuilt from its hyperparameters, which are plain values; with the same weights, the rebuilt task
    computes the same loss; a padding row changes no loss, count or metric (those of `decode` included); the optimizer
    has every trainable weight; the task can overfit the batch.

    Args:
        task: newly built, not trained.
        batch: training data, at least four rows.
        steps: AdamW steps in which the loss of the batch must fall by half.
        learn: False skips the overfitting check.

    Raises:
        AssertionError: a check failed.
    """
    name = type(task).__name__
    hparams = dict(task.hparams)
    assert json.loads(json.dumps(hparams)) == _as_lists(hparams), f"{name} has hyperparameters that are not plain"
    target = f"{type(task).__module__}.{type(task).__qualname__}"
    rebuilt = build({"_target_": target, **hparams}, Task, "model")
    rebuilt.load_state_dict(task.state_dict())
    task.eval()
    rebuilt.eval()
    with torch.no_grad():
        original, again = task.step(batch, "val"), rebuilt.step(batch, "val")
        assert torch.equal(original.loss_sum, again.loss_sum), f"{name} computes another loss when it is rebuilt"
        padded = {key: torch.cat([value, value[:1]]) for key, value in batch.items()}
        padded["index"] = padded["index"].clone()
        padded["index"][-1] = PAD_INDEX
        for stage in STAGES:
            _check_padding_row(name, task, stage, *(_output(task, rows, stage) for rows in (batch, padded)))
    task.total_steps = 100
    configured = task.configure_optimizers()
    optimizer = configured["optimizer"] if isinstance(configured, Mapping) else configured
    optimised = {id(p) for group in optimizer.param_groups for p in group["params"]}
    unoptimised = [n for n, p in task.named_parameters() if p.requires_grad and id(p) not in optimised]
    assert not unoptimised, f"{name} does not optimise {', '.join(unoptimised)}"
    if learn:
        _check_learning(name, task, batch, steps)


def _output(task: Task, batch: Batch, stage: str) -> Output:
    """Return the output of a step with the values that the scores of the stage read."""
    output = task.step(batch, stage)
    decoded = {} if stage == "train" else task.decode(batch, stage)
    return replace(output, values={**output.values, **decoded})


def _check_padding_row(name: str, task: Task, stage: str, plain: Output, padded: Output) -> None:
    assert int(plain.count) == int(padded.count), f"{name} counts a padding row in {stage}"
    torch.testing.assert_close(plain.loss_sum, padded.loss_sum, msg=lambda m: f"{name}: a padding row adds loss: {m}")
    scores = []
    for output in (plain, padded):
        metrics = task.scoreboard.metrics(stage)
        metrics.reset()
        task.scoreboard.update(stage, output)
        scores.append({key: value.clone() for key, value in metrics.compute().items()})
        metrics.reset()
    torch.testing.assert_close(
        scores[0], scores[1], msg=lambda m: f"{name}: a padding row changes the metrics of {stage}: {m}"
    )


def _check_learning(name: str, task: Task, batch: Batch, steps: int) -> None:
    task.train()
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3, weight_decay=0)
    losses: list[float] = []
    for _ in range(steps):
        output = task.step(batch, "train")
        loss = output.loss_sum / output.count
        losses.append(loss.item())
        if losses[-1] < losses[0] / 2:
            return
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    raise AssertionError(f"{name} cannot overfit a batch: its loss goes from {losses[0]} to {losses[-1]}")


def check_datamodule(make: Callable[..., DataModule]) -> None:
    """Check a data module, on synthetic or real files, depending on `make`.

    Preparing the data twice gives equal specs; the splits are disjoint; the spec survives conversion to JSON; each
    sample is read exactly once per epoch, with one process and with two; batches have `input`, `target` and `index`.

    Args:
        make: returns a new data module built with the given keyword arguments.

    Raises:
        AssertionError: a check failed.
    """
    data, again = (make(batch_size=7, eval_batch_size=7) for _ in range(2))
    name = type(data).__name__
    data.prepare_data()
    again.prepare_data()
    assert data.spec == again.spec, f"{name}: preparing it twice gives two different specs"
    assert Spec.from_dict(json.loads(json.dumps(data.spec.to_dict()))) == data.spec, (
        f"{name}: its spec has values that are not plain"
    )
    assert type(data.spec) is type(data.example_spec), f"{name}: example_spec has another class than its spec"
    splits = {split: data.dataset(split) for split in STAGES}
    for split, dataset in splits.items():
        for other, another in splits.items():
            shared = set(dataset.rows) & set(another.rows) if dataset.source == another.source else set()
            assert split == other or not shared, f"{name}: {len(shared)} samples are in {split} and in {other}"
        for world in (1, 2):
            samplers = [data.batch_sampler(split, rank, world) for rank in range(world)]
            indices_read = np.concatenate([_read(dataset, sampler) for sampler in samplers])
            assert sorted(indices_read) == sorted(dataset.rows), f"{name}: {split} is not read exactly once"
            batches = {(len(sampler), sum(1 for _ in sampler)) for sampler in samplers}
            assert len(batches) == 1, f"{name}: two processes get unequal numbers of batches of {split}"
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        batch = next(iter(loader))
        assert {"input", "target", "index"} <= set(batch), f"{name}: a batch has only {sorted(batch)}"
        assert len({len(tensor) for tensor in batch.values()}) == 1, f"{name}: the tensors of a batch differ in length"
        assert batch["index"].dtype == torch.int64, f"{name}: index is not int64"


def _read(dataset: Any, sampler: BatchSampler) -> NDArray[np.int64]:
    """Return the indices of all samples that were read; for streams, of all tokens."""
    indices_read = []
    for indices in sampler:
        batch = dataset[indices]
        index = batch["index"]
        if "fresh" in batch:
            index = torch.where(
                batch["target"] == PAD_INDEX, PAD_INDEX, index[:, None] + torch.arange(batch["target"].shape[1])
            )
        indices_read.append(index[index != PAD_INDEX])
    return torch.cat(indices_read).numpy()


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value
