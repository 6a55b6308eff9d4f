"""Conformal calibration of quantile forecasts with the validation errors."""

from collections.abc import Sequence

import torch
from torch import Tensor


def conformal_offsets(residuals: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Return the offsets that turn a forecast into its quantiles.

    An offset is the quantile of the residuals of one step and target, with the finite-sample correction of split
    conformal prediction (Vovk et al., 2005; for quantile forecasts Romano et al., 2019, arXiv 1905.03222). If the n
    residuals and the next one are exchangeable, the next one lies below the upper quantile q with a probability of at
    least q. The windows of one series overlap, so this is only approximately true. The offset of the median is 0.

    Args:
        residuals: target minus forecast [N, H, C, q]; q is 1 for a point forecast, Q for quantile forecasts. NaN where
            the target is missing.
        quantiles: Q levels, 0.5 in the middle.

    Returns:
        [H, C, Q]; 0 where all residuals are missing.
    """
    count = residuals.isfinite().sum(0)  # [H, C, q]
    ordered = residuals.sort(dim=0).values.nan_to_num(0.0)  # NaN is sorted to the end
    offsets = []
    for place, level in enumerate(quantiles):
        column = place if residuals.shape[-1] > 1 else 0
        known = count[..., column]
        if level == 0.5:
            offsets.append(torch.zeros(known.shape))
            continue
        position = level * (known + 1).double()
        # 1e-9 absorbs rounding errors: 0.95 * 20 should be 19.
        rank = (position + 1e-9).floor() if level < 0.5 else (position - 1e-9).ceil()
        rank = torch.minimum(rank.long(), known).clamp(min=1) - 1
        offsets.append(ordered[..., column].gather(0, rank[None])[0])
    return torch.stack(offsets, dim=-1)


def spread(quantiles: Tensor) -> Tensor:
    """Return quantiles [..., Q] that do not cross: each is clipped to its neighbour on the side of the median."""
    columns = list(quantiles.unbind(-1))
    middle = len(columns) // 2
    for place in range(middle - 1, -1, -1):
        columns[place] = torch.minimum(columns[place], columns[place + 1])
    for place in range(middle + 1, len(columns)):
        columns[place] = torch.maximum(columns[place], columns[place - 1])
    return torch.stack(columns, dim=-1)
