"""A network of one idea."""

from torch import Tensor, nn


class RingNet(nn.Module):
    """Large circular filters, and the strongest answer of each.

    Args:
        in_channels: channels of the image.
        num_classes: number of logits.
        width: number of filters.
    """

    def __init__(self, in_channels: int, num_classes: int, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 9, padding=4),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            nn.Linear(width, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W] to logits [B, num_classes]."""
        logits: Tensor = self.layers(images)
        return logits
