"""Order of samples: each sample once, the same order for the same seed and epoch, and exact resume within an epoch."""

import gc
import multiprocessing
import os
import time
from itertools import zip_longest
from multiprocessing.queues import SimpleQueue
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor

from sightseq.core.arrays import ArrayDataset
from sightseq.core.loading import PAD_INDEX, BatchSampler, Loader, _init_worker


def batches(order: BatchSampler) -> list[list[int]]:
    return [batch.tolist() for batch in order]


def ranks(count: int, size: int, world: int, epoch: int = 0, shuffle: bool = True) -> list[list[list[int]]]:
    """The batches of each rank."""
    orders = [BatchSampler(count, size, shuffle, seed=5, rank=rank, world=world) for rank in range(world)]
    for order in orders:
        order.set_epoch(epoch)
    return [batches(order) for order in orders]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize(("count", "size"), [(1, 4), (2, 1), (12, 4), (13, 4), (17, 3), (100, 7), (24, 4), (3, 100)])
def test_every_sample_once_and_the_same_number_of_batches(count: int, size: int, world: int, shuffle: bool) -> None:
    found = ranks(count, size, world, shuffle=shuffle)
    read = [index for rank in found for batch in rank for index in batch]
    assert sorted(index for index in read if index != PAD_INDEX) == list(range(count))
    assert read.count(PAD_INDEX) < world
    expected = -(-count // (size * world))
    assert [len(rank) for rank in found] == [expected] * world
    assert [len(BatchSampler(count, size, rank=r, world=world)) for r in range(world)] == [expected] * world
    for together in zip(*found, strict=True):
        assert len({len(batch) for batch in together}) == 1  # equal sizes, so no rank waits for another
        assert max(len(batch) for batch in together) <= size
    if world == 1:
        assert PAD_INDEX not in read


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("count", [24, 25, 41])
def test_ranks_together_read_the_batches_of_one_process(count: int, world: int) -> None:
    alone = ranks(count, 4 * world, 1)[0]
    for k, whole in enumerate(alone):
        together = [index for rank in ranks(count, 4, world) for index in rank[k] if index != PAD_INDEX]
        assert sorted(together) == sorted(whole)


@pytest.mark.parametrize("world", [1, 2])
def test_samples_of_a_batch_have_similar_lengths(world: int) -> None:
    lengths = torch.arange(1000) * 7919 % 100
    orders = [BatchSampler(1000, 8, True, seed=5, rank=rank, world=world, lengths=lengths) for rank in range(world)]
    found = [batches(order) for order in orders]
    read = [index for rank in found for batch in rank for index in batch]
    assert sorted(index for index in read if index != PAD_INDEX) == list(range(1000))
    spread = [
        int(lengths[batch].max() - lengths[batch].min()) for rank in found for batch in rank if PAD_INDEX not in batch
    ]
    assert sum(spread) / len(spread) < 5  # of 100
    first = [int(lengths[batch[0]]) for batch in found[0]]
    assert first != sorted(first)  # batches are not sorted by length
    assert batches(orders[0]) == found[0]
    orders[0].set_epoch(1)
    assert batches(orders[0]) != found[0]


def test_lengths_without_shuffling_by_hand() -> None:
    order = BatchSampler(5, 2, lengths=torch.tensor([3, 1, 2, 1, 9]))
    assert sorted(batches(order)) == [[1, 3], [2, 0], [4]]
    assert batches(order) == batches(order)


def test_by_hand() -> None:
    assert ranks(7, 2, 1, shuffle=False) == [[[0, 1], [2, 3], [4, 5], [6]]]
    assert ranks(7, 2, 2, shuffle=False) == [[[0, 2], [4, 6]], [[1, 3], [5, -1]]]
    assert ranks(7, 1, 3, shuffle=False) == [[[0], [3], [6]], [[1], [4], [-1]], [[2], [5], [-1]]]


def test_order_depends_only_on_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        created = BatchSampler(50, 8, shuffle=True, seed=seed)
        created.set_epoch(epoch)
        torch.rand(1)  # the default generator must not matter
        return batches(created)

    assert order(1, 3) == order(1, 3)
    different = [order(seed, epoch) for seed in (1, 2) for epoch in (0, 1, 2)]
    assert all(one != other for n, one in enumerate(different) for other in different[:n])


def test_reading_leaves_the_default_generator_alone() -> None:
    before = torch.get_rng_state()
    batches(BatchSampler(50, 8, shuffle=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_unshuffled_is_the_same_in_every_epoch() -> None:
    assert ranks(10, 3, 1, epoch=0, shuffle=False) == ranks(10, 3, 1, epoch=9, shuffle=False)


# The loader, over the samples 0..22


def loader(epoch: int = 0, workers: int = 0) -> Loader:
    data = ArrayDataset({"input": np.arange(23)}, np.arange(23))
    created = Loader(data, BatchSampler(23, 4, shuffle=True, seed=1), workers)
    created.sampler.set_epoch(epoch)
    return created


def read(loader: Loader) -> list[list[int]]:
    return [batch["input"].tolist() for batch in loader]


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_reads_exactly_the_remaining_batches(workers: int) -> None:
    whole = read(loader(epoch=3))
    interrupted = loader(epoch=3, workers=workers)
    iterator = iter(interrupted)
    assert [next(iterator)["input"].tolist() for _ in range(2)] == whole[:2]
    state = interrupted.state_dict()
    del iterator
    resumed = loader(epoch=3, workers=workers)
    resumed.load_state_dict(state)
    assert len(resumed) == 6
    remaining = iter(resumed)
    assert next(remaining)["input"].tolist() == whole[2]
    assert resumed.state_dict() == {"epoch": 3, "read": 3}  # interrupted again
    assert [batch["input"].tolist() for batch in remaining] == whole[3:]
    resumed.sampler.set_epoch(4)
    assert read(resumed) == read(loader(epoch=4))  # the next epoch is complete
    assert len(resumed) == 6


@pytest.mark.parametrize("count", range(7))
def test_resume_after_each_number_of_batches(count: int) -> None:
    interrupted, resumed = loader(), loader()
    iterator = iter(interrupted)
    seen = [next(iterator)["input"].tolist() for _ in range(count)]
    resumed.load_state_dict(interrupted.state_dict())
    assert seen + read(resumed) == read(loader())


def test_the_workers_of_a_collected_loader_end_at_once() -> None:
    collected: Any = loader(workers=1)
    collected.cycle = collected
    next(iter(collected))
    del collected
    began = time.monotonic()
    gc.collect()
    assert time.monotonic() - began < 4  # PyTorch's timeout is 5 seconds


KEPT: list[Loader] = []  # loaders that still exist when the process exits


def fail_within_an_epoch() -> None:
    KEPT.append(loader(workers=2))
    next(iter(KEPT[0]))
    raise ValueError


def test_a_process_that_fails_within_an_epoch_ends() -> None:
    process = multiprocessing.get_context("fork").Process(target=fail_within_an_epoch)
    process.start()
    process.join(30)
    assert process.exitcode == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_state_of_a_finished_epoch_starts_a_complete_epoch(workers: int) -> None:
    finished = loader(epoch=2, workers=workers)
    for _ in finished:
        pass
    assert finished.state_dict() == {"epoch": 2, "read": 6}
    resumed = loader(epoch=3, workers=workers)
    resumed.load_state_dict(finished.state_dict())
    assert read(resumed) == read(loader(epoch=3))


def test_an_abandoned_epoch_starts_again() -> None:
    abandoned = loader()
    next(iter(abandoned))
    assert read(abandoned) == read(loader())


def test_state_is_used_once() -> None:
    resumed = loader()
    resumed.load_state_dict({"epoch": 0, "read": 4})
    assert len(read(resumed)) == 2
    assert read(resumed) == read(loader())


def test_state_is_a_copy() -> None:
    created = loader()
    state = created.state_dict()
    for _, _unused in zip_longest(created, [None]):
        pass
    assert state == {"epoch": 0, "read": 0}


def test_batches_are_tensors_with_their_index() -> None:
    batch = next(iter(loader()))
    assert isinstance(batch["index"], Tensor)
    assert torch.equal(batch["index"], batch["input"])


FORK = multiprocessing.get_context("fork")


def read_for_long(pids: "SimpleQueue[int]") -> None:
    _init_worker(0)
    pids.put(os.getpid())
    time.sleep(60)


def train_for_long(pids: "SimpleQueue[int]") -> None:
    reader = FORK.Process(target=read_for_long, args=(pids,))
    reader.start()
    reader.join()


def test_workers_exit_when_the_training_is_killed() -> None:
    pids = FORK.SimpleQueue()
    training = FORK.Process(target=train_for_long, args=(pids,))
    training.start()
    reader = psutil.Process(pids.get())
    training.kill()
    training.join()
    until = time.monotonic() + 10
    while reader.is_running() and reader.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.01)
