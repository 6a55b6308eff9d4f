"""Writing one token after another, on any step function: whole batches, one step of work for each token."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Tokens [B, T] and a state to logits [B, T, vocab_size] and the next state."""
READ = 512  # tokens of a prompt at a time


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: divides the logits; 0 always takes the most probable token.
        top_k: choose among so many of the most probable tokens; None for all.
        top_p: choose among the most probable tokens that together have this probability (nucleus sampling: Holtzman
            et al., 2020, arXiv 1904.09751); 1 for all.
        repetition_penalty: the logits of tokens that were there before are divided by it if positive, and multiplied
            if negative (Keskar et al., 2019, arXiv 1909.05858); 1 for none.
        forbidden: tokens that are never chosen.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    forbidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.repetition_penalty <= 0:
            raise ValueError(
                f"temperature={self.temperature} is 0 or more, top_p={self.top_p} in (0, 1], "
                f"repetition_penalty={self.repetition_penalty} above 0"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k={self.top_k} is at least 1, or null")

    def choose(self, logits: Tensor, seen: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The next token of each row.

        Args:
            logits: [B, vocab_size].
            seen: [B, vocab_size], whether each token was there before.
            generator: of the random numbers, on the device of the logits.

        Returns:
            [B].
        """
        logits = logits.float().clone()
        if self.repetition_penalty != 1:
            penalised = torch.where(logits > 0, logits / self.repetition_penalty, logits * self.repetition_penalty)
            logits = torch.where(seen, penalised, logits)
        if self.forbidden:
            logits[:, list(self.forbidden)] = -torch.inf
        if self.temperature == 0:
            return logits.argmax(dim=1)
        logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[1]:
            least = logits.topk(self.top_k, dim=1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.top_p < 1:
            ordered, places = logits.softmax(dim=1).sort(dim=1, descending=True)
            before = ordered.cumsum(dim=1) - ordered  # the first is always in
            out = torch.zeros_like(before, dtype=torch.bool).scatter(1, places, before >= self.top_p)
            logits = logits.masked_fill(out, -torch.inf)
        return torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]


@contextmanager
def single_tokens(single: bool = True) -> Iterator[None]:
    """Steps of a single token go without oneDNN, which would arrange the weights of an LSTM anew at every call: on a
    CPU, where widths are a thousand, nine tenths of the time.
    """
    enabled = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = enabled and not single  # type: ignore[assignment]  # a property
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = enabled


def advance(step: Step, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
    """The step, in the way that is fast for so many tokens."""
    with single_tokens(tokens.shape[1] == 1):
        return step(tokens, state)


@torch.inference_mode()
def sample(step: Step, prompt: Tensor, count: int, sampling: Sampling, seed: int = 0) -> Iterator[Tensor]:
    """Goes on with a prompt.

    The prompt is read once; from then on each token costs one step from the state that the last one left, however
    long the text has become.

    Args:
        step: see `Step`.
        prompt: [B, T], T at least 1: what each row begins with; the first token opens it and does not count as said.
        count: how many tokens to write.
        sampling: how to choose them.
        seed: of the random numbers.

    Yields:
        The next token of each row [B], `count` times, or until the caller has enough.
    """
    generator = torch.Generator(prompt.device).manual_seed(seed)
    state = None
    for part in torch.split(prompt, READ, dim=1):  # of a long prompt, the logits of all positions would fill the memory
        logits, state = advance(step, part, state)
    seen = torch.zeros_like(logits[:, -1], dtype=torch.bool).scatter(1, prompt[:, 1:], True)
    for number in range(count):
        token = sampling.choose(logits[:, -1], seen, generator)
        yield token
        seen[torch.arange(len(token), device=token.device), token] = True
        if number + 1 < count:
            logits, state = advance(step, token[:, None], state)
