"""The loss of forecasts in plain PyTorch, for `sightseq eject`."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sightseq.nets.normalisation import WindowNormalisation

Numbers = Sequence[float]


class Forecaster(nn.Module):
    """A network with its loss, in standard deviations of the training part.

    Args:
        net: maps normalised windows [B, L, D] and known covariates [B, L + H, K] to [B, H, C, Q].
        normalise: normalisation of each window.
        mean, std: of the inputs over the training part [D].
        known_mean, known_std: of the known covariates [K].
        scale: error of the seasonal naive forecast, pooled over all series [C].
        error: "mse", "mae" or "pinball".
        levels: levels of the quantiles for "pinball".
    """

    def __init__(
        self,
        net: nn.Module,
        normalise: WindowNormalisation,
        mean: Numbers,
        std: Numbers,
        known_mean: Numbers,
        known_std: Numbers,
        scale: Numbers,
        error: str,
        levels: Numbers,
    ) -> None:
        super().__init__()
        self.net, self.normalise, self.error = net, normalise, error
        self.mean, self.std, self.scale = (nn.Buffer(torch.tensor(one)) for one in (mean, std, scale))
        self.known_mean, self.known_std = nn.Buffer(torch.tensor(known_mean)), nn.Buffer(torch.tensor(known_std))
        self.levels = nn.Buffer(torch.tensor(levels))

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, summed over all targets that are not missing, and their number."""
        target, count = batch["target"], len(self.scale)
        inputs, shift, scale = self.normalise((batch["input"] - self.mean) / self.std)
        found = self.net(inputs, (batch["known"] - self.known_mean) / self.known_std)  # [B, H, C, Q]
        # Back to the units of the data.
        shift, scale = (shift * self.std + self.mean)[..., :count, None], (scale * self.std)[..., :count, None]
        truth = torch.where(target.isfinite(), target, shift[..., 0])[..., None]
        unit = self.std[:count] * batch["scale"] / self.scale  # of each series
        error = (truth - (found * scale + shift)) / unit[:, None, :, None]
        if self.error == "pinball":
            loss = 2 * torch.maximum(self.levels * error, (self.levels - 1) * error).mean(-1)
        else:
            loss = error[..., 0].square() if self.error == "mse" else error[..., 0].abs()
        return (loss * target.isfinite()).sum(), target.isfinite().sum()
