"""Importance of each step of a sequence by integrated gradients (Sundararajan et al., 2017, arXiv 1703.01365)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.tasks.classification.saliency import at_rest
from sightseq.tasks.classification.task import expand_single_logit

STEPS = 32  # of the path from a sequence of zeros, the mean, to the sequence itself
ROWS = 64  # interpolated sequences that go through the network at once
BLUR = 3  # neighbouring steps that are averaged


def step_weights(net: nn.Module, features: Tensor, lengths: Tensor, classes: Tensor) -> Tensor:
    """Compute how much evidence for a class each step of a sequence gives, compared with the mean in its place.

    Args:
        net: maps features and lengths to logits [N, num_classes]. It is left unchanged.
        features: [N, T, F].
        lengths: [N].
        classes: the class to explain for each; [N].

    Returns:
        [N, T] in 0..1, on the CPU: 1 at the strongest evidence, 0 where there is none or evidence against the class.
    """
    from captum.attr import IntegratedGradients  # the import takes a quarter of a second; only a report needs it

    def score(features: Tensor, lengths: Tensor) -> Tensor:
        # Softmax is invariant to a constant added to all logits. Removing the mean gives both of [0, z] a gradient.
        logits = expand_single_logit(net(features, lengths))
        return logits - logits.mean(dim=1, keepdim=True)

    # cuDNN cannot compute gradients of a recurrent network in evaluation mode.
    with torch.inference_mode(False), at_rest(net), torch.backends.cudnn.flags(enabled=False):
        # Copies, because autograd cannot use tensors that were created in inference mode.
        features, lengths, classes = (t.to(features.device, copy=True) for t in (features, lengths, classes))
        evidence: Tensor = IntegratedGradients(score).attribute(
            features, target=classes, additional_forward_args=(lengths,), n_steps=STEPS, internal_batch_size=ROWS
        )
    heat = F.avg_pool1d(evidence.detach().sum(2)[:, None], BLUR, stride=1, padding=BLUR // 2)[:, 0].clamp(min=0)
    heat = heat.float().cpu() * (torch.arange(features.shape[1]) < lengths.cpu()[:, None])
    return heat / heat.amax(dim=1, keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)
