"""Selection of rows from nested states, and of examples from nested memories: see `sightseq.decoding.step.Step`."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


def select_rows(state: Any, rows: Tensor) -> Any:
    """Return the state of these rows.

    Args:
        state: nested lists, tuples and dicts of tensors [..., N, width]; anything else, such as None or a number, is
            returned as it is.
        rows: row numbers [M]; a row may occur several times.

    Returns:
        The same structure with tensors [..., M, width].
    """
    return _map(state, lambda tensor: tensor.index_select(-2, rows))


def select_examples(memory: Any, examples: Tensor) -> Any:
    """Return the memory of these examples.

    Args:
        memory: nested lists, tuples and dicts of tensors [B, ...]; anything else is returned as it is.
        examples: example numbers [M].

    Returns:
        The same structure with tensors [M, ...].
    """
    return _map(memory, lambda tensor: tensor.index_select(0, examples))


def tensors(structure: Any) -> Iterator[Tensor]:
    """Yield all tensors of a nested structure."""
    if isinstance(structure, Tensor):
        yield structure
    elif isinstance(structure, dict | list | tuple):
        for part in structure.values() if isinstance(structure, dict) else structure:
            yield from tensors(part)


def _map(structure: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(structure, Tensor):
        return function(structure)
    if isinstance(structure, dict):
        return {name: _map(part, function) for name, part in structure.items()}
    if isinstance(structure, list):
        return [_map(part, function) for part in structure]
    if isinstance(structure, tuple):
        parts = [_map(part, function) for part in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else tuple(parts)  # a named tuple
    return structure


def join_rows(first: Any, second: Any) -> Any:
    """Return a state with the rows of both; they have the same structure: see `select_rows`."""
    if isinstance(first, Tensor):
        return torch.cat([first, second], dim=-2)
    if isinstance(first, dict):
        return {name: join_rows(part, second[name]) for name, part in first.items()}
    if isinstance(first, list | tuple):
        parts = [join_rows(*pair) for pair in zip(first, second, strict=True)]
        if isinstance(first, list):
            return parts
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return first
