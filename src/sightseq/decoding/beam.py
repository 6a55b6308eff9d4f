"""Beam search over any step function: for whole batches, with one step per token. With one hypothesis it is greedy."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor

from sightseq.decoding.constraints import Constraints, pad_prefixes
from sightseq.decoding.hypotheses import Finished, Hypothesis, Tree
from sightseq.decoding.states import select_examples, select_rows, tensors
from sightseq.decoding.step import Step, run_step

ATTENTION = "attention"  # key of a state that is a dict: attention weights [N, S] of the last token
MASK = "mask"  # key of a memory that is a dict: true where a source position [B, S] is not padding


@dataclass(frozen=True, eq=False)
class BeamSearch:
    """Settings of `beam_search`.

    A hypothesis of T tokens, its end included, has the score

        log p / T^length_penalty + coverage_penalty * sum over source positions of log(min(sum of attention, 1)).

    The first term is the log-probability, divided by a power of the length; 1 gives the mean per token. Wu et al., 2016
    (arXiv 1609.08144) divide by ((5 + T) / 6)^length_penalty instead. The second term is theirs.

    Attributes:
        size: number of hypotheses per example; 1 is greedy search.
        max_length: largest number of tokens without the end: one number, or one per example [B]. A hypothesis of this
            length is finished without an end.
        min_length: smallest number of tokens without the end.
        length_penalty: exponent of the length, at least 0; larger values prefer longer texts.
        coverage_penalty: factor of the coverage term, at least 0; larger values prefer texts that attend to the whole
            source. The step must return its attention: see `beam_search`.
        no_repeat_ngram: no sequence of n tokens occurs twice in a text; 0 allows all.
        forbidden: tokens that are never chosen.
        eos: the token that ends a text; it also starts one.
    """

    size: int = 5
    max_length: int | Tensor = 100
    min_length: int = 0
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    no_repeat_ngram: int = 0
    forbidden: tuple[int, ...] = ()
    eos: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or torch.as_tensor(self.max_length).min() < 1:
            raise ValueError(f"size={self.size} and max_length={self.max_length} must be at least 1")
        if min(self.min_length, self.length_penalty, self.coverage_penalty, self.no_repeat_ngram) < 0:
            raise ValueError(
                f"min_length={self.min_length}, length_penalty={self.length_penalty}, coverage_penalty="
                f"{self.coverage_penalty} and no_repeat_ngram={self.no_repeat_ngram} must be at least 0"
            )
        if self.eos in self.forbidden:
            raise ValueError(f"forbidden={self.forbidden} contains the end of a text")


@torch.inference_mode()
def beam_search(
    step: Step,
    state: Any,
    memory: Any,
    batch_size: int,
    settings: BeamSearch,
    prefix: Sequence[Sequence[int]] | None = None,
    start: Tensor | None = None,
    attention: bool = False,
) -> list[list[Hypothesis]]:
    """Search for the most probable texts of each example.

    At each position, the `size` most probable extensions of the open hypotheses are kept. Those that end a text are
    finished; they take their places in the beam at that position only.

    An example is finished when its `size` best finished hypotheses score at least as high as any open hypothesis can:
    a hypothesis never gains probability, so its score is at most its log-probability divided by
    max_length^length_penalty. Finished examples leave the batch. Each token costs one step with T = 1; the first step
    has one row per example.

    Args:
        step: see `Step`. If its state is a dict, "attention" may be the attention weights [N, S] of the last token.
        state: the state before the first token, with one row per example.
        memory: what depends on the example only; None if the step takes no memory. If it is a dict, "mask" [B, S] is
            true where a source position counts for the coverage; without it all do.
        batch_size: number of examples B.
        settings: see `BeamSearch`.
        prefix: the first tokens of each example, which every hypothesis must have.
        start: the token read before the first one [B]; by default the end of a text.
        attention: return the attention weights of each hypothesis.

    Returns:
        For each example at most `size` hypotheses, the best first. Fewer if there are fewer texts.

    Raises:
        ValueError: a prefix is longer than `max_length`; attention is needed but not in the state; or the step
            returned no valid probability for an example.
    """
    if not batch_size:
        return []
    if start is None:
        device = next(tensors([state, memory]), torch.zeros(0)).device
        start = torch.full((batch_size,), settings.eos, device=device)
    device = start.device
    limits = torch.as_tensor(settings.max_length, device=device).expand(batch_size)
    constraints = _constraints(settings, prefix, limits)
    tree, finished = Tree(attention), Finished(batch_size, settings.size, device)
    # Per example still in the batch [E]:
    examples = torch.arange(batch_size, device=device)
    log_p = torch.zeros(batch_size, 1, device=device)  # of the open hypotheses [E, K]; -inf if finished
    # Per hypothesis [E * K]:
    tokens, nodes = start, torch.full((batch_size,), -1, device=device)
    history = start[:, None][:, :0] if settings.no_repeat_ngram else None
    coverage: Tensor | None = None
    for length in count(1):
        logits, state = run_step(step, tokens[:, None], state, memory)
        next_log_p = logits[:, -1].float().log_softmax(1)
        constraints.apply(next_log_p, examples, history, length - 1)
        # While all examples are inside their prefixes, each has only one hypothesis.
        size = settings.size if length > constraints.shortest else 1
        log_p, parents, tokens = _extend(log_p, next_log_p, size)
        weights = _attention(state) if attention or settings.coverage_penalty else None
        nodes = tree.grow(nodes, parents, tokens, weights)
        limit = limits[examples]
        score = log_p / length**settings.length_penalty
        if settings.coverage_penalty and weights is not None:
            coverage = weights if coverage is None else coverage + weights
            score = score + settings.coverage_penalty * _coverage(coverage, memory)[parents]
        complete = ((tokens == settings.eos) | (length >= limit)[:, None]) & (log_p > -torch.inf)
        finished.add(examples, score.masked_fill(~complete, -torch.inf), log_p, nodes)
        log_p = log_p.masked_fill(complete, -torch.inf)
        # Which examples are finished. The limit also ends those whose probabilities are not numbers.
        best_possible, worst = log_p.amax(1) / limit**settings.length_penalty, finished.score[examples, -1]
        done = (length >= limit) | (best_possible == -torch.inf) | (worst >= best_possible)
        if done.any():
            stay = (~done).nonzero()[:, 0]
            if not len(stay):
                break
            examples, log_p, parents, tokens = examples[stay], log_p[stay], parents[stay], tokens[stay]
            nodes, memory = nodes[stay], select_examples(memory, stay)
        rows, tokens, nodes = parents.flatten(), tokens.flatten(), nodes.flatten()
        if len(rows) != len(logits) or not torch.equal(rows, torch.arange(len(rows), device=device)):
            state = select_rows(state, rows)
            coverage = coverage if coverage is None else coverage[rows]
            history = history if history is None else history[rows]
        history = history if history is None else torch.cat([history, tokens[:, None]], 1)
    return finished.hypotheses(tree, settings.eos)


def _constraints(settings: BeamSearch, prefix: Sequence[Sequence[int]] | None, limits: Tensor) -> Constraints:
    padded, shortest = None, 0
    if prefix is not None and len(prefix):
        lengths = [len(row) for row in prefix]
        if len(lengths) != len(limits) or (torch.tensor(lengths, device=limits.device) > limits).any():
            raise ValueError(
                f"prefix: {len(lengths)} of up to {max(lengths)} tokens; needed: one per example, within max_length"
            )
        padded, shortest = pad_prefixes(prefix, limits.device), min(lengths)
    return Constraints(
        settings.eos, settings.min_length, settings.no_repeat_ngram, settings.forbidden, padded, shortest
    )


def _extend(log_p: Tensor, next_log_p: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the most probable extensions of the hypotheses of each example, sorted.

    Args:
        log_p: log-probabilities of the hypotheses [E, K].
        next_log_p: log-probabilities of their next tokens [E * K, vocab_size].
        size: number of extensions.

    Returns:
        The log-probabilities, the row of the extended hypothesis and the token of each extension, all [E, size].
    """
    best, tokens = next_log_p.topk(min(size, next_log_p.shape[1]), dim=1)  # of each hypothesis
    candidates = (log_p.view(-1, 1) + best).view(len(log_p), -1)
    values, places = candidates.topk(min(size, candidates.shape[1]), dim=1)
    first = torch.arange(len(log_p), device=places.device)[:, None] * log_p.shape[1]
    return values, first + places // best.shape[1], tokens.view(len(log_p), -1).gather(1, places)


def _attention(state: Any) -> Tensor:
    if not isinstance(state, dict) or ATTENTION not in state:
        raise ValueError(f"the step must return a state that is a dict with attention weights [N, S] as {ATTENTION!r}")
    weights: Tensor = state[ATTENTION]
    return weights


def _coverage(coverage: Tensor, memory: Any) -> Tensor:
    """Return the coverage term [N] of summed attention weights [N, S]."""
    terms = coverage.clamp(torch.finfo(coverage.dtype).tiny, 1).log()
    if isinstance(memory, dict) and MASK in memory:
        mask: Tensor = memory[MASK]
        terms = terms.view(len(mask), -1, mask.shape[1]).masked_fill(~mask[:, None], 0).view_as(terms)
    return terms.sum(1)
