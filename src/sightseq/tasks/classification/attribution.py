"""Which words mattered: integrated gradients (Sundararajan et al., 2017, arXiv 1703.01365)."""

import torch
from torch import Tensor, nn

from sightseq.tasks.classification.saliency import at_rest
from sightseq.text.tokenizer import UNKNOWN_ID

STEPS = 32  # between a text of unknown words and the text itself
ROWS = 64  # at a time


def token_weights(model: nn.Module, tokens: Tensor, lengths: Tensor, classes: Tensor) -> Tensor | None:
    """How much each token of each text spoke for a class, against an unknown word in its place.

    Args:
        model: maps tokens and lengths to logits [N, num_classes]. Its modes, its parameters and their gradients stay
            as they were.
        tokens: [N, T].
        lengths: [N].
        classes: the class of each text that is to be explained; [N].

    Returns:
        [N, T] in -1..1, on the CPU: of each text, the most important token has 1 or -1. None for a network without an
        embedding.
    """
    embedding = next((module for module in model.modules() if isinstance(module, nn.Embedding)), None)
    if embedding is None:
        return None
    from captum.attr import LayerIntegratedGradients  # takes a quarter of a second, and only a report needs it

    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        # Softmax knows logits up to a constant alone. Without it, of the [0, z] of one output both have a gradient.
        logits: Tensor = model(tokens, lengths)
        return logits - logits.mean(dim=1, keepdim=True)

    # cuDNN has no gradient of a recurrent network that is not in training.
    with torch.inference_mode(False), at_rest(model), torch.backends.cudnn.flags(enabled=False):
        tokens, lengths, classes = (t.to(embedding.weight.device, copy=True) for t in (tokens, lengths, classes))
        found: Tensor = LayerIntegratedGradients(score, embedding).attribute(
            tokens,
            torch.full_like(tokens, UNKNOWN_ID),
            target=classes,
            additional_forward_args=(lengths,),
            n_steps=STEPS,
            internal_batch_size=ROWS,
        )
    weights = found.detach().sum(2).float().cpu()
    return weights / weights.abs().amax(1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
