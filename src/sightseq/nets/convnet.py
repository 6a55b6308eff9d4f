"""A plain convolutional network: stages of convolutions, then dense layers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn


class ConvNet(nn.Module):
    """Stages of `convs_per_stage` convolutions, each followed by 2x2 max pooling, then dense layers.

    The defaults are the course network: no normalisation, flattened features, one hidden layer. With
    `batch_norm=True, pool="average"` it is a small VGG (Simonyan and Zisserman, 2015, arXiv 1409.1556).

    Args:
        in_channels: channels of the image.
        num_classes: number of logits.
        image_size: (height, width) in pixels; sizes the first dense layer if `pool="flatten"`.
        channels: width of each stage; every stage halves height and width.
        convs_per_stage: convolutions before each pooling; one number for all stages, or one per stage.
        kernel_size: odd, in pixels; the convolutions keep the image size.
        batch_norm: normalise after each convolution.
        pool: last feature map to a vector: "flatten" keeps positions, "average" and "max" pool over them.
        hidden: widths of the dense layers before the logits.
        stage_dropout: probability of dropping a value after each pooling.
        dropout: probability of dropping a unit before each dense layer except the first.
        one_logit: if there are two classes, return one logit, that of the second class; the logit of the first is 0.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int],
        channels: Sequence[int] = (32, 64),
        convs_per_stage: int | Sequence[int] = 1,
        kernel_size: int = 3,
        batch_norm: bool = False,
        pool: Literal["flatten", "average", "max"] = "flatten",
        hidden: Sequence[int] = (128,),
        stage_dropout: float = 0.0,
        dropout: float = 0.0,
        one_logit: bool = False,
    ) -> None:
        super().__init__()
        counts = [convs_per_stage] * len(channels) if isinstance(convs_per_stage, int) else list(convs_per_stage)
        if kernel_size % 2 == 0 or min(counts) < 1 or len(counts) != len(channels):
            raise ValueError(
                f"kernel_size={kernel_size} must be odd, and convs_per_stage={convs_per_stage} at least 1, "
                f"one number or {len(channels)}"
            )
        height, width = image_size
        if min(height, width) < 2 ** len(channels):
            raise ValueError(
                f"{len(channels)} stages halve the image {len(channels)} times, and {height}x{width} pixels "
                f"are too few for that: set fewer channels"
            )
        layers: list[nn.Module] = []
        for stage, ((width_in, width_out), convs) in enumerate(
            zip(pairwise((in_channels, *channels)), counts, strict=True)
        ):
            for conv in range(convs):
                if conv:
                    layers.append(nn.ReLU(inplace=True))
                layers.append(
                    nn.Conv2d(
                        width_out if conv else width_in,
                        width_out,
                        kernel_size,
                        padding=kernel_size // 2,
                        bias=not batch_norm,
                    )
                )
                if batch_norm:
                    layers.append(nn.BatchNorm2d(width_out))
            # Both orders give the same result, but after pooling ReLU has only a quarter of the values to process. In
            # the last stage ReLU comes first: Grad-CAM uses the map before pooling, which must not be negative.
            end = [nn.MaxPool2d(2), nn.ReLU(inplace=True)]
            layers += end if stage < len(channels) - 1 else end[::-1]
            if stage_dropout:
                layers.append(nn.Dropout(stage_dropout))
        features = channels[-1]
        if pool == "flatten":
            features *= (height >> len(channels)) * (width >> len(channels))
        else:
            layers.append(nn.AdaptiveAvgPool2d(1) if pool == "average" else nn.AdaptiveMaxPool2d(1))
        layers.append(nn.Flatten())
        for size_in, size_out in pairwise((features, *hidden)):
            layers += [nn.Linear(size_in, size_out), nn.ReLU(inplace=True)]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.one_logit = one_logit and num_classes == 2
        outputs = 1 if self.one_logit else num_classes
        layers.append(nn.Linear(hidden[-1] if hidden else features, outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W] normalised pixels to [B, num_classes] logits, or [B, 1] with `one_logit`."""
        logits: Tensor = self.layers(images)
        return logits
