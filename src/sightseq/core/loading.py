"""Batches and their order, which is a function of (seed, epoch, rank) and of nothing else."""

import os
import signal
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from threading import Thread
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from sightseq.core.cluster import REQUEUE_SIGNAL
from sightseq.core.errors import DataError

Batch = dict[str, Tensor]
PAD_INDEX = -1
POOL = 50  # batches whose samples are sorted by length together


class BatchSampler(DistributedSampler[Tensor]):
    """Yields the sample indices of each batch as one tensor [batch_size].

    A global batch has `batch_size * world` samples; each process takes every `world`-th index. The last global
    batch is padded with -1 so that all processes get equally many; a single process needs no padding.

    It is a subclass of `DistributedSampler` only because Lightning does not replace those.

    Args:
        count: number of samples.
        batch_size: samples per batch and process.
        shuffle: draw a new permutation of the samples in each epoch.
        seed: seed of the permutations.
        rank: index of this process.
        world: number of processes.
        lengths: lengths of the samples [count]; if given, the samples of a batch have similar lengths, so that little
            padding is needed.
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
        self.start = 0  # the first batch, above 0 when an epoch is resumed
        self.announce: Callable[[Tensor], object] | None = None  # called with each batch, `ahead` batches early
        self.ahead = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // (self.batch_size * self.world))

    def __iter__(self) -> Iterator[Tensor]:
        waiting: deque[Tensor] = deque()
        for batch in self.batches():
            if self.announce is not None:
                self.announce(batch)
            waiting.append(batch)
            if len(waiting) > self.ahead:
                yield waiting.popleft()
        yield from waiting

    def batches(self) -> Iterator[Tensor]:
        """Yield the batches from `start` to the end of the epoch."""
        order, size = torch.arange(self.count), self.batch_size * self.world
        generator = self.generator()
        if self.shuffle:
            order = torch.randperm(self.count, generator=generator)
        batches = torch.split(order, size)
        if self.lengths is not None:
            # Samples are sorted within pools of batches, so that batches still differ between epochs. Then the batches
            # are permuted, even without shuffling: the first few represent all lengths.
            pools = torch.split(order, POOL * size) if self.shuffle else (order,)
            batches = self.similar(pools, self.lengths, generator if self.shuffle else torch.Generator().manual_seed(0))
        for batch in batches[self.start :]:
            missing = -len(batch) % self.world
            yield torch.cat([batch, batch.new_full((missing,), PAD_INDEX)])[self.rank :: self.world]

    def generator(self) -> torch.Generator:
        """Return the random generator of the epoch."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)

    def similar(self, pools: Iterable[Tensor], lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Sort the samples of each pool by length, cut all pools into global batches, and permute these."""
        sorted_pools = [pool[lengths[pool].argsort(stable=True)] for pool in pools]
        batches = [batch for pool in sorted_pools for batch in torch.split(pool, self.batch_size * self.world)]
        return tuple(batches[index] for index in torch.randperm(len(batches), generator=generator).tolist())


class ShardSampler(BatchSampler):
    """The order of samples that are stored in shards: at any time, only a few shards are read.

    The shards are permuted. Each one is read for as long as `opened` shards take to be read, its samples at random
    times, so about `opened` shards are mixed. Without shuffling, the samples are read in the order of the shards.

    A global batch is divided among the processes such that each reads few of these shards. It has the same samples for
    any number of processes.

    Args:
        positions: position of each sample in the shards [count].
        rows: positions per shard.
        opened: number of shards that are mixed.
        others: see `BatchSampler`.
    """

    def __init__(self, positions: Tensor, rows: int, opened: int, **others: Any) -> None:
        super().__init__(len(positions), **others)
        self.positions, self.opened = positions, opened
        numbers, self.shards = torch.unique(positions // rows, return_inverse=True)
        self.shard_count = len(numbers)

    def batches(self) -> Iterator[Tensor]:
        """Yield the batches from `start` to the end of the epoch."""
        generator, size = self.generator(), self.batch_size * self.world
        if not self.shuffle:
            generator.manual_seed(0)
        turn = torch.arange(self.shard_count)  # of each shard
        order = self.positions.argsort(stable=True)
        if self.shuffle:
            turn = torch.randperm(self.shard_count, generator=generator)
            delay = torch.rand(self.count, generator=generator, dtype=torch.float64)
            order = (turn[self.shards] + self.opened * delay).argsort(stable=True)
        batches = torch.split(order, size)
        if self.lengths is not None:
            pools = torch.split(order, POOL * size)
            batches = tuple(batch for pool in pools for batch in self.similar((pool,), self.lengths, generator))
        for batch in batches[self.start :]:
            # A shard keeps its slot while it is read, so the same process reads most of it.
            slots = turn[self.shards[batch]] % self.opened
            own = torch.tensor_split(batch[slots.argsort(stable=True)], self.world)[self.rank]
            missing = -(-len(batch) // self.world) - len(own)
            yield torch.cat([own, own.new_full((missing,), PAD_INDEX)])


class StreamSampler(BatchSampler):
    """Reads one long sequence of tokens as parallel streams, each from its beginning to its end.

    The sequence is cut into streams of equal length; each process reads every `world`-th stream. Yields windows
    [B, 3]: the index of the window's first token, the index after its last token, and 1 if it begins a stream, else 0.
    The last streams may be shorter, and a process may have one stream fewer than others; the missing windows are
    empty.

    Args:
        count: number of tokens.
        streams: number of streams, of all processes together.
        window: tokens per window.
        rank: index of this process.
        world: number of processes.
    """

    def __init__(self, count: int, streams: int, window: int, rank: int = 0, world: int = 1) -> None:
        super().__init__(count, -(-streams // world), rank=rank, world=world)
        self.window = window
        self.length = -(-count // streams)

    def __len__(self) -> int:
        return -(-self.length // self.window)

    def batches(self) -> Iterator[Tensor]:
        """Yield the windows from `start` to the end of the streams."""
        starts = (torch.arange(self.rank, self.batch_size * self.world, self.world) * self.length).clamp(max=self.count)
        ends = (starts + self.length).clamp(max=self.count)
        for index in range(self.start, len(self)):
            first = torch.minimum(starts + index * self.window, ends)
            last = torch.minimum(first + self.window, ends)
            yield torch.stack([first, last, torch.full_like(first, index == 0)], dim=1)


def _init_worker(worker: int) -> None:
    """Worker init: ignore SIGINT, SIGTERM and SIGUSR1; exit when the training process exits.

    Ctrl-C and the signals of a cluster reach all processes of a job. PyTorch's own check whether the training process
    was killed compares parent ids, which fails with a fork server, the default of Python 3.14.
    """
    for signal_number in (signal.SIGINT, signal.SIGTERM, REQUEUE_SIGNAL or signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    Thread(target=_exit_after, args=(parent_process(),), daemon=True).start()


def _exit_after(training: BaseProcess) -> None:
    training.join()
    os._exit(1)


def _shut_down(iterator: Any, process: int) -> None:
    if os.getpid() == process:  # not in a worker of another loader, which has a copy of this one
        iterator._shutdown_workers()


def _kill(workers: Iterable[BaseProcess]) -> None:
    """Kill workers when the process exits: Python sends them SIGTERM, which they ignore, and waits for their end."""
    if sys.platform != "win32":
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler raises an error for a killed worker
    for worker in workers:
        worker.kill()


class Loader(DataLoader[Batch]):
    """A DataLoader of whole batches that saves its position and resumes from it.

    Lightning stores `state_dict` in checkpoints saved within an epoch and restores it on resume. For prediction it
    constructs the loader again and passes further arguments of a DataLoader, which are ignored.
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

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch declares another class
        # This is a generator so that the workers start at the first batch: the epoch is not known before.
        self._read = self._resume["read"] if self._resume["epoch"] == self.sampler.epoch else 0
        self._resume = {"epoch": -1, "read": 0}
        self.sampler.start = self._read
        try:
            created = self._iterator is None
            iterator: Any = super().__iter__()
            if self.num_workers and created:
                # PyTorch's own shutdown takes 10 seconds when the garbage collector has ended the queues before it.
                weakref.finalize(self, _shut_down, iterator, os.getpid())
                Finalize(None, _kill, (iterator._workers,), exitpriority=0)
            for batch in iterator:
                self._read += 1
                yield cast(Batch, batch)
        except DataError as error:  # of a worker: with its traceback
            if self.num_workers:
                iterator._shutdown_workers()
                self._iterator = None
            raise DataError(str(error).strip().rpartition("\n")[2].rpartition("DataError: ")[2]) from error

    def __len__(self) -> int:
        return len(self.sampler)

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch and the number of its batches that were read."""
        return {"epoch": self.sampler.epoch, "read": self._read}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume the next iteration from this position if it is of the same epoch."""
        self._resume = dict(state)
