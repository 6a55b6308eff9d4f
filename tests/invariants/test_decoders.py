"""What every network of an encoder-decoder task must do, by discovery: no later token is seen, no padding, and a text
that is read at once gives what it gives token by token.
"""

from typing import Any

import pytest
import torch

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.places import group_options
from sightseq.core.task import Task
from sightseq.decoding.states import select_examples, select_rows

from .conftest import task_classes

MODELS = {cls.net_kind: (model, cls) for model, cls in task_classes().items() if hasattr(cls, "encode")}
NETS = [option for option in group_options("model/net") if option.partition("/")[0] in MODELS]


def make(option: str) -> tuple[Any, Batch]:
    model, cls = MODELS[option.partition("/")[0]]
    spec, batch = cls.example()
    torch.manual_seed(0)
    task = build(
        compose(f"model={model}", f"model/net={option}", "augment=none")["model"], Task, "model", spec=spec.to_dict()
    )
    return task.eval(), batch


def logits(task: Any, batch: Batch, tokens: torch.Tensor) -> torch.Tensor:
    memory, state = task.encode(batch)
    return task.net.decode(tokens, state, memory)[0]


def test_there_are_such_tasks() -> None:
    assert {"translation", "captioning"} <= set(MODELS)


@pytest.mark.parametrize("option", NETS)
@torch.no_grad()
def test_the_decoder_sees_no_later_token(option: str) -> None:
    task, batch = make(option)
    tokens = batch["target"].clamp(min=0)
    changed = tokens.clone()
    changed[:, 3] = (tokens[:, 3] + 1) % task.tokenizer.vocab_size
    first, second = (logits(task, batch, one) for one in (tokens, changed))
    assert torch.equal(first[:, :3], second[:, :3])
    assert (first[:, 3:] != second[:, 3:]).any(2).all()


@pytest.mark.parametrize("option", NETS)
@torch.no_grad()
def test_reading_at_once_equals_reading_token_by_token(option: str) -> None:
    task, batch = make(option)
    tokens = batch["target"].clamp(min=0)
    memory, state = task.encode(batch)
    expected, end = task.net.decode(tokens, state, memory)
    steps = []
    for token in tokens.T:
        step, state = task.net.decode(token[:, None], state, memory)
        steps.append(step)
    torch.testing.assert_close(torch.cat(steps, dim=1), expected)
    torch.testing.assert_close(state, end)


@pytest.mark.parametrize("option", NETS)
@torch.no_grad()
def test_padding_of_either_side_changes_nothing(option: str) -> None:
    task, batch = make(option)
    output = task.step(batch, "val")
    padded = dict(batch)
    padded["target"] = torch.nn.functional.pad(batch["target"], (0, 3), value=PAD_INDEX)
    if "length" in batch:
        padded["input"] = torch.nn.functional.pad(batch["input"], (0, 4), value=2)
    other = task.step(padded, "val")
    torch.testing.assert_close(other.loss_sum, output.loss_sum)
    assert other.count == output.count
    for one in (batch, padded):
        one |= task.decode(one, "test")
    assert torch.equal(padded["tokens"], batch["tokens"])


@pytest.mark.parametrize("option", NETS)
@torch.no_grad()
def test_hypotheses_share_the_memory_of_their_example(option: str) -> None:
    """Rows of the state may be repeated and exchanged while the memory stays, and examples may leave."""
    task, batch = make(option)
    memory, state = task.encode(batch)
    tokens = batch["target"].clamp(min=0)[:, :2]
    examples = torch.tensor([4, 1])
    rows = torch.tensor([4, 4, 4, 1, 1, 1])
    read = tokens[rows] + torch.tensor([0, 1, 2, 0, 1, 2])[:, None] % 2
    found, _ = task.net.decode(read, select_rows(state, rows), select_examples(memory, examples))
    for row, example in enumerate(rows.tolist()):
        one = torch.tensor([example])
        alone, _ = task.net.decode(read[row : row + 1], select_rows(state, one), select_examples(memory, one))
        torch.testing.assert_close(found[row : row + 1], alone)
