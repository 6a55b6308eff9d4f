"""Heat maps over the frames of videos, for the report of video classifiers."""

import torch
from torch import Tensor, nn

from sightseq.tasks.classification.saliency import evidence, input_gradients, scaled


class _Clip(nn.Module):
    """A model of clips that takes the frames of one clip [T, C, H, W] as T images: each has the clip's logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        lengths = torch.tensor([len(frames)], device=frames.device)
        logits: Tensor = self.model(frames[None], lengths)
        return logits.expand(len(frames), -1)


def clip_heat(model: nn.Module, clip: Tensor, label: int) -> Tensor:
    """Compute how much evidence for a class each region of each frame of a clip gives.

    By Grad-CAM if the network has a feature map for each frame, else by gradient times input: see `saliency`. Frames
    are compared with each other: a frame that does not matter is dark.

    Args:
        model: maps clips [B, T, C, H, W] and lengths [B] to logits [B, num_classes]. It is left unchanged.
        clip: frames without padding [T, C, H, W], T >= 1.
        label: the class to explain.

    Returns:
        [T, H, W] in 0..1, on the CPU: 1 at the strongest evidence of the clip, 0 where there is none.
    """
    frames_as_images, classes = _Clip(model), torch.full((len(clip),), label)
    # cuDNN cannot compute gradients of a recurrent network in evaluation mode.
    with torch.backends.cudnn.flags(enabled=False):
        heat = evidence(frames_as_images, clip, classes)
        if heat is None or len(heat) != len(clip):  # strides in time give fewer maps than frames
            heat = input_gradients(frames_as_images, clip, classes)
    return scaled(heat, (0, 1, 2))
