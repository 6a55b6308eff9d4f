"""The warmup-cosine schedule against values computed by hand."""

import math

import pytest
import torch
from torch import nn

from sightseq.core.schedule import WarmupCosine


def rates(steps: int, **arguments: float) -> list[float]:
    """The learning rate of each step, with a peak of 2."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=2.0)
    schedule = WarmupCosine(optimizer, **arguments)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_by_hand() -> None:
    root = math.sqrt(2)
    expected = [0.5, 1.0, 1.5, 2.0, 2.0, 1 + root / 2, 1.0, 1 - root / 2, 0.0, 0.0]  # stays at 0 after the end
    assert rates(10, total_steps=8, warmup=0.5) == pytest.approx(expected, abs=1e-12)


def test_ends_at_the_final_fraction() -> None:
    found = rates(12, total_steps=10, warmup=0.2, final=0.1)
    assert found[0] == pytest.approx(1.0)
    assert found[6] == pytest.approx(2 * (0.1 + 0.9 / 2))  # halfway between peak and end
    assert found[10:] == pytest.approx([0.2, 0.2])
    assert found[2:] == sorted(found[2:], reverse=True)


def test_without_warmup_it_starts_at_the_peak() -> None:
    assert rates(1, total_steps=100, warmup=0.0) == [2.0]


@pytest.mark.parametrize("total", [1, 2])
def test_shortest_trainings(total: int) -> None:
    assert rates(total, total_steps=total) == [2.0] * total


def test_warmup_longer_than_the_training() -> None:
    assert rates(5, total_steps=4, warmup=1.0) == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
