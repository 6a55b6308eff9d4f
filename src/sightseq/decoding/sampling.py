"""Sampling of tokens from any step function: for whole batches, with one step per token."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sightseq.decoding.step import Step, run_step

READ = 512  # tokens of a prompt per step


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: divides the logits; 0 always takes the most probable token.
        top_k: choose among this number of most probable tokens; None for all.
        top_p: choose among the smallest set of most probable tokens whose total probability is at least this (nucleus
            sampling: Holtzman et al., 2020, arXiv 1904.09751); 1 for all.
        repetition_penalty: divides the positive logits and multiplies the negative logits of tokens that occurred
            before (Keskar et al., 2019, arXiv 1909.05858); 1 for no penalty.
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
                f"temperature={self.temperature} must be 0 or more, top_p={self.top_p} in (0, 1], "
                f"repetition_penalty={self.repetition_penalty} above 0"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k={self.top_k} must be at least 1, or null")

    def choose(self, logits: Tensor, seen: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Choose the next token of each row.

        Args:
            logits: [B, vocab_size].
            seen: [B, vocab_size], whether each token occurred before.
            generator: random generator on the device of the logits; by default torch's own.

        Returns:
            Token ids [B].
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
            before = ordered.cumsum(dim=1) - ordered  # 0 for the first, which is always kept
            excluded = torch.zeros_like(before, dtype=torch.bool).scatter(1, places, before >= self.top_p)
            logits = logits.masked_fill(excluded, -torch.inf)
        return torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]


@torch.inference_mode()
def sample(
    step: Step,
    prompt: Tensor,
    count: int,
    sampling: Sampling,
    seed: int = 0,
    state: Any = None,
    memory: Any = None,
) -> Iterator[Tensor]:
    """Sample the continuation of a prompt.

    The prompt is read once. Then each token takes one step from the last state, whatever the length of the text.

    Args:
        step: see `Step`.
        prompt: [B, T], T at least 1. The first token only starts the text: the repetition penalty ignores it.
        count: number of tokens to sample.
        sampling: how each token is chosen.
        seed: seed of the random generator.
        state: the state before the prompt.
        memory: what the step reads besides the tokens; None if it takes no memory.

    Yields:
        The next token of each row [B], `count` times.
    """
    generator = torch.Generator(prompt.device).manual_seed(seed)
    # In parts, because the logits of all positions of a long prompt may not fit into memory.
    for part in torch.split(prompt, READ, dim=1):
        logits, state = run_step(step, part, state, memory)
    seen = torch.zeros_like(logits[:, -1], dtype=torch.bool).scatter(1, prompt[:, 1:], True)
    for position in range(count):
        token = sampling.choose(logits[:, -1], seen, generator)
        yield token
        seen[torch.arange(len(token), device=token.device), token] = True
        if position + 1 < count:
            logits, state = run_step(step, token[:, None], state, memory)
