"""Heat maps over spectrograms, for the report of sound classifiers."""

import torch
from torch import Tensor, nn

from sightseq.tasks.classification.saliency import heat_maps, input_gradients, scaled
from sightseq.tasks.classification.task import expand_single_logit


class _AtLengths(nn.Module):
    """A network with the lengths of its inputs fixed: features [N, C, F, T] to logits."""

    def __init__(self, net: nn.Module, lengths: Tensor) -> None:
        super().__init__()
        self.net, self.lengths = net, lengths

    def forward(self, features: Tensor) -> Tensor:
        return expand_single_logit(self.net(features, self.lengths[: len(features)]))


def spectrogram_heat(net: nn.Module, features: Tensor, lengths: Tensor, classes: Tensor) -> Tensor:
    """Compute how much evidence for a class each time and frequency gives.

    By Grad-CAM if the network has a feature map with frequencies and times at its end, else by gradient times input
    (Simonyan et al., 2014, arXiv 1312.6034; Shrikumar et al., 2017, arXiv 1704.02685).

    Args:
        net: maps features and lengths to logits [N, num_classes]. It is left unchanged.
        features: [N, C, F, T], on the device of the network, N >= 1.
        lengths: frames of each [N].
        classes: the class to explain for each; [N].

    Returns:
        [N, F, T] in 0..1, on the CPU: 1 at the strongest evidence, 0 where there is none or evidence against the class,
        and at padding.
    """
    with torch.inference_mode(False):
        # Copies, because autograd cannot use tensors that were created in inference mode.
        lengths, classes = lengths.clone(), classes.to(features.device, copy=True)
        model = _AtLengths(net, lengths)
        heat = heat_maps(model, features, classes)
        if heat is None:
            heat = input_gradients(model, features, classes)
    real = torch.arange(heat.shape[2]) < lengths.cpu()[:, None]  # [N, T]
    heat = heat * real[:, None]
    return scaled(heat, (1, 2))
