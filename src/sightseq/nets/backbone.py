"""Any image classifier of torchvision, with or without pretrained weights."""

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
# Trained with HALF (torchvision converts inside the network), and with side branches that it leaves out on request.
BRANCHED = ("googlenet", "inception_v3")
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])")  # the names in torchvision's own files


class Backbone(nn.Module):
    """A classifier of torchvision by its name there: resnet18, vgg16, mobilenet_v2, efficientnet_b0, convnext_tiny, ...

    Grey images are shown to it as three equal channels. Weights are loaded by `load_weights` when a training begins,
    not here: a network that is rebuilt from a checkpoint fetches none.

    Args:
        num_classes: number of logits.
        image_size: (height, width) in pixels.
        name: of the model, as `torchvision.models.list_models()` gives it.
        weights: None begins at random; DEFAULT takes torchvision's best, downloaded and verified; else the path of
            a state dict in torchvision's layout.
        mean, std: of each channel, on pixel values in 0..1, that the weights were trained with; by default those of
            torchvision's. Without weights the data's own are used.
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
            near = get_close_matches(name, known, 3) or known
            raise ValueError(f"torchvision has no classifier {name}; it has {', '.join(near)}")
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
            with torch.device("meta"):  # computes shapes alone
                get_model(name, num_classes=num_classes, **options).eval()(torch.empty(1, 3, *image_size))
        except NotImplementedError:  # RegNet looks at numbers while it is built
            pass
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"{name} takes no images of {image_size[0]}x{image_size[1]} pixels ({error})") from error
        self.model = get_model(name, num_classes=num_classes, **options)
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d) and max(module.stride) > 1:
                module.register_forward_pre_hook(partial(_unstride, module.stride))

    def load_weights(self) -> None:
        """Loads the pretrained weights into all layers but the last, whose size is that of other classes.

        Raises:
            OSError: they cannot be read or downloaded.
            ValueError: they are those of another model.
            Exception: whatever `torch.load` raises for a file that holds something else.
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
        fitting = {key: given[key] for key in own if key in given and given[key].shape == own[key].shape}
        head = [key for key, _ in self.model.named_parameters()][-1].rpartition(".")[0]
        lacking = [key for key in own if key not in fitting and not key.startswith(f"{head}.")]
        if lacking:
            raise ValueError(
                f"{self.weights} holds no weights of {self.name}: {len(lacking)} of {len(own)} tensors are not in it, "
                f"such as {lacking[0]}"
            )
        own.update(fitting)  # not a plain dictionary: it knows the versions of its layers, as MNASNet asks
        self.model.load_state_dict(own)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1 or 3, H, W] normalised pixels to [B, num_classes] logits."""
        logits: Tensor = self.model(images.expand(-1, 3, -1, -1))
        return logits


def _unstride(stride: tuple[int, ...], conv: nn.Conv2d, inputs: tuple[Tensor]) -> None:
    """Sets the stride to 1 along sides of a single pixel, where it changes nothing, while training.

    On a CPU in bf16, oneDNN leaves the gradients of those weights uninitialised that see nothing but padding there
    (torch 2.13): NaN now and then. Images that are small for the network, 8x8 say, shrink to single pixels.
    """
    conv.stride = stride
    if conv.training and 1 in (sides := inputs[0].shape[-2:]):
        pads = cast(tuple[int, ...], conv.padding)
        same = [2 * pad + 1 == size for pad, size in zip(pads, conv.kernel_size, strict=True)]
        conv.stride = tuple(
            1 if side == 1 and keeps else step for side, keeps, step in zip(sides, same, stride, strict=True)
        )


def _constants(name: str) -> tuple[Constants, Constants]:
    """The means and standard deviations that torchvision's best weights of a model were trained with."""
    presets = get_model_weights(name)["DEFAULT"].transforms()
    return tuple(presets.mean), tuple(presets.std)
