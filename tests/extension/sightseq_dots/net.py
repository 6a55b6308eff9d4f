"""A network of one idea."""

from torch import Tensor, nn


class DotNet(nn.Module):
    """Convolutions that find dots, and the sum of what they found.

    Args:
        in_channels: of the image.
        num_outputs: numbers it gives.
        width: filters of each layer.
    """

    def __init__(self, in_channels: int, num_outputs: int, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, num_outputs, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W] to [B, num_outputs]."""
        found: Tensor = self.layers(images).mean((2, 3))
        return found
