"""Conformal calibration of quantile forecasts on the errors of validation."""

from collections.abc import Sequence

import torch
from torch import Tensor


def conformal_offsets(residuals: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Return what is to be added to a forecast so that it becomes each quantile.

    It is the quantile of the residuals with the finite-sample correction of split conformal prediction (Vovk et al.,
    2005; for quantile forecasts Romano et al., 2019, arXiv 1905.03222), for each step and target: of n residuals that
    are exchangeable with the next one, the next one lies below the upper quantile q with a probability of at least q.
    The windows of one series overlap, so this holds approximately. The offset of the median is 0.

    Args:
        residuals: target minus forecast [N, H, C, q], q = 1 for a point forecast or Q for one of each quantile; NaN
            where the target is not known.
        quantiles: their levels, Q numbers, 0.5 in the middle.

    Returns:
        [H, C, Q]; 0 where no residual is known.
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
        wanted = level * (known + 1).double()
        # 1e-9: 0.95 * 20 is 19 but for rounding.
        rank = (wanted + 1e-9).floor() if level < 0.5 else (wanted - 1e-9).ceil()
        rank = torch.minimum(rank.long(), known).clamp(min=1) - 1
        offsets.append(ordered[..., column].gather(0, rank[None])[0])
    return torch.stack(offsets, dim=-1)


def spread(quantiles: Tensor) -> Tensor:
    """Return quantiles [..., Q] that do not cross: from the median outwards, none lies inside the one before it."""
    columns = list(quantiles.unbind(-1))
    middle = len(columns) // 2
    for place in range(middle - 1, -1, -1):
        columns[place] = torch.minimum(columns[place], columns[place + 1])
    for place in range(middle + 1, len(columns)):
        columns[place] = torch.maximum(columns[place], columns[place - 1])
    return torch.stack(columns, dim=-1)
