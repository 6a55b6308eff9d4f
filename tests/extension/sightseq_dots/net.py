"""The network."""

from torch import Tensor, nn


class DotNet(nn.Module):
    """One convolution that detects dots, average pooling to 6 x 6, and a linear layer.

    Args:
        in_channels: channels of the image.
        num_outputs: number of outputs.
        width: channels of the convolution.
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
        """Map images [B, in_channels, H, W] to [B, num_outputs]."""
        outputs: Tensor = self.layers(images)
        return outputs
