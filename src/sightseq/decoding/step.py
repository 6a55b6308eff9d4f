"""Step functions of decoders: the interface between networks and decoding."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

Step = Callable[..., tuple[Tensor, Any]]
"""Maps tokens [N, T], a state and a memory to logits [N, T, vocab_size] and the next state.

The state holds what depends on the tokens read so far; its rows are in the second-last dimension of every tensor
[..., N, width]. The memory holds what depends on the example only, such as the outputs of an encoder; its tensors are
[B, ...]. N is B times K: the K hypotheses of an example are adjacent. A step without a memory, such as a language
model, takes tokens and a state only; the first state may be None."""
FEW_ROWS = 20  # below this number of rows, a step of single tokens is faster without oneDNN


@contextmanager
def single_tokens(single: bool = True) -> Iterator[None]:
    """Disable oneDNN in this context for steps of a single token.

    oneDNN reorders the weights of an LSTM at every call, which takes nine tenths of the time of such a step on a CPU
    with layers a thousand units wide.

    Args:
        single: False leaves oneDNN as it is.
    """
    enabled = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = enabled and not single  # type: ignore[assignment]  # a property
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = enabled


def run_step(step: Step, tokens: Tensor, state: Any, memory: Any = None) -> tuple[Tensor, Any]:
    """Run the step; without oneDNN for a single token of a few rows: see `single_tokens`.

    Args:
        step: see `Step`.
        tokens: [N, T].
        state: the state before the tokens.
        memory: None if the step takes no memory.

    Returns:
        The logits [N, T, vocab_size] and the next state.
    """
    with single_tokens(tokens.shape[1] == 1 and len(tokens) < FEW_ROWS):
        return step(tokens, state) if memory is None else step(tokens, state, memory)
