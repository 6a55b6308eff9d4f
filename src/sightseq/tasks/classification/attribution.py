"""Word importance by integrated gradients (Sundararajan et al., 2017, arXiv 1703.01365)."""

import torch
from torch import Tensor, nn

from sightseq.tasks.classification.saliency import at_rest
from sightseq.text.tokenizer import UNKNOWN_ID

STEPS = 32  # of the path from a text of unknown words to the text itself
ROWS = 64  # interpolated texts that go through the network at once


def token_weights(model: nn.Module, tokens: Tensor, lengths: Tensor, classes: Tensor) -> Tensor | None:
    """Compute how much evidence for a class each token of a text gives, compared with an unknown word in its place.

    Args:
        model: maps tokens and lengths to logits [N, num_classes]. Its modes, parameters and gradients are left
            unchanged.
        tokens: token ids [N, T].
        lengths: tokens of each text [N].
        classes: the class to explain for each text; [N].

    Returns:
        [N, T] in -1..1, on the CPU: positive for evidence for the class, negative for evidence against it; the most
        important token of each text has 1 or -1. None if the network has no embedding.
    """
    embedding = next((module for module in model.modules() if isinstance(module, nn.Embedding)), None)
    if embedding is None:
        return None
    from captum.attr import LayerIntegratedGradients  # the import takes a quarter of a second; only a report needs it

    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        # Softmax is invariant to a constant added to all logits. Removing the mean gives both of [0, z] a gradient.
        logits: Tensor = model(tokens, lengths)
        return logits - logits.mean(dim=1, keepdim=True)

    # cuDNN cannot compute gradients of a recurrent network in evaluation mode.
    with torch.inference_mode(False), at_rest(model), torch.backends.cudnn.flags(enabled=False):
        tokens, lengths, classes = (t.to(embedding.weight.device, copy=True) for t in (tokens, lengths, classes))
        attributions: Tensor = LayerIntegratedGradients(score, embedding).attribute(
            tokens,
            torch.full_like(tokens, UNKNOWN_ID),
            target=classes,
            additional_forward_args=(lengths,),
            n_steps=STEPS,
            internal_batch_size=ROWS,
        )
    weights = attributions.detach().sum(2).float().cpu()
    return weights / weights.abs().amax(1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
