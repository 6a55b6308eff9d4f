"""In which order samples are read: a function of (seed, epoch, rank) and of nothing else."""

from collections.abc import Iterator, Sized
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

Batch = dict[str, Tensor]
FILLER = -1


class Order(Sampler[Tensor]):
    """Yields the indices of one batch after another, each as one tensor [batch_size].

    Every process takes every `world`-th index of a global batch of `batch_size * world`. The last global
    batch is filled up with -1 so that all processes get equally many; one process alone needs no filler.

    Args:
        count: number of samples.
        batch_size: samples of a batch, for each process.
        shuffle: permute the samples anew in each epoch.
        seed: of the permutation.
        rank: number of this process.
        world: number of processes.
    """

    def __init__(
        self, count: int, batch_size: int, shuffle: bool = False, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.count, self.batch_size, self.shuffle, self.seed = count, batch_size, shuffle, seed
        self.rank, self.world = rank, world
        self.epoch = 0
        self.start = 0  # the batch an interrupted epoch goes on with

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // (self.batch_size * self.world))

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.arange(self.count)
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.count, generator=generator)
        for batch in torch.split(order, self.batch_size * self.world)[self.start :]:
            short = -len(batch) % self.world
            yield torch.cat([batch, batch.new_full((short,), FILLER)])[self.rank :: self.world]


class Loader(DataLoader[Batch]):
    """A DataLoader of whole batches that knows how far it has read, and goes on from there.

    Lightning stores `state_dict` in checkpoints made within an epoch and gives it back on resume.
    """

    def __init__(self, dataset: Dataset[Batch], order: Order, workers: int = 0, pin_memory: bool = False) -> None:
        super().__init__(
            dataset,
            batch_size=None,
            sampler=order,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
        )
        self.order = order
        self._read = 0
        self._resume = {"epoch": -1, "read": 0}

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # not the class that torch returns
        # A generator, so that the workers start with the first batch: only then is the epoch known.
        self._read = self._resume["read"] if self._resume["epoch"] == self.order.epoch else 0
        self._resume = {"epoch": -1, "read": 0}
        self.order.start = self._read
        for batch in super().__iter__():
            self._read += 1
            yield cast(Batch, batch)

    def __len__(self) -> int:
        return len(cast(Sized, self.order))

    def state_dict(self) -> dict[str, Any]:
        """The epoch and how many of its batches were read."""
        return {"epoch": self.order.epoch, "read": self._read}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next iteration goes on there, if it is of the same epoch."""
        self._resume = dict(state)
