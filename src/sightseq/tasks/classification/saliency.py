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
BLUR = 5  # positions along each axis over which gradients are averaged
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)


def heat_maps(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor | None:
    """Compute how much evidence for a class each region of an image gives; see `evidence`.

    Returns:
        [N, H, W] in 0..1, on the CPU: 1 at the strongest evidence of each image, 0 where there is none; or None.
    """
    heat = evidence(model, images, classes)
    return None if heat is None else scaled(heat, (1, 2))


def scaled(heat: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Divide a heat map by its largest value over these axes; the result is in 0..1."""
    return heat / heat.amax(dim=axes, keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)


def evidence(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor | None:
    """Compute how much evidence for a class each region of an image gives, from the network's last feature map.

    Args:
        model: maps images to logits [N, num_classes]. Its modes, parameters and gradients are left unchanged.
        images: input of the model [N, C, H, W], N >= 1.
        classes: the class to explain for each image; [N].

    Returns:
        [N, H, W], on the CPU: not negative; 0 where there is none or evidence against the class. None where no useful
        map exists: the images or feature maps are too small, the network has no feature map at its end (such as dense
        networks and vision transformers), or it blocks gradients.
    """
    if min(images.shape[2:]) < SMALLEST_IMAGE:
        return None
    from captum.attr import LayerGradCam  # the import takes a quarter of a second; only a report needs it

    with torch.inference_mode(False), at_rest(model):
        device = next((parameter.device for parameter in model.parameters()), images.device)
        # Copies, because autograd cannot use tensors that were created in inference mode.
        images, classes = images.to(device, copy=True), classes.to(device, copy=True)
        last_map = _last_map(model, images[:1])
        if not last_map:
            return None
        layer, grid = last_map
        try:
            method = LayerGradCam(lambda inputs: _centred(model(inputs)), layer)
            maps: Tensor = method.attribute(images, classes, relu_attributions=True)
        except RuntimeError as error:  # a network that blocks gradients must not abort the run
            log.warning("no class-activation maps: %s", error)
            return None
    # Not captum's LayerAttribution.interpolate: its even spacing shifts the map of strided or unpadded convolutions.
    return grid.spread(maps.detach().float().cpu(), *images.shape[2:])


def input_gradients(model: nn.Module, inputs: Tensor, classes: Tensor) -> Tensor:
    """Compute the evidence of each position for a class as gradient times input, where positive.

    Simonyan et al., 2014 (arXiv 1312.6034); Shrikumar et al., 2017 (arXiv 1704.02685). Unlike `evidence`, it needs no
    feature map.

    Args:
        model: maps inputs to logits [N, num_classes]. It is left unchanged.
        inputs: [N, C, H, W], N >= 1.
        classes: the class to explain for each input; [N].

    Returns:
        [N, H, W], averaged over neighbours, on the CPU.
    """
    # cuDNN cannot compute gradients of a recurrent network in evaluation mode.
    with torch.inference_mode(False), at_rest(model), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        device = next((parameter.device for parameter in model.parameters()), inputs.device)
        # Copies, because autograd cannot use tensors that were created in inference mode.
        inputs, classes = inputs.to(device, copy=True).requires_grad_(True), classes.to(device, copy=True)
        scores = _centred(model(inputs))
        (gradient,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), inputs)
    found = (gradient * inputs.detach()).sum(1, keepdim=True).clamp(min=0).float().cpu()
    return F.avg_pool2d(found, BLUR, stride=1, padding=BLUR // 2)[:, 0]


def _centred(logits: Tensor) -> Tensor:
    """Subtract the mean of the logits, to which softmax is invariant: then both of [0, z] have a gradient."""
    return logits - logits.mean(dim=1, keepdim=True)


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
