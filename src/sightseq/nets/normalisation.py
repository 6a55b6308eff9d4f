"""Normalisation of windows of time series; the task reverses it on the forecast."""

from typing import Literal

import torch
from torch import Tensor, nn

SMALLEST = 1e-5  # added to the variance of a window, in units of the training part


class WindowNormalisation(nn.Module):
    """Reversible instance normalisation without its affine weights (Kim et al., 2022: Reversible Instance
    Normalization for Accurate Time-Series Forecasting against Distribution Shift).

    Args:
        kind: "window" subtracts the mean of each column in the window and divides by its standard deviation; "last"
            subtracts the last value only; "none" changes nothing.
    """

    def __init__(self, kind: Literal["window", "last", "none"] = "none") -> None:
        super().__init__()
        self.kind = kind

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalise each column of each window.

        Args:
            inputs: [B, L, D].

        Returns:
            The normalised inputs [B, L, D], the subtracted shift and the divisor, each [B, 1, D].
        """
        shift, scale = torch.zeros_like(inputs[:, :1]), torch.ones_like(inputs[:, :1])
        if self.kind == "last":
            shift = inputs[:, -1:]
        elif self.kind == "window":
            shift = inputs.mean(1, keepdim=True)
            scale = ((inputs - shift).square().mean(1, keepdim=True) + SMALLEST).sqrt()
        return (inputs - shift) / scale, shift, scale
