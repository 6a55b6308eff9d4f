"""Selection of rows and examples in nested structures."""

from typing import NamedTuple

import torch
from torch import Tensor

from sightseq.decoding.states import select_examples, select_rows, tensors


class Pair(NamedTuple):
    h: Tensor
    c: Tensor


def test_rows_are_in_the_second_last_dimension() -> None:
    h, feed = torch.arange(6.0).view(1, 3, 2), torch.arange(3.0).view(3, 1)
    state = {"layers": [(h, h + 1), Pair(h, h)], "feed": feed, "position": 4, "none": None}
    found = select_rows(state, torch.tensor([2, 0, 0, 1]))
    expected = torch.tensor([[[4.0, 5.0], [0.0, 1.0], [0.0, 1.0], [2.0, 3.0]]])
    assert torch.equal(found["layers"][0][0], expected)
    assert torch.equal(found["layers"][0][1], expected + 1)
    assert isinstance(found["layers"][0], tuple)
    assert isinstance(found["layers"][1], Pair)
    assert found["feed"].flatten().tolist() == [2, 0, 0, 1]
    assert (found["position"], found["none"]) == (4, None)


def test_examples_are_in_the_first_dimension() -> None:
    memory = [torch.arange(12.0).view(3, 2, 2), {"mask": torch.tensor([True, False, True])}]
    outputs, rest = select_examples(memory, torch.tensor([2, 1]))
    assert outputs[:, 0, 0].tolist() == [8, 4]
    assert rest["mask"].tolist() == [True, False]


def test_all_tensors_are_found() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    assert list(tensors({"a": [one, None], "b": (3, two)})) == [one, two]
    assert list(tensors(None)) == []
