"""Columns that are computed once from stored samples and kept on disk."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from sightseq.core.arrays import ArrayDataset, ComputedDataset, map_arrays, new_array
from sightseq.core.errors import ConfigError
from sightseq.core.files import atomic_folder
from sightseq.core.loading import Batch

SAMPLES = 32  # computed at a time: larger batches need more memory and are not faster on a CPU

Compute = Callable[[Batch], Mapping[str, Any]]
"""Maps a batch of stored columns [B, ...] to new columns, tensors [B, ...] on the CPU."""


def add_columns(datasets: Mapping[str, ArrayDataset], compute: Compute, folder: Path) -> None:
    """Add columns that are computed for all stored samples, unless `folder` contains them; they are memory-mapped.

    Several processes may call this at once: one computes, the others wait for it.

    Args:
        datasets: the splits by name. Batches of "train" then no longer contain `input`.
        compute: see `Compute`.
        folder: where the columns are stored; a different one for another `compute` or other samples.

    Raises:
        ConfigError: the samples of a split are not stored.
    """
    if any(isinstance(dataset, ComputedDataset) for dataset in datasets.values()):
        raise ConfigError("model: these samples are computed for each batch, so nothing can be computed from them once")
    arrays = {dataset.source: dataset.arrays for dataset in datasets.values()}
    with atomic_folder(folder) as building:
        if building is not None:
            whole = [ArrayDataset(one, np.arange(len(next(iter(one.values())))), name) for name, one in arrays.items()]
            bar = Progress(
                *(*Progress.get_default_columns(), MofNCompleteColumn()),
                console=Console(stderr=True),
                transient=True,
                disable=not sys.stderr.isatty(),
            )
            with bar:
                job = bar.add_task("features", total=sum(map(len, whole)))
                for dataset in whole:
                    _write(dataset, compute, building, lambda: bar.advance(job, SAMPLES))
    for split, dataset in datasets.items():
        dataset.arrays = {**dataset.arrays, **map_arrays(folder / dataset.source)}
        dataset.unread = type(dataset).unread | ({"input"} if split == "train" else set())


def _write(dataset: ArrayDataset, compute: Compute, folder: Path, done: Callable[[], None]) -> None:
    """Write the new columns of one split; `done` is called after every `SAMPLES` samples."""
    arrays: dict[str, Any] = {}
    for start in range(0, len(dataset), SAMPLES):
        computed = {name: tensor.numpy() for name, tensor in compute(dataset[start : start + SAMPLES]).items()}
        for name, values in computed.items():
            if name not in arrays:
                shape = (len(dataset), *values.shape[1:])
                arrays[name] = new_array(folder, dataset.source, name, shape, values.dtype)
            arrays[name][start : start + SAMPLES] = values
        done()
    for array in arrays.values():
        array.flush()
