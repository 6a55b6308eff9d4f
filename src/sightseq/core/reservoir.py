"""Keeps a few samples of a long stream for the report."""

from typing import Any

import torch
from torch import Tensor, distributed

from sightseq.core.loading import Batch


class Reservoir:
    """Keeps the `size` rows with the highest keys of all added rows; rows with negative keys are ignored."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.clear()

    def clear(self) -> None:
        """Remove all rows."""
        self._keys = torch.empty(0)
        self._rows: Batch = {}

    def add(self, keys: Tensor, rows: Batch) -> None:
        """Add those rows of a batch whose keys are high enough: `keys` [B], and tensors [B, ...] by name."""
        floor = self._keys.min() if len(self._keys) == self.size else torch.tensor(0.0)
        keep = (keys.detach().cpu() >= floor).nonzero().flatten()
        if not len(keep):
            return
        keys = torch.cat([self._keys, keys.detach().cpu()[keep]])
        added = {name: rows[name].detach()[keep.to(rows[name].device)].cpu() for name in rows}
        best = keys.argsort(descending=True, stable=True)[: self.size]
        self._rows = {n: (torch.cat([self._rows[n], v]) if self._rows else v)[best] for n, v in added.items()}
        self._keys = keys[best]

    def rows(self) -> Batch:
        """Return the kept rows, of all processes together, highest key first; empty if there are none."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return self._rows
        parts: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(parts, (self._keys, self._rows))
        merged = Reservoir(self.size)
        for keys, rows in parts:
            if rows:
                merged.add(keys, rows)
        return merged._rows
