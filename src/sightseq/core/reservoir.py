"""Keeps a few samples of a long stream for the report."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed

from sightseq.core.loading import Batch


class Reservoir:
    """Keeps the `size` rows with the highest keys of all added rows; rows with negative keys are ignored.

    Rows of different batches may differ in shape, for example images of several sizes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.clear()

    def clear(self) -> None:
        """Remove all rows."""
        self._kept: list[tuple[float, Batch]] = []  # highest key first

    def add(self, keys: Tensor, rows: Batch) -> None:
        """Consider the rows of a batch: `keys` [B], and tensors [B, ...] by name."""
        floor = self._kept[-1][0] if len(self._kept) == self.size else 0.0
        keys = keys.detach().cpu()
        keep = (keys >= floor).nonzero().flatten()
        keep = keep[keys[keep].argsort(descending=True, stable=True)[: self.size]]
        if not len(keep):
            return
        fresh = {name: rows[name].detach()[keep.to(rows[name].device)].cpu() for name in rows}
        # Copies: a view would keep its whole batch in memory.
        found = [{name: values[row].clone() for name, values in fresh.items()} for row in range(len(keep))]
        self._merge(zip(keys[keep].tolist(), found, strict=True))

    def rows(self) -> Batch:
        """The rows that were kept, in all processes together, highest key first; empty if there are none.

        Rows of unequal shapes are padded with 0 at their ends to the largest.
        """
        whole = self
        if distributed.is_available() and distributed.is_initialized():
            parts: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(parts, self._kept)
            whole = Reservoir(self.size)
            for kept in parts:
                whole._merge(kept)
        names = whole._kept[0][1] if whole._kept else ()
        return {name: stack([row[name] for _, row in whole._kept]) for name in names}

    def _merge(self, kept: Iterable[tuple[float, Batch]]) -> None:
        self._kept = sorted([*self._kept, *kept], key=lambda pair: -pair[0])[: self.size]


def stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of the same number of dimensions as one, padded with 0 at their ends to the largest: [N, ...]."""
    if len({tensor.shape for tensor in tensors}) == 1:
        return torch.stack(list(tensors))
    shape = [max(sides) for sides in zip(*(tensor.shape for tensor in tensors), strict=True)]
    found = tensors[0].new_zeros(len(tensors), *shape)
    for place, tensor in enumerate(tensors):
        found[place][tuple(slice(side) for side in tensor.shape)] = tensor
    return found
