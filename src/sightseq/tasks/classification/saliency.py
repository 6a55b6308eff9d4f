"""Grad-CAM heat maps for image classifiers (Selvaraju et al., 2017, arXiv 1610.02391)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

log = logging.getLogger("sightseq")

SMALLEST_IMAGE = 32  # pixels per side; in smaller images, such as digits, there is no region to point out
SMALLEST_MAP = 3  # cells per side; a coarser map only separates left from right
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)


def heat_maps(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor | None:
    """Compute how much evidence for a class each region of an image gives, from the network's last feature map.

    Args:
        model: maps images to logits [N, num_classes]. Its modes, parameters and gradients are left unchanged.
        images: input of the model [N, C, H, W], N >= 1.
        classes: the class to explain for each image; [N].

    Returns:
        [N, H, W] in 0..1, on the CPU: 1 at the strongest evidence for the class, 0 where there is none or evidence
        against it. None where no useful map exists: the images or feature maps are too small, the network has no
        feature map at its end (such as dense networks and vision transformers), or it blocks gradients.
    """
    if min(images.shape[2:]) < SMALLEST_IMAGE:
        return None
    from captum.attr import LayerGradCam  # the import takes a quarter of a second; only a report needs it

    def score(inputs: Tensor) -> Tensor:
        # Softmax is invariant to a constant added to all logits. Removing the mean gives both of [0, z] a gradient.
        logits: Tensor = model(inputs)
        return logits - logits.mean(dim=1, keepdim=True)

    with torch.inference_mode(False), at_rest(model):
        device = next((parameter.device for parameter in model.parameters()), images.device)
        # Copies, because autograd cannot use tensors that were created in inference mode.
        images, classes = images.to(device, copy=True), classes.to(device, copy=True)
        last_map = _last_map(model, images[:1])
        if not last_map:
            return None
        layer, grid = last_map
        try:
            maps: Tensor = LayerGradCam(score, layer).attribute(images, classes, relu_attributions=True)
        except RuntimeError as error:  # a network that blocks gradients must not abort the run
            log.warning("no class-activation maps: %s", error)
            return None
    # Not captum's LayerAttribution.interpolate: its even spacing shifts the map of strided or unpadded convolutions.
    heat = grid.spread(maps.detach().float().cpu(), *images.shape[2:])
    return heat / heat.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)


@dataclass(frozen=True)
class Grid:
    """Positions of the cells of a feature map in the image.

    The receptive fields of a 3x3 convolution with stride 2 and padding 1 are centred at pixels 0, 2, 4, ..., not at
    0.5, 2.5, 4.5, ..., as even spacing over the image would give. After five such layers the offset is half a cell:
    16 pixels in MobileNetV2.

    Attributes:
        start: centre of the first cell (y, x), in pixels.
        step: distance from one centre to the next (y, x), in pixels.
    """

    start: tuple[float, float] = (0.0, 0.0)
    step: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def even(cls, pixels: torch.Size, cells: torch.Size) -> "Grid":
        """Return the grid of cells that divide the image evenly."""
        down, across = (size / count for size, count in zip(pixels, cells, strict=True))
        return cls(((down - 1) / 2, (across - 1) / 2), (down, across))

    def after(self, layer: nn.Module) -> "Grid":
        """Return the grid of the output of a convolution or pooling whose input has this grid."""
        sizes = [getattr(layer, name, 1) for name in ("kernel_size", "stride", "padding", "dilation")]
        start, step = [], []
        for axis in (0, 1):
            kernel, stride, padding, dilation = (size if isinstance(size, int) else size[axis] for size in sizes)
            start.append(self.start[axis] + self.step[axis] * (dilation * (kernel - 1) / 2 - padding))
            step.append(self.step[axis] * stride)
        return Grid((start[0], start[1]), (step[0], step[1]))

    def spread(self, maps: Tensor, height: int, width: int) -> Tensor:
        """Interpolate maps [N, 1, h, w] to the pixels of the images; [N, height, width], smooth, not negative."""
        positions = [
            2 * (torch.arange(size) - start) / (step * (cells - 1)) - 1  # -1 is the first cell, 1 the last
            for size, start, step, cells in zip((height, width), self.start, self.step, maps.shape[2:], strict=True)
        ]
        y, x = torch.meshgrid(positions, indexing="ij")
        sampling_grid = torch.stack([x, y], dim=-1).expand(len(maps), -1, -1, -1)  # [N, height, width, 2]
        heat = F.grid_sample(maps, sampling_grid, mode="bicubic", padding_mode="border", align_corners=True)
        return heat.squeeze(1).clamp(min=0)


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode without parameter gradients, which saves memory; restore both afterwards."""
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
    """Find the layer that outputs the last feature map for an image [1, C, H, W], and the grid of that map.

    The output of a pooling is skipped, as in the paper: it has the same content in fewer cells. If nested layers
    output the same map, the outermost is returned. If a layer is called several times, its last call counts, as in
    captum.
    """
    maps: dict[nn.Module, torch.Size] = {}  # in order of execution
    grids = {image.shape[2:]: Grid()}  # by map size: branches that merge again have the same grid
    pooled: Tensor | None = None

    def record(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal pooled
        maps.pop(layer, None)
        if not isinstance(output, Tensor):
            return
        size = output.shape[2:]
        changes_grid = isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) and not isinstance(layer.padding, str)
        if changes_grid and inputs and size not in grids and (before := grids.get(inputs[0].shape[2:])):
            grids[size] = before.after(layer)
        if output.ndim == 3 or (isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1 and size.numel() == 1):
            maps.clear()  # tokens of a transformer, or a 1x1 map: positions are lost
        elif isinstance(layer, POOLING):
            pooled = output
        elif output.ndim == 4 and size.numel() > 1 and output.shape != image.shape and output is not pooled:
            maps[layer] = size

    hooks = [module.register_forward_hook(record) for module in model.modules()]
    try:
        model(image)
    finally:
        for hook in hooks:
            hook.remove()
    if not maps:
        return None
    layer, size = maps.popitem()
    return (layer, grids.get(size, Grid.even(image.shape[2:], size))) if min(size) >= SMALLEST_MAP else None
