"""In which order samples are read: a function of (seed, epoch, rank) and of nothing else."""

import os
import signal
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

Batch = dict[str, Tensor]
PAD_INDEX = -1
POOL = 50  # batches among which samples of equal length are sought


class BatchSampler(DistributedSampler[Tensor]):
    """Yields the indices of one batch after another, each as one tensor [batch_size].

    Every process takes every `world`-th index of a global batch of `batch_size * world`. The last global
    batch is filled up with -1 so that all processes get equally many; one process alone needs no filler.

    A `DistributedSampler` by name only: Lightning leaves those as they are.

    Args:
        count: number of samples.
        batch_size: samples of a batch, for each process.
        shuffle: permute the samples anew in each epoch.
        seed: of the permutation.
        rank: number of this process.
        world: number of processes.
        lengths: of the samples [count]; then those of a batch are about equally long, so that little is filled up.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        lengths: Tensor | None = None,
    ) -> None:
        self.count, self.batch_size, self.shuffle, self.seed = count, batch_size, shuffle, seed
        self.rank, self.world, self.lengths = rank, world, lengths
        self.epoch = 0
        self.start = 0  # the batch an interrupted epoch goes on with

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // (self.batch_size * self.world))

    def __iter__(self) -> Iterator[Tensor]:
        order, size = torch.arange(self.count), self.batch_size * self.world
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.shuffle:
            order = torch.randperm(self.count, generator=generator)
        batches = torch.split(order, size)
        if self.lengths is not None:
            # Sorted within pools of batches, so that batches still differ from epoch to epoch; and then, even where
            # nothing is shuffled, long and short ones take turns, so that the first few are a sample of all.
            pools = torch.split(order, POOL * size) if self.shuffle else (order,)
            sorted_pools = [pool[self.lengths[pool].argsort(stable=True)] for pool in pools]
            batches = tuple(batch for pool in sorted_pools for batch in torch.split(pool, size))
            turns = torch.randperm(
                len(batches), generator=generator if self.shuffle else torch.Generator().manual_seed(0)
            )
            batches = tuple(batches[place] for place in turns.tolist())
        for batch in batches[self.start :]:
            short = -len(batch) % self.world
            yield torch.cat([batch, batch.new_full((short,), PAD_INDEX)])[self.rank :: self.world]


class StreamSampler(BatchSampler):
    """Reads one long row of tokens as streams side by side, each from its beginning to its end.

    The row is cut into streams of one length, which the processes share out among them: every process reads every
    `world`-th one. Yields windows [B, 3]: the first token of each, the one after its last, and whether it begins a
    stream. The last streams may be shorter, and processes may have one stream less than others; windows of nothing
    stand for what is not there.

    Args:
        count: number of tokens.
        streams: into how many the row is cut, for all processes together.
        window: tokens of a window.
        rank: number of this process.
        world: number of processes.
    """

    def __init__(self, count: int, streams: int, window: int, rank: int = 0, world: int = 1) -> None:
        super().__init__(count, -(-streams // world), rank=rank, world=world)
        self.window = window
        self.length = -(-count // streams)

    def __len__(self) -> int:
        return -(-self.length // self.window)

    def __iter__(self) -> Iterator[Tensor]:
        begins = (torch.arange(self.rank, self.batch_size * self.world, self.world) * self.length).clamp(max=self.count)
        ends = (begins + self.length).clamp(max=self.count)
        for number in range(self.start, len(self)):
            first = torch.minimum(begins + number * self.window, ends)
            last = torch.minimum(first + self.window, ends)
            yield torch.stack([first, last, torch.full_like(first, number == 0)], dim=1)


def _init_worker(worker: int) -> None:
    """Has a process that reads data leave when the training does, and not before.

    Ctrl-C reaches it too, and so does what a cluster tells all processes of a job; and PyTorch notices that a training
    was killed only where it forks such processes itself, which Python 3.14 no longer does.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_exit_with, args=(parent_process(),), daemon=True).start()


def _exit_with(training: BaseProcess) -> None:
    training.join()
    os._exit(1)


class Loader(DataLoader[Batch]):
    """A DataLoader of whole batches that knows how far it has read, and goes on from there.

    Lightning stores `state_dict` in checkpoints made within an epoch and gives it back on resume. To predict, it makes
    the loader anew, with arguments of a DataLoader besides.
    """

    sampler: BatchSampler

    def __init__(
        self, dataset: Dataset[Batch], batches: BatchSampler, workers: int = 0, pin_memory: bool = False, **_: Any
    ) -> None:
        super().__init__(
            dataset,
            batch_size=None,
            sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_init_worker,
            pin_memory=pin_memory,
        )
        self._read = 0
        self._resume = {"epoch": -1, "read": 0}

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # not the class that torch returns
        # A generator, so that the workers start with the first batch: only then is the epoch known.
        self._read = self._resume["read"] if self._resume["epoch"] == self.sampler.epoch else 0
        self._resume = {"epoch": -1, "read": 0}
        self.sampler.start = self._read
        for batch in super().__iter__():
            self._read += 1
            yield cast(Batch, batch)

    def __len__(self) -> int:
        return len(self.sampler)

    def state_dict(self) -> dict[str, Any]:
        """The epoch and how many of its batches were read."""
        return {"epoch": self.sampler.epoch, "read": self._read}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next iteration goes on there, if it is of the same epoch."""
        self._resume = dict(state)
