"""The loss of denoisers in plain PyTorch, for `sightseq eject`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Restorer(nn.Module):
    """A network with its loss: the error of the restored images.

    Args:
        net: the network: see `nets.denoising`.
        noise: noise that is added to clean training images; None: the images of the data are noisy already.
        absolute: the absolute error is minimised; else the squared error.
    """

    score = "PSNR"

    def __init__(self, net: nn.Module, noise: Any, absolute: bool) -> None:
        super().__init__()
        self.net, self.noise, self.absolute = net, noise, absolute
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's overloads

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the error of a training batch, summed over all values, and their number."""
        clean, level = batch["target"] / 255, torch.zeros(len(batch["target"]))
        if self.noise is None:
            noisy = batch["input"] / 255
        else:
            levels = self.noise.draw_levels(len(clean)).to(clean.device)
            noisy, level = self.noise(clean, levels), levels[:, 0]
        error = self.net(noisy, level.to(clean.device)) - clean
        return (error.abs() if self.absolute else error.square()).sum(), torch.tensor(clean.numel())

    def measure(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the sum of the peak signal-to-noise ratios of validation images, in dB, and their number."""
        restored = self.net(batch["input"], batch["level"]).clamp(0, 1)
        error = (restored - batch["target"] / 255).square().mean((1, 2, 3))
        return (-10 * torch.log10(error.clamp(min=1e-10))).sum(), torch.tensor(len(error))
