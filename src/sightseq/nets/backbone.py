"""Image classifiers of torchvision, with or without pretrained weights."""

import re
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, list_models

Constants = tuple[float, float, float]
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # pixel values from -1 to 1
# Pretrained with HALF (torchvision converts inside the network), and with auxiliary heads, which are left out here.
BRANCHED = ("googlenet", "inception_v3")
# Old parameter names, still used in torchvision's files of weights.
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])")


class Backbone(nn.Module):
    """A classifier of torchvision by name: resnet18, vgg16, mobilenet_v2, efficientnet_b0, convnext_tiny, ...

    Grey images are repeated to three equal channels. `load_weights` loads the pretrained weights when training starts;
    a network that is rebuilt from a checkpoint never downloads any.

    Args:
        num_classes: number of logits.
        image_size: (height, width) in pixels.
        name: name of the model in `torchvision.models.list_models()`.
        weights: None for random weights; "DEFAULT" for torchvision's best weights, downloaded and verified; else the
            path of a state dict in torchvision's layout.
        mean, std: normalisation per channel, on pixel values in 0..1, that the weights were trained with; by default
            that of torchvision's weights. Without weights, the data's own normalisation is used.

    Raises:
        ValueError: torchvision has no such model, or the model does not accept images of this size.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: tuple[int, int],
        name: str = "resnet18",
        weights: str | None = None,
        mean: Constants | None = None,
        std: Constants | None = None,
    ) -> None:
        super().__init__()
        known = list_models(module=torchvision.models)
        if name not in known:
            nearest = get_close_matches(name, known, 3) or known
            raise ValueError(f"torchvision has no classifier {name}; it has {', '.join(nearest)}")
        self.name, self.weights = name, weights
        self.constants: tuple[tuple[float, ...], tuple[float, ...]] | None = None
        if weights:
            default = HALF if name in BRANCHED else _constants(name)
            self.constants = (tuple(mean or default[0]), tuple(std or default[1]))
        options: dict[str, Any] = {}
        if name in BRANCHED:
            options = {"aux_logits": False, "init_weights": True}
        elif name.startswith("vit_"):
            options = {"image_size": image_size[0]}
        try:
            with torch.device("meta"):  # computes only shapes
                get_model(name, num_classes=num_classes, **options).eval()(torch.empty(1, 3, *image_size))
        except NotImplementedError:  # RegNet reads values of tensors while it is built, which meta tensors do not have
            pass
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"{name} does not accept images of {image_size[0]}x{image_size[1]} pixels ({error})"
            ) from error
        self.model = get_model(name, num_classes=num_classes, **options)
        self.head: str | None = [key for key, _ in self.model.named_parameters()][-1].rpartition(".")[0]
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d) and max(module.stride) > 1:
                module.register_forward_pre_hook(partial(_unstride, module.stride))

    def load_weights(self) -> None:
        """Load the pretrained weights into all layers except, if its shape differs, the classifier's last one.

        Raises:
            OSError: the weights cannot be read or downloaded.
            ValueError: the weights belong to another model.
            Exception: any exception of `torch.load` for a file of another kind.
        """
        if self.weights is None:
            return
        if self.weights == "DEFAULT":
            given = get_model_weights(self.name)["DEFAULT"].get_state_dict(progress=True, check_hash=True)
        else:
            given = torch.load(Path(self.weights).expanduser(), map_location="cpu", weights_only=True)
            given = given.get("state_dict", given)
        given = {OLD_DENSENET.sub(r"\1\2", key): value for key, value in given.items()}
        own = self.model.state_dict()
        matching = {key: given[key] for key in own if key in given and given[key].shape == own[key].shape}
        absent = [key for key in own if key not in matching and not key.startswith(f"{self.head}.")]
        if absent:
            raise ValueError(
                f"{self.weights} does not contain the weights of {self.name}: {len(absent)} of {len(own)} tensors are "
                f"not in it, such as {absent[0]}"
            )
        own.update(matching)  # keeps the metadata of the state dict (versions of layers), which MNASNet needs
        self.model.load_state_dict(own)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1 or 3, H, W] normalised pixels to [B, num_classes] logits."""
        logits: Tensor = self.model(images.expand(-1, 3, -1, -1))
        return logits


def _unstride(stride: tuple[int, ...], conv: nn.Conv2d, inputs: tuple[Tensor]) -> None:
    """Forward pre-hook: in training, set the stride to 1 along sides of one pixel, where the output is the same.

    On a CPU in bf16, oneDNN (torch 2.13) does not initialise the gradients of weights that see only padding, so some
    are NaN. This happens when small images, such as 8x8, shrink to one pixel inside the network.
    """
    conv.stride = stride
    if conv.training and 1 in (sides := inputs[0].shape[-2:]):
        pads = cast(tuple[int, ...], conv.padding)
        same = [2 * pad + 1 == size for pad, size in zip(pads, conv.kernel_size, strict=True)]
        conv.stride = tuple(
            1 if side == 1 and is_same else step for side, is_same, step in zip(sides, same, stride, strict=True)
        )


def _constants(name: str) -> tuple[Constants, Constants]:
    """Means and standard deviations that torchvision's best weights of a model were trained with."""
    presets = get_model_weights(name)["DEFAULT"].transforms()
    return tuple(presets.mean), tuple(presets.std)
