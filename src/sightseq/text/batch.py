"""Padding of token sequences of unequal lengths."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightseq.core.loading import Batch


def pad(sequences: Sequence[Sequence[int] | NDArray[Any]], max_tokens: int) -> Batch:
    """Pad token sequences to one batch.

    Args:
        sequences: token ids of the B texts; a sequence longer than `max_tokens` is truncated in the middle.
        max_tokens: at least 2.

    Returns:
        `input` int64 [B, T], padded with 0, and `length` int64 [B], at least 1: an empty text is one 0.
    """
    head, tail = -(-max_tokens // 2), max_tokens // 2
    lengths = np.array([min(max(len(sequence), 1), max_tokens) for sequence in sequences])
    tokens = np.zeros((len(sequences), lengths.max(initial=1)), np.int64)
    for row, sequence in enumerate(sequences):
        if len(sequence) > max_tokens:
            tokens[row, :head], tokens[row, head:max_tokens] = sequence[:head], sequence[-tail:]
        else:
            tokens[row, : len(sequence)] = sequence
    return {"input": torch.from_numpy(tokens), "length": torch.from_numpy(lengths)}


def to_bytes(texts: Sequence[str]) -> torch.Tensor:
    """Return texts as UTF-8, uint8 [B, longest], padded with 0."""
    encoded = [text.encode() for text in texts]
    longest = max(map(len, encoded), default=0)
    rows = b"".join(text.ljust(longest, b"\0") for text in encoded)
    return torch.from_numpy(np.frombuffer(rows, np.uint8).reshape(len(encoded), longest).copy())


def to_texts(values: torch.Tensor) -> list[str]:
    """Invert `to_bytes`."""
    return [row.tobytes().rstrip(b"\0").decode() for row in values.cpu().numpy()]
