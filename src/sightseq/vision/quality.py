"""Similarity of restored and true images: PSNR and SSIM of each image."""

import torch
from torch import Tensor
from torch.nn import functional as F

RADIUS, SIGMA = 5, 1.5  # Gaussian window of SSIM, in pixels
C1, C2 = 0.01**2, 0.03**2  # constants of SSIM for values in 0..1


def psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each image, in dB: -10 log10 of the mean squared error of its values.

    Args:
        restored: float [B, C, H, W] in 0..1.
        clean: the same shape.

    Returns:
        Float32 [B]; at most 100 dB, the value for equal images.
    """
    error = (restored.float() - clean.float()).square().mean((1, 2, 3))
    return -10 * torch.log10(error.clamp(min=1e-10))


def ssim(restored: Tensor, clean: Tensor) -> Tensor:
    """Return the structural similarity of each image, 1 for equal images (Wang et al., 2004, IEEE TIP 13(4)).

    The Gaussian window has 11 x 11 pixels and a standard deviation of 1.5. The result is the mean over the channels and
    over all windows inside the image. It equals the authors' program, and scikit-image with `gaussian_weights=True,
    use_sample_covariance=False`; torchmetrics also counts windows that cross the border.

    Args:
        restored: float [B, C, H, W] in 0..1; H and W at least 11.
        clean: the same shape.

    Returns:
        Float32 [B]; NaN for images smaller than the window.
    """
    count, _, height, width = clean.shape
    if min(height, width) <= 2 * RADIUS:
        return torch.full((count,), torch.nan, device=clean.device)
    a, b = restored.float(), clean.float()
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=a.device, dtype=a.dtype)
    window = torch.softmax(-((offsets / SIGMA) ** 2) / 2, 0)  # a Gaussian whose sum is 1
    maps = torch.stack([a, b, a * a, b * b, a * b]).reshape(-1, 1, height, width)
    with torch.autocast(a.device.type, enabled=False):
        maps = F.conv2d(F.conv2d(maps, window[None, None, :, None]), window[None, None, None, :])
    mean_a, mean_b, aa, bb, ab = maps.reshape(5, count, -1).unbind()
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * (ab - mean_a * mean_b) + C2) / (aa - mean_a**2 + bb - mean_b**2 + C2)
    return (luminance * structure).mean(1)
