"""Overlapping windows of a long input."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray

from sightseq.core.loading import Batch


class Window(NamedTuple):
    """A part of an input: the number of the input, start and end in its time, and the values [T, ...]."""

    item: int
    start: float
    end: float
    values: NDArray[Any]


def windows(length: int, steps: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each window of a recording of `length` steps.

    A recording of at most `steps` steps is one window. The last window of a longer one ends with it.
    """
    if length <= steps:
        yield 0, length
        return
    yield from ((start, start + steps) for start in range(0, length - steps, stride))
    yield length - steps, length


def padded(values: Sequence[NDArray[Any]]) -> Batch:
    """Return a batch of windows [T, ...] of any lengths, padded with 0."""
    rows = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in values], batch_first=True)
    return {"input": rows, "length": torch.tensor([len(one) for one in values])}
