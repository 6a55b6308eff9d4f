"""Attention weights of generated texts, for the report."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from sightseq.core.loading import Batch
from sightseq.tasks.conditional_generation.task import ConditionalGenerationTask
from sightseq.text.tokenizer import EOS_ID


@torch.no_grad()
def attention_weights(task: ConditionalGenerationTask, batch: Batch) -> list[NDArray[np.float32]] | None:
    """Return the attention weights from which generated texts were read.

    Args:
        task: the task.
        batch: what `task.encode` reads, and `tokens` int64 [B, L], the texts, padded with 0; on any device.

    Returns:
        For each row [tokens + 1, S]: the weights of each token and of EOS. None if the network has no attention.
    """
    batch = {name: tensor.to(task.device) for name, tensor in batch.items()}
    training = task.training
    task.eval()
    try:
        memory, state = task.encode(batch)
        *_, weights = task.net.features(F.pad(batch["tokens"], (1, 0), value=EOS_ID), state, memory)
    finally:
        task.train(training)
    if weights is None:
        return None
    lengths = ((batch["tokens"] != EOS_ID).sum(1) + 1).tolist()
    return [row[:length].float().cpu().numpy() for row, length in zip(weights, lengths, strict=True)]
