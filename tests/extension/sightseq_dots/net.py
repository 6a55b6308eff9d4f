"""A network of one idea."""

from torch import Tensor, nn


class DotNet(nn.Module):
    """Filters that find dots, their mean in each cell of a grid of 6 x 6, and a weighted sum of these.

    Args:
        in_channels: of the image.
        num_outputs: numbers it gives.
        width: number of filters.
    """

    def __init__(self, in_channels: int, num_outputs: int, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 5, padding=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),
            nn.Linear(36 * width, num_outputs),
        )

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W] to [B, num_outputs]."""
        found: Tensor = self.layers(images)
        return found
