"""Keeps the few samples of a long stream that a report shows."""

from typing import Any

import torch
from torch import Tensor, distributed

from sightseq.core.loading import Batch


class Reservoir:
    """The `size` rows with the highest keys of all that were added; rows with negative keys are not kept."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.clear()

    def clear(self) -> None:
        """Forgets all rows."""
        self._keys = torch.empty(0)
        self._rows: Batch = {}

    def add(self, keys: Tensor, rows: Batch) -> None:
        """Considers the rows of a batch: `keys` [B], and tensors [B, ...] by name."""
        floor = self._keys.min() if len(self._keys) == self.size else torch.tensor(0.0)
        keep = (keys.detach().cpu() >= floor).nonzero().flatten()
        if not len(keep):
            return
        keys = torch.cat([self._keys, keys.detach().cpu()[keep]])
        fresh = {name: rows[name].detach()[keep.to(rows[name].device)].cpu() for name in rows}
        best = keys.argsort(descending=True, stable=True)[: self.size]
        self._rows = {n: (torch.cat([self._rows[n], v]) if self._rows else v)[best] for n, v in fresh.items()}
        self._keys = keys[best]

    def rows(self) -> Batch:
        """The rows that were kept, in all processes together, highest key first; empty if there are none."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return self._rows
        parts: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(parts, (self._keys, self._rows))
        whole = Reservoir(self.size)
        for keys, rows in parts:
            if rows:
                whole.add(keys, rows)
        return whole._rows
