"""Baselines of denoising: filters without training."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from sightseq.core.baseline import Arrays, Baseline
from sightseq.core.extras import require
from sightseq.vision.quality import psnr, ssim

Image = NDArray[np.float32]


class Filter(Baseline):
    """Base class of filters, which restore one image at a time, in its own size."""

    @abstractmethod
    def restore(self, image: Image, sigma: float) -> Image:
        """Return the restored image, [C, H, W].

        Args:
            image: noisy image, [C, H, W] in 0..1, not clipped.
            sigma: true standard deviation of the noise, in 0..1; 0 if it is unknown.
        """

    def predict(self, batch: Arrays) -> NDArray[Any]:
        """Return the restored images [N, C, H, W] in 0..1; padding is 0."""
        restored = np.zeros_like(batch["input"], dtype=np.float32)
        for row, (image, level, (height, width)) in enumerate(
            zip(batch["input"], batch["level"], batch["size"], strict=True)
        ):
            noisy = as_unit(image[:, :height, :width])
            restored[row, :, :height, :width] = self.restore(noisy, float(level) / 255).clip(0, 1)
        return restored

    def score(self, batch: Arrays) -> dict[str, float]:
        """Return PSNR and SSIM averaged over the images, and the PSNR of each noise level if there are few levels."""
        restored = self.predict(batch)
        quality = []
        for image, clean, (height, width) in zip(restored, batch["target"], batch["size"], strict=True):
            pair = [torch.from_numpy(as_unit(pixels[None, :, :height, :width])) for pixels in (image, clean)]
            quality.append((float(psnr(*pair)), float(ssim(*pair))))
        values = np.array(quality)  # [N, 2]
        scores = {"psnr": float(values[:, 0].mean()), "ssim": float(values[:, 1].mean())}
        levels = np.unique(batch["level"])
        if 1 < len(levels) < len(values) / 2:
            scores |= {f"psnr_{level:g}": float(values[batch["level"] == level, 0].mean()) for level in levels}
        return scores


def as_unit(image: NDArray[Any]) -> Image:
    """Convert bytes to floats in 0..1; floats are not changed."""
    return image.astype(np.float32) / np.float32(255 if image.dtype == np.uint8 else 1)


def estimate_sigma(image: Image) -> float:
    """Estimate the standard deviation of the noise from the finest wavelet band (Donoho and Johnstone, 1994)."""
    return float(np.mean(require("skimage.restoration", "denoising").estimate_sigma(image, channel_axis=0)))


class NoisyInput(Filter):
    """The noisy image itself, not clipped."""

    def predict(self, batch: Arrays) -> NDArray[Any]:
        return as_unit(batch["input"])

    def restore(self, image: Image, sigma: float) -> Image:
        return image


class GaussianFilter(Filter):
    """A Gaussian blur.

    Args:
        width: standard deviation of the blur, in pixels.
    """

    def __init__(self, width: float = 1.0) -> None:
        self.width = width

    def restore(self, image: Image, sigma: float) -> Image:
        blurred: Image = ndimage.gaussian_filter(image, (0, self.width, self.width), mode="reflect")
        return blurred


class MedianFilter(Filter):
    """The median of a square window around each pixel.

    Args:
        size: side of the window, in pixels.
    """

    def __init__(self, size: int = 3) -> None:
        self.size = size

    def restore(self, image: Image, sigma: float) -> Image:
        filtered: Image = ndimage.median_filter(image, (1, self.size, self.size), mode="reflect")
        return filtered


class Wavelet(Filter):
    """Wavelet shrinkage with a threshold for each band (BayesShrink: Chang et al., 2000), in scikit-image.

    If the level of the noise is unknown, it is estimated.
    """

    def restore(self, image: Image, sigma: float) -> Image:
        restoration = require("skimage.restoration", "denoising")
        require("pywt", "denoising")
        options: dict[str, Any] = {"method": "BayesShrink", "mode": "soft", "rescale_sigma": True}
        restored: Image = restoration.denoise_wavelet(
            image, sigma=sigma or None, channel_axis=0, convert2ycbcr=len(image) == 3, **options
        )
        return restored


class NonLocalMeans(Filter):
    """Non-local means of similar patches (Buades et al., 2005), in scikit-image, with its recommended settings.

    Args:
        strength: cut-off distance of patches, as a multiple of the standard deviation of the noise.
    """

    def __init__(self, strength: float = 0.6) -> None:
        self.strength = strength

    def restore(self, image: Image, sigma: float) -> Image:
        restoration = require("skimage.restoration", "denoising")
        sigma = sigma or estimate_sigma(image)
        # Channels last: for a single channel along the first axis, scikit-image 0.26 fails.
        restored: Image = restoration.denoise_nl_means(
            image.transpose(1, 2, 0),
            patch_size=5,
            patch_distance=6,
            h=self.strength * sigma,
            sigma=sigma,
            fast_mode=True,
            channel_axis=-1,
        )
        return restored.reshape(*image.shape[1:], -1).transpose(2, 0, 1)


class BM3D(Filter):
    """Block-matching and 3-D filtering (Dabov et al., 2007), with its authors' package, for non-commercial use only.

    It takes seconds per image.
    """

    def restore(self, image: Image, sigma: float) -> Image:
        package = require("bm3d", "bm3d")
        sigma = sigma or estimate_sigma(image)
        if len(image) == 1:
            return np.asarray(package.bm3d(image[0], sigma), np.float32)[None]
        return np.asarray(package.bm3d_rgb(image.transpose(1, 2, 0), sigma), np.float32).transpose(2, 0, 1)
