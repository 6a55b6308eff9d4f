"""Encoders of images: the last feature map of a classifier, and a small convolutional network."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from sightseq.nets.backbone import Backbone, Constants


class FeatureMap(Backbone):
    """A classifier of torchvision without its head: images to the last feature map.

    Args:
        image_size: (height, width) in pixels.
        name, weights, mean, std: see `Backbone`.
        node: name of the map in the classifier's graph, such as "features.29" of vgg16 (see
            `torchvision.models.feature_extraction`); by default the last map of more than one position before the head.

    Attributes:
        width: number of channels of the map.
        grid: height and width of the map.

    Raises:
        ValueError: torchvision has no such model, or the model has no such map for images of this size.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        name: str = "mobilenet_v2",
        weights: str | None = None,
        mean: Constants | None = None,
        std: Constants | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(1, image_size, name, weights, mean, std)
        if name.startswith("vit_"):
            raise ValueError(
                f"{name} is a vision transformer, which has no feature map; choose a convolutional network"
            )
        names, _ = (list(graph) for graph in get_graph_node_names(self.model))
        if node is not None and node not in names:
            raise ValueError(f"{name} has no node {node}; its last ones are {', '.join(names[-8:])}")
        before = next(place for place, one in enumerate(names) if f"{one}.".startswith(f"{self.head}."))
        chosen, shape = _last_map(self.model, [node] if node else names[1:before], image_size)
        if chosen is None:
            raise ValueError(
                f"{node or name} has no feature map of more than one position for images of "
                f"{image_size[0]}x{image_size[1]} pixels; use larger images"
            )
        self.head = None  # all weights are those of the file
        self.model = create_feature_extractor(self.model, {chosen: "map"})
        self.width, self.grid = shape[1], (shape[2], shape[3])

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1 or 3, H, W] normalised pixels to [B, width, *grid]."""
        features: Tensor = self.model(images.expand(-1, 3, -1, -1))["map"]
        return features


@torch.no_grad()
def _last_map(model: nn.Module, names: Sequence[str], image_size: tuple[int, int]) -> tuple[str | None, Any]:
    """Return the last of these nodes whose output is [1, D, h, w] with more than one position, and this shape."""
    training = model.training
    outputs = create_feature_extractor(model, list(names)).eval()(torch.zeros(1, 3, *image_size))
    model.train(training)
    maps = {name: one.shape for name, one in outputs.items() if isinstance(one, Tensor) and one.ndim == 4}
    # ConvNeXt's last normalisation is of [1, 1, 1, D].
    found = [name for name, shape in maps.items() if shape[1] > 1 and shape[2] * shape[3] > 1]
    return (found[-1], maps[found[-1]]) if found else (None, None)


class ConvFeatures(nn.Module):
    """A small convolutional network without a classifier, to be trained from scratch on small images.

    Each stage is a 3x3 convolution with batch normalisation, 2x2 max pooling and ReLU. Two further
    channels of the input contain the position of each pixel, from -1 to 1 along both axes (Liu et al., 2018,
    arXiv 1807.03247), for captions that say where something is.

    Args:
        in_channels: channels of the image.
        image_size: (height, width) in pixels.
        channels: width of each stage; every stage halves height and width.

    Attributes:
        width: number of channels of the map.
        grid: height and width of the map.
    """

    constants = None

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        channels: Sequence[int] = (16, 32, 64, 128),
    ) -> None:
        super().__init__()
        self.grid = (image_size[0] >> len(channels), image_size[1] >> len(channels))
        if min(self.grid) < 1 or self.grid[0] * self.grid[1] < 2:
            raise ValueError(
                f"{len(channels)} stages halve the image {len(channels)} times, and {image_size[0]}x{image_size[1]} "
                "pixels are too few for that: set fewer channels"
            )
        self.width = channels[-1]
        layers: list[nn.Module] = []
        for before, after in pairwise((in_channels + 2, *channels)):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
            layers += [nn.MaxPool2d(2), nn.ReLU(inplace=True)]  # ReLU has only a quarter of the values then
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W] normalised pixels to [B, width, *grid]."""
        b, _, h, w = images.shape
        rows = torch.linspace(-1, 1, h, device=images.device, dtype=images.dtype).view(1, 1, h, 1).expand(b, 1, h, w)
        columns = torch.linspace(-1, 1, w, device=images.device, dtype=images.dtype).view(1, 1, 1, w).expand(b, 1, h, w)
        features: Tensor = self.layers(torch.cat([images, rows, columns], dim=1))
        return features
