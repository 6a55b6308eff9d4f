"""The order of the samples of one process as plain functions, and the samples: see `core.loading`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset
from sightseq.core.errors import ConfigError
from sightseq.core.loading import POOL, BatchSampler, StreamSampler


def permuted(count: int, size: int, seed: int, epoch: int) -> Any:
    """Return the sample numbers of each batch of an epoch: a new permutation in each epoch."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.split(torch.randperm(count, generator=generator), size)


def similar(lengths: Tensor, size: int, seed: int, epoch: int) -> Sequence[Tensor]:
    """Return the sample numbers of each batch of an epoch; those of a batch have similar lengths."""
    generator, batches = torch.Generator().manual_seed(seed * 1_000_003 + epoch), list[Tensor]()
    for pool in torch.split(torch.randperm(len(lengths), generator=generator), POOL * size):
        batches += torch.split(pool[lengths[pool].argsort(stable=True)], size)
    return [batches[number] for number in torch.randperm(len(batches), generator=generator)]


def streamed(count: int, streams: int, window: int) -> Iterator[Tensor]:
    """Yield the windows of parallel streams: first and last position of each, and 1 if it begins the stream."""
    length = -(-count // streams)
    starts = (torch.arange(streams) * length).clamp(max=count)
    ends = (starts + length).clamp(max=count)
    for number in range(-(-length // window)):
        first = torch.minimum(starts + number * window, ends)
        last = torch.minimum(first + window, ends)
        yield torch.stack([first, last, torch.full_like(first, number == 0)], dim=1)


class Rows:
    """The samples of a split: rows of some columns."""

    def __init__(self, columns: Mapping[str, NDArray[Any]], rows: NDArray[Any]) -> None:
        self.columns, self.rows = columns, rows

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return some samples as a batch."""
        rows = self.rows[indices.numpy()]
        return {name: torch.from_numpy(column[rows]) for name, column in self.columns.items()}


def plain_order(sampler: BatchSampler) -> partial[Any]:
    """Return the function that a sampler of one process corresponds to, with all arguments but `epoch`.

    Raises:
        ConfigError: the sampler is another one, such as that of shards.
    """
    if type(sampler) is StreamSampler:
        return partial(streamed, count=sampler.count, streams=sampler.batch_size, window=sampler.window)
    if type(sampler) is not BatchSampler or not sampler.shuffle:
        raise ConfigError("eject: it reads shuffled samples or streams, and no shards: leave out data.shards")
    if sampler.lengths is not None:
        return partial(similar, lengths=sampler.lengths, size=sampler.batch_size, seed=sampler.seed)
    return partial(permuted, count=sampler.count, size=sampler.batch_size, seed=sampler.seed)


def plain_data(dataset: ArrayDataset) -> Any:
    """Return the samples of a dataset in plain code.

    Raises:
        ConfigError: the dataset has no such form.
    """
    if type(dataset) is not ArrayDataset:
        return dataset.plain()
    columns = {name: one for name, one in dataset.arrays.items() if name not in dataset.unread}
    if any(hasattr(column, "ends") for column in columns.values()):
        raise ConfigError("eject: columns of unequal lengths need a `plain` of their dataset")
    return Rows(columns, dataset.rows)
