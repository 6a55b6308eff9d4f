"""A few samples of a long stream, kept for the report."""

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
        selected = {name: rows[name].detach()[keep.to(rows[name].device)].cpu() for name in rows}
        # Copies: a view would keep its whole batch in memory.
        copies = [{name: values[row].clone() for name, values in selected.items()} for row in range(len(keep))]
        self._merge(zip(keys[keep].tolist(), copies, strict=True))

    def rows(self) -> Batch:
        """Return the kept rows of all processes, highest key first; an empty dictionary if there are none.

        Rows of different shapes are padded with 0 at the end of each axis.
        """
        merged = self
        if distributed.is_available() and distributed.is_initialized():
            parts: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(parts, self._kept)
            merged = Reservoir(self.size)
            for kept in parts:
                merged._merge(kept)
        names = merged._kept[0][1] if merged._kept else ()
        return {name: stack_padded([row[name] for _, row in merged._kept]) for name in names}

    def _merge(self, kept: Iterable[tuple[float, Batch]]) -> None:
        self._kept = sorted([*self._kept, *kept], key=lambda pair: -pair[0])[: self.size]


def stack_padded(tensors: Sequence[Tensor]) -> Tensor:
    """Stack N tensors with the same number of axes as [N, ...], padded with 0 at the end of each axis."""
    if len({tensor.shape for tensor in tensors}) == 1:
        return torch.stack(list(tensors))
    shape = [max(sides) for sides in zip(*(tensor.shape for tensor in tensors), strict=True)]
    stacked = tensors[0].new_zeros(len(tensors), *shape)
    for row, tensor in enumerate(tensors):
        stacked[row][tuple(slice(side) for side in tensor.shape)] = tensor
    return stacked
