"""PSNR and SSIM agree with values computed by hand and with scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sightseq.vision.quality import psnr, ssim

CLEAN = torch.nn.functional.interpolate(
    torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(0)), size=(48, 64), mode="bicubic"
).clamp(0, 1)
NOISY = (
    CLEAN
    + torch.randn(CLEAN.shape, generator=torch.Generator().manual_seed(1))
    * torch.tensor([0.02, 0.2])[:, None, None, None]
)


def test_psnr_by_hand() -> None:
    clean = torch.zeros(2, 1, 4, 4)
    off = clean.clone()
    off[0] += 0.1
    off[1, 0, 0, 0] = 1
    assert psnr(off, clean).tolist() == pytest.approx([20, 10 * math.log10(16)])
    assert psnr(clean, clean).tolist() == [100, 100]


def test_both_agree_with_scikit_image() -> None:
    for row in range(2):
        noisy, clean = NOISY[row].numpy(), CLEAN[row].numpy()
        expected = peak_signal_noise_ratio(clean, noisy, data_range=1)
        assert psnr(NOISY, CLEAN)[row].item() == pytest.approx(expected, abs=1e-4)
        expected = structural_similarity(
            clean, noisy, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=0
        )
        assert ssim(NOISY, CLEAN)[row].item() == pytest.approx(expected, abs=2e-4)


def test_ssim_of_equal_and_of_tiny_images() -> None:
    assert ssim(CLEAN, CLEAN).tolist() == pytest.approx([1, 1])
    assert ssim(CLEAN[:1], CLEAN[:1]).shape == (1,)
    assert np.isnan(ssim(CLEAN[:, :, :10], CLEAN[:, :, :10]).numpy()).all()
