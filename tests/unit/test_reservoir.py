"""Selection of the few samples that a report shows."""

import math

import pytest
import torch
from torch import Tensor

from sightseq.core.reservoir import Reservoir


def add(reservoir: Reservoir, keys: Tensor, first: int = 0) -> None:
    """Add rows with the indices first, first + 1, ..."""
    index = torch.arange(first, first + len(keys))
    reservoir.add(keys, {"index": index, "image": index[:, None].expand(-1, 3) * 10})


@pytest.mark.parametrize("batch", [1, 7, 64, 500])
def test_keeps_the_highest_keys_whatever_the_batches(batch: int) -> None:
    keys = torch.randn(500, generator=torch.Generator().manual_seed(0))
    reservoir = Reservoir(24)
    for start in range(0, 500, batch):
        add(reservoir, keys[start : start + batch], start)
    rows = reservoir.rows()
    assert rows["index"].tolist() == keys.argsort(descending=True)[:24].tolist()
    assert torch.equal(rows["image"][:, 1], rows["index"] * 10)


def test_negative_keys_and_nan_are_not_kept() -> None:
    reservoir = Reservoir(5)
    add(reservoir, torch.tensor([-1.0, 0.5, math.nan, 0.0, -0.1]))
    assert reservoir.rows()["index"].tolist() == [1, 3]


def test_of_equal_keys_the_first_are_kept() -> None:
    reservoir = Reservoir(3)
    add(reservoir, torch.ones(2))
    add(reservoir, torch.ones(4), first=2)
    assert reservoir.rows()["index"].tolist() == [0, 1, 2]


def test_empty_at_first_and_after_clear() -> None:
    reservoir = Reservoir(2)
    assert reservoir.rows() == {}
    add(reservoir, torch.tensor([-1.0]))
    assert reservoir.rows() == {}
    add(reservoir, torch.tensor([9.0]))
    reservoir.clear()
    assert reservoir.rows() == {}
    add(reservoir, torch.tensor([1.0]), first=5)
    assert reservoir.rows()["index"].tolist() == [5]


def test_rows_are_copies_without_gradients() -> None:
    batch = torch.zeros(4, 2, requires_grad=True)
    shown = batch * 1
    reservoir = Reservoir(2)
    reservoir.add(torch.ones(4, requires_grad=True), {"input": shown})
    kept = reservoir.rows()["input"]
    assert not kept.requires_grad
    shown.data.fill_(9)
    assert kept.sum() == 0


def test_rows_of_unequal_shapes_are_padded_at_their_ends() -> None:
    reservoir = Reservoir(3)
    reservoir.add(torch.tensor([1.0]), {"image": torch.ones(1, 2, 3)})
    reservoir.add(torch.tensor([2.0, 0.5]), {"image": torch.ones(2, 4, 1)})
    found = reservoir.rows()["image"]
    assert found.shape == (3, 4, 3)
    assert found.sum((1, 2)).tolist() == [4, 6, 4]  # highest key first
    assert found[1, :2].eq(1).all()
