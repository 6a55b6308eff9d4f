"""First layers of all networks for sequences of vectors: normalisation, missing values, differences over time.

Each maps raw values [B, T, D], NaN where one is missing, and lengths [B] to features [B, T, width], 0 at padding.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sightseq.core.build import build
from sightseq.series.sequence_spec import SequenceSpec

STANDARDISE: dict[str, Any] = {"_target_": "sightseq.series.features.Standardise"}


class Features(nn.Module):
    """Base of these layers. `width` is the number of features."""

    width: int


def make_features(config: Mapping[str, Any] | None, spec: SequenceSpec) -> Features:
    """Build the layer of `model.features`, by default `Standardise`, for the data of a spec."""
    constants = {"channels": spec.channels, "mean": spec.mean, "std": spec.std}
    return build(config or STANDARDISE, Features, "model.features", **constants)


class Standardise(Features):
    """Subtracts the mean of each channel and divides by its standard deviation; a missing value becomes the mean, 0.

    Args:
        mean, std: of each channel over the training split.
        mask: add a feature for each channel that is 1 where its value is missing.
        differences: add the change of each channel since the last step, times this factor; 0 adds nothing. The change
            from or to a missing value is 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], mask: bool = True, differences: float = 0.0
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.mask, self.differences = mask, differences
        self.width = len(mean) * (1 + mask + bool(differences))

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """See the module's description."""
        missing = values.isnan()
        known = ((values - self.mean) / self.std).masked_fill(missing, 0)
        features = [known]
        if self.mask:
            features.append(missing.to(known.dtype))
        if self.differences:
            features.append(self.differences * changes(known, missing))
        return without_padding(torch.cat(features, dim=2), lengths)


def changes(values: Tensor, missing: Tensor) -> Tensor:
    """Return the change of each value [B, T, D] since the last step; 0 at the first step, and where one is missing."""
    first = torch.zeros_like(values[:, :1])
    known = ~(missing[:, 1:] | missing[:, :-1])
    return torch.cat([first, (values[:, 1:] - values[:, :-1]) * known], dim=1)


def without_padding(features: Tensor, lengths: Tensor) -> Tensor:
    """Set features [B, T, D] beyond the lengths [B] to 0."""
    padding = torch.arange(features.shape[1], device=features.device) >= lengths[:, None]
    return features.masked_fill(padding[..., None], 0)
