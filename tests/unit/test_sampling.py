"""Sampling of the next token."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sightseq.decoding.sampling import Sampling, sample
from sightseq.decoding.step import FEW_ROWS, run_step

LOGITS = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()


def frequencies(
    sampling: Sampling, logits: Tensor = LOGITS, seen: tuple[int, ...] = (), count: int = 20_000
) -> list[float]:
    """The relative frequency of each sampled token."""
    was = torch.zeros(count, len(logits), dtype=torch.bool)
    was[:, list(seen)] = True
    chosen = sampling.choose(logits.expand(count, -1), was, torch.Generator().manual_seed(0))
    return (torch.bincount(chosen, minlength=len(logits)) / count).tolist()


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.5, 0.25, 0.15, 0.1]),
        (Sampling(temperature=0), [1, 0, 0, 0]),
        (Sampling(temperature=0.5), [0.25 / 0.345, 0.0625 / 0.345, 0.0225 / 0.345, 0.01 / 0.345]),
        (Sampling(top_k=2), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(top_k=9), [0.5, 0.25, 0.15, 0.1]),
        (Sampling(top_p=0.5), [1, 0, 0, 0]),
        (Sampling(top_p=0.6), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(top_p=0.001), [1, 0, 0, 0]),
        (Sampling(forbidden=(0,)), [0, 0.5, 0.3, 0.2]),
        (Sampling(temperature=0, forbidden=(0, 1)), [0, 0, 1, 0]),
        (Sampling(top_k=2, forbidden=(0,)), [0, 0.625, 0.375, 0]),
    ],
)
def test_frequencies_by_hand(sampling: Sampling, expected: list[float]) -> None:
    assert frequencies(sampling) == pytest.approx(expected, abs=0.015)


def test_repeated_tokens_are_less_probable() -> None:
    logits = torch.tensor([2.0, 2.0, -1.0, -1.0])
    found = frequencies(Sampling(repetition_penalty=2), logits, seen=(0, 2))
    expected = torch.tensor([1.0, 2.0, -2.0, -1.0]).softmax(0).tolist()
    assert found == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"top_k": 0}, {"repetition_penalty": 0}]
)
def test_invalid_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)


def successor(tokens: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """Predicts (id + 1) % 10 with a probability of almost 1; the state counts the tokens read."""
    read = torch.zeros(1) if state is None else state
    logits = 20 * torch.nn.functional.one_hot((tokens + 1) % 10, 10).float()
    return logits, read + tokens.shape[1]


def test_each_token_needs_one_step() -> None:
    calls: list[int] = []

    def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        calls.append(tokens.shape[1])
        return successor(tokens, state)

    found = torch.stack(list(sample(step, torch.tensor([[1, 2, 3], [5, 6, 7]]), 4, Sampling())), dim=1)
    assert found.tolist() == [[4, 5, 6, 7], [8, 9, 0, 1]]
    assert calls == [3, 1, 1, 1]


def test_the_step_may_take_a_state_and_a_memory() -> None:
    def step(tokens: Tensor, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        return 50 * torch.nn.functional.one_hot((tokens + memory + state) % 10, 10).float(), state + 1

    start, memory = torch.zeros(2, 1, dtype=torch.long), torch.tensor([[1], [2]])
    found = torch.stack(list(sample(step, start, 4, Sampling(), state=torch.ones(1, 1).long(), memory=memory)), dim=1)
    assert found.tolist() == [[2, 5, 9, 4], [3, 7, 2, 8]]


def test_samples_depend_on_the_seed() -> None:
    def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        return torch.zeros(*tokens.shape, 50), state

    def draw(seed: int) -> list[list[int]]:
        return [t.tolist() for t in sample(step, torch.zeros(3, 1, dtype=torch.long), 10, Sampling(), seed)]

    assert draw(1) == draw(1) != draw(2)
    assert len({tuple(row) for row in zip(*draw(1), strict=True)}) == 3  # the rows are sampled independently


def test_only_single_tokens_of_few_rows_disable_onednn() -> None:
    seen = []

    def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        seen.append(torch.backends.mkldnn.enabled)
        if state == "broken":
            raise ValueError("broken")
        return torch.zeros(*tokens.shape, 50), state

    before = torch.backends.mkldnn.enabled
    list(sample(step, torch.zeros(1, 3, dtype=torch.long), 2, Sampling()))
    list(sample(step, torch.zeros(FEW_ROWS, 1, dtype=torch.long), 1, Sampling()))
    assert seen == [before, False, before]
    with pytest.raises(ValueError, match="broken"):
        run_step(step, torch.zeros(1, 1, dtype=torch.long), "broken")
    assert torch.backends.mkldnn.enabled == before
