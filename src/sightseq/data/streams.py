"""Base of all datasets for language models: the documents of a split as one sequence of tokens, read as streams."""

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch, BatchSampler, StreamSampler
from sightseq.data.plain import PlainStream
from sightseq.text.tokenizer import EOS_ID


class StreamDataset(ArrayDataset):
    """A stream of tokens [N]; `dataset[spans]` are windows of it.

    Args:
        tokens: token ids of all documents; each document ends with 0.
        source: the split.
    """

    def __init__(self, tokens: NDArray[Any], source: str) -> None:
        # A range, because an array of the indices of all tokens may not fit into memory.
        super().__init__({"input": tokens}, cast(Any, range(len(tokens))), source)
        self.tokens = tokens

    @property
    def stored_rows(self) -> None:
        """None: a sample is a window of the stream."""

    def plain(self) -> PlainStream:
        """See `ArrayDataset.plain`."""
        return PlainStream(self.tokens)

    def batch(self, spans: Tensor) -> Batch:
        """Return windows of the stream as a batch.

        Args:
            spans: [B, 3] from `StreamSampler`: index of the first predicted token, index after the last one, and
                whether the window is the first of its stream. Indices [B] mean windows of one token each.

        Returns:
            `target` [B, T], the tokens, padded with -1; `input` [B, T], the token before each of them, padded with 0;
            `fresh` [B], whether the model starts from a zero state; `index` [B], the index of the first token, -1 for
            an empty window.
        """
        if spans.ndim == 1:
            spans = torch.stack([spans, spans + 1, spans == 0], dim=1)
        starts, ends, fresh = spans.unbind(1)
        length = max(int((ends - starts).max()), 1)  # all windows may be empty
        target = np.full((len(spans), length), PAD_INDEX, np.int64)
        before = np.full((len(spans), length), EOS_ID, np.int64)
        for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            target[row, : end - start] = self.tokens[start:end]
            # The input of the very first token is EOS_ID, as if another document had ended before it.
            first = max(start - 1, 0)
            if end > start:
                before[row, first + 1 - start : end - start] = self.tokens[first : end - 1]
        index = torch.where(ends > starts, starts, PAD_INDEX)
        return {
            "input": torch.from_numpy(before),
            "target": torch.from_numpy(target),
            "fresh": fresh.bool(),
            "index": index,
        }


class TokenStreams(DataModule):
    """Splits that are one sequence of tokens each, read as parallel streams, one window at a time.

    In training each process reads `batch_size` streams. All processes together read `eval_batch_size` streams in
    validation and one stream in test, so these scores do not depend on the number of processes.

    A subclass's `encode` returns a `StreamDataset` for each split.

    Args:
        bptt: tokens per window, through which gradients flow (truncated back-propagation through time).
        common: see `DataModule`.
    """

    sample_unit = "tokens"

    def __init__(self, *, bptt: int = 35, **common: Any) -> None:
        super().__init__(**common)
        if bptt < 1:
            raise ConfigError(f"data.bptt={bptt}: at least one token")
        self.bptt = bptt
        self.streams: dict[str, int] = {"train": self.batch_size, "val": self.eval_batch_size, "test": 1}

    def batch_sampler(self, split: str, rank: int = 0, world: int = 1) -> BatchSampler:
        """Return the sampler of parallel streams: `streams[split]` per process in training, else over all processes."""
        streams = self.streams[split] * (world if split == "train" else 1)
        return StreamSampler(len(self.dataset(split)), streams, self.bptt, rank=rank, world=world)
