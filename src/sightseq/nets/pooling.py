"""Pooling of the outputs of recurrent layers over the positions of a sequence, whatever its padding."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Pooling = Literal["last", "mean", "max", "attention"]


def pool(
    outputs: Tensor, lengths: Tensor, kinds: Sequence[Pooling], attention: nn.Module | None, bidirectional: bool
) -> Tensor:
    """Pool the outputs of recurrent layers over the positions.

    Args:
        outputs: [B, T, width]; those beyond the lengths are ignored.
        lengths: [B].
        kinds: one or more of: "last", the last output of each direction; "mean" and "max" over the positions;
            "attention", the mean weighted by the softmax of the scores (after Yang et al., 2016).
        attention: maps the outputs to scores [B, T, 1]; for "attention".
        bidirectional: the second half of the outputs reads from the end.

    Returns:
        [B, width * len(kinds)].
    """
    padding = (torch.arange(outputs.shape[1], device=outputs.device) >= lengths[:, None])[..., None]  # [B, T, 1]
    pooled = []
    for kind in kinds:
        if kind == "last":
            end = outputs[torch.arange(outputs.shape[0], device=outputs.device), lengths - 1]
            # The backward direction ends at the first position.
            forward, backward = end.chunk(2, 1)[0], outputs[:, 0].chunk(2, 1)[1]
            pooled.append(torch.cat([forward, backward], dim=1) if bidirectional else end)
        elif kind == "mean":
            pooled.append(outputs.masked_fill(padding, 0).sum(1) / lengths[:, None])
        elif kind == "max":
            pooled.append(outputs.masked_fill(padding, -torch.inf).amax(1))
        elif attention:
            weights = attention(outputs).masked_fill(padding, -torch.inf).softmax(dim=1)
            pooled.append((weights * outputs).sum(1))
    return torch.cat(pooled, dim=1)
