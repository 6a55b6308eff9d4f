"""Image denoising: restores clean images from noisy ones."""
