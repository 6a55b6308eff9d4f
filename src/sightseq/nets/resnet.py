"""A small residual network for small images."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to their input; the block halves height and width if `stride` is 2.

    The shortcut of such a block averages 2x2 pixels before its 1x1 convolution, so that no pixel is ignored (ResNet-D:
    He et al., 2019, arXiv 1812.01187).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        nn.init.zeros_(self.norm2.weight)  # every block starts as the identity (Goyal et al., 2017)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] to [B, out_channels, ceil(H / stride), ceil(W / stride)]."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """A residual network whose stem keeps the image size: He et al., 2016 (arXiv 1512.03385), section 4.2.

    Args:
        in_channels: channels of the image.
        num_classes: number of logits.
        channels: width of each stage; every stage except the first halves height and width.
        blocks: residual blocks in each stage.
        stem_stride: 2 halves height and width in the stem, which makes all later layers four times as fast.
        dropout: probability of dropping a feature before the logits.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int] = (32, 64, 128),
        blocks: Sequence[int] = (1, 1, 1),
        stem_stride: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(blocks) != len(channels):
            raise ValueError(f"blocks has {len(blocks)} numbers and channels {len(channels)}; both need one per stage")
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels[0], 3, stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
        )
        stages: list[nn.Module] = []
        for stage, (width_in, width_out) in enumerate(pairwise((channels[0], *channels))):
            for block in range(blocks[stage]):
                first = block == 0
                stages.append(
                    ResidualBlock(width_in if first else width_out, width_out, 2 if first and stage > 0 else 1)
                )
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W] normalised pixels to [B, num_classes] logits."""
        features = self.stages(self.stem(images)).mean(dim=(2, 3))  # [B, channels[-1]]
        logits: Tensor = self.head(self.dropout(features))
        return logits
