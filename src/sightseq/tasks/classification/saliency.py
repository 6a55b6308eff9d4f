"""Where an image classifier looked: Grad-CAM (Selvaraju et al., 2017, arXiv 1610.02391)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

log = logging.getLogger("sightseq")

SMALLEST_IMAGE = 32  # pixels; smaller ones, such as digits, are taken in at a glance
SMALLEST_MAP = 3  # cells; fewer tell no more than left from right
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)


def heat_maps(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor | None:
    """How much each region of each image spoke for a class, by the last feature map of the network.

    Args:
        model: maps images to logits [N, num_classes]. Its modes, its parameters and their gradients stay as they were.
        images: [N, C, H, W] as the model takes them, at least one.
        classes: the class of each image that is to be explained; [N].

    Returns:
        [N, H, W] in 0..1, on the CPU: 1 where the image spoke for the class most, 0 where it did not or spoke
        against it. None where that says nothing: of images or maps that are too small, and of networks whose last
        word is no map, such as dense ones and vision transformers.
    """
    if min(images.shape[2:]) < SMALLEST_IMAGE:
        return None
    from captum.attr import LayerGradCam  # takes a quarter of a second, and only a report needs it

    def score(inputs: Tensor) -> Tensor:
        # Softmax knows logits up to a constant alone. Without it, of the [0, z] of one output both have a gradient.
        logits: Tensor = model(inputs)
        return logits - logits.mean(dim=1, keepdim=True)

    with torch.inference_mode(False), at_rest(model):
        device = next((parameter.device for parameter in model.parameters()), images.device)
        # Copies, because what was kept in inference mode may not be used where gradients are.
        images, classes = images.to(device, copy=True), classes.to(device, copy=True)
        found = _last_map(model, images[:1])
        if not found:
            return None
        layer, grid = found
        try:
            maps: Tensor = LayerGradCam(score, layer).attribute(images, classes, relu_attributions=True)
        except RuntimeError as error:  # a network that hides its gradients; no training is to be lost over a picture
            log.warning("no class-activation maps: %s", error)
            return None
    heat = grid.spread(maps.detach().float().cpu(), *images.shape[2:])
    return heat / heat.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)


@dataclass(frozen=True)
class Grid:
    """Where the cells of a feature map look, in pixels (y, x): the centre of the first, and the step to the next.

    A 3x3 convolution of stride 2 with a padding of 1 looks at the pixels about 0, 2, 4, ..., and not about 0.5, 2.5,
    4.5, ..., as one would think who spreads its map evenly over the image. After five of them that is half a cell.
    """

    start: tuple[float, float] = (0.0, 0.0)
    step: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def even(cls, pixels: torch.Size, cells: torch.Size) -> "Grid":
        """That of cells which share the image among them."""
        down, across = (size / count for size, count in zip(pixels, cells, strict=True))
        return cls(((down - 1) / 2, (across - 1) / 2), (down, across))

    def after(self, layer: nn.Module) -> "Grid":
        """That of the map which a convolution or a pooling makes of one that lies here."""
        sizes = [getattr(layer, name, 1) for name in ("kernel_size", "stride", "padding", "dilation")]
        start, step = [], []
        for axis in (0, 1):
            kernel, stride, padding, dilation = (size if isinstance(size, int) else size[axis] for size in sizes)
            start.append(self.start[axis] + self.step[axis] * (dilation * (kernel - 1) / 2 - padding))
            step.append(self.step[axis] * stride)
        return Grid((start[0], start[1]), (step[0], step[1]))

    def spread(self, maps: Tensor, height: int, width: int) -> Tensor:
        """Maps [N, 1, h, w] over the pixels of their images: [N, height, width], smooth and not negative."""
        places = [
            2 * (torch.arange(size) - start) / (step * (cells - 1)) - 1  # -1 is the first cell, 1 the last
            for size, start, step, cells in zip((height, width), self.start, self.step, maps.shape[2:], strict=True)
        ]
        y, x = torch.meshgrid(places, indexing="ij")
        where = torch.stack([x, y], dim=-1).expand(len(maps), -1, -1, -1)  # [N, height, width, 2]
        heat = F.grid_sample(maps, where, mode="bicubic", padding_mode="border", align_corners=True)
        return heat.squeeze(1).clamp(min=0)


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Within it the model is in evaluation mode and its parameters take no gradients, which saves memory."""
    modes = [(module, module.training) for module in model.modules()]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        model.eval().requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def _last_map(model: nn.Module, image: Tensor) -> tuple[nn.Module, Grid] | None:
    """The layer that yields the last feature map of an image [1, C, H, W], and where its cells look.

    It is the last one before a pooling, as in the paper: what is pooled says the same in fewer cells. Of layers
    within each other that yield the same map it is the outermost. Of a layer that is called several times the last
    call counts, as it does for captum.
    """
    maps: dict[nn.Module, torch.Size] = {}  # in order of execution
    grids = {image.shape[2:]: Grid()}  # by size: paths that meet again look at the same places
    pooled: Tensor | None = None

    def watch(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal pooled
        maps.pop(layer, None)
        if not isinstance(output, Tensor):
            return
        size = output.shape[2:]
        moves = isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) and not isinstance(layer.padding, str)
        if moves and inputs and size not in grids and (before := grids.get(inputs[0].shape[2:])):
            grids[size] = before.after(layer)
        if output.ndim == 3 or (isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1 and size.numel() == 1):
            maps.clear()  # tokens that look everywhere, or a map that shrank to a point: no place is left
        elif isinstance(layer, POOLING):
            pooled = output
        elif output.ndim == 4 and size.numel() > 1 and output.shape != image.shape and output is not pooled:
            maps[layer] = size

    hooks = [module.register_forward_hook(watch) for module in model.modules()]
    try:
        model(image)
    finally:
        for hook in hooks:
            hook.remove()
    if not maps:
        return None
    layer, size = maps.popitem()
    return (layer, grids.get(size, Grid.even(image.shape[2:], size))) if min(size) >= SMALLEST_MAP else None
