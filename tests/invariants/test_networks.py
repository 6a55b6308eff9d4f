"""Properties of every network that has a config, as declared by the traits of its tasks."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sightseq.composition import compose
from sightseq.core.build import find_class
from sightseq.core.loading import Batch
from sightseq.core.places import group_options
from sightseq.core.scores import Output
from sightseq.core.spec import Spec
from sightseq.core.task import Task
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.texts import TextClassificationTask
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.testing import check_network
from sightseq.vision.spec import ImageSpec

from .conftest import bricks, learns_by_gradients, preset, task_classes

NETS = group_options("model/net")
# Tasks of one kind share their networks.
KINDS = {(cls.net_kind, cls.net_traits): cls for cls in task_classes().values() if learns_by_gradients(cls)}
CASES = [(cls, option) for cls in KINDS.values() for option in NETS if option.partition("/")[0] == cls.net_kind]


def check(cls: type[Task], option: str, **more: Any) -> None:
    target, arguments = net_of(option)
    torch.manual_seed(0)
    check_network(cls, target, **arguments, **more)


@cache
def net_of(option: str) -> tuple[type[nn.Module], dict[str, Any]]:
    config = compose(f"model/net={option}")["model"]["net"]
    return find_class(config.pop("_target_"), nn.Module, "model.net"), config


def test_every_network_has_a_task_and_every_task_a_network() -> None:
    assert {option for _, option in CASES} == set(NETS)
    assert {cls for cls, _ in CASES} == set(KINDS.values())


@pytest.mark.parametrize(("cls", "option"), CASES, ids=[f"{cls.__name__}-{option}" for cls, option in CASES])
def test_network(cls: type[Task], option: str) -> None:
    # torch.compile does not trace nn.LSTM.
    images = any(value.ndim == 4 for value in cls.example()[1].values()) and not hasattr(cls, "encode")
    check(cls, option, compiled=images and not preset(option))


def grey_images() -> tuple[Spec, Batch]:
    """Rectangular grey images of two classes."""
    spec = ImageSpec(1, 40, 33, ("a", "b"), (0.5,), (0.2,))
    images = torch.randint(0, 256, (4, 1, 40, 33), dtype=torch.uint8)
    return spec, {"input": images, "target": torch.tensor([0, 1, 1, 0]), "index": torch.arange(4)}


@pytest.mark.parametrize("option", bricks("image"))
def test_rectangular_grey_images(option: str) -> None:
    check(ImageClassificationTask, option, example=grey_images())


@pytest.mark.parametrize(
    ("cls", "net"), [(ImageClassificationTask, "image/convnet"), (TextClassificationTask, "text/recurrent")]
)
def test_two_classes_with_one_logit(cls: type[Task], net: str) -> None:
    target, arguments = net_of(net)
    example = grey_images() if cls is ImageClassificationTask else cls.example()
    check_network(cls, target, example=example, **{**arguments, "one_logit": True})


class Layer(nn.Module):
    """A linear layer on the mean of each colour channel: [B, C, H, W] to [B, K]."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.mean((2, 3)))


class BatchDependent(Layer):
    """The output of a row depends on the whole batch."""

    def forward(self, x: Tensor) -> Tensor:
        output = super().forward(x)
        return output - output.mean(0)


class SlightlyBatchDependent(Layer):
    """The output of a row depends slightly on the whole batch."""

    def forward(self, x: Tensor) -> Tensor:
        output = super().forward(x)
        return output - 1e-9 * output.mean(0)


class UnusedLayer(Layer):
    """Has a layer that `forward` does not use."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.idle = nn.Linear(3, 2)


class AlwaysDropout(Layer):
    """Applies dropout in eval mode too."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), training=True)


class IgnoresInput(Layer):
    """The output is the same for every input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.zeros_like(x))


class MeanOverPadding(nn.Module):
    """Includes padding in the mean over tokens."""

    def __init__(self, vocab_size: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, num_classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return self.embedding(tokens).mean(1)


class LastOnly(MeanOverPadding):
    """Uses only the last token."""

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return self.embedding(tokens)[torch.arange(len(tokens)), lengths - 1]


State = list[tuple[Tensor, ...]]


class Bidirectional(nn.Module):
    """Reads in both directions, so it depends on later tokens."""

    both = True

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(vocab_size, 3), nn.Linear(8 if self.both else 4, vocab_size)
        self.rnn = nn.GRU(3, 4, batch_first=True, bidirectional=self.both)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        output, after = self.rnn(self.embedding(tokens), self.begin(state))
        return self.head(output), [(after,)]

    def begin(self, state: State | None) -> Tensor | None:
        return state[0][0] if state else None


class IgnoresState(Bidirectional):
    """Ignores the given state."""

    both = False

    def begin(self, state: State | None) -> Tensor | None:
        return None


@pytest.mark.parametrize(
    ("cls", "net", "complaint"),
    [
        (ImageClassificationTask, BatchDependent, "lets one row of a batch influence another"),
        (ImageClassificationTask, SlightlyBatchDependent, "lets one row of a batch influence another"),
        (ImageClassificationTask, UnusedLayer, r"parameters without a gradient: idle.weight, idle.bias"),
        (ImageClassificationTask, AlwaysDropout, "something else the second time"),
        (ImageClassificationTask, IgnoresInput, "does not use its input"),
        (TextClassificationTask, MeanOverPadding, "depends on the padding of input"),
        (TextClassificationTask, LastOnly, "does not use position 0 of input"),
        (LanguageModelingTask, Bidirectional, "depends on later positions"),
        (LanguageModelingTask, IgnoresState, "continuing from the state gives another result"),
    ],
)
def test_the_check_refuses_wrong_networks(
    cls: type[Task], net: type[nn.Module], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightseq.core.build._trusted", {"sightseq", "torch"})
    with pytest.raises(AssertionError, match=complaint):
        check_network(cls, net)


def test_the_check_accepts_a_plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.core.build._trusted", {"sightseq", "torch"})
    check_network(ImageClassificationTask, Layer)


@dataclass(frozen=True)
class SumSpec(Spec):
    features: int

    def net_arguments(self) -> dict[str, Any]:
        return {"features": self.features}


class Sums(Task):
    """A task from outside the package: the cumulative sum of a series."""

    net_kind = "series"
    net_traits = frozenset({"independent_rows", "ignores_padding", "causal"})

    @classmethod
    def example(cls) -> tuple[Spec, Batch]:
        series = torch.randn(4, 7, 2, generator=torch.Generator().manual_seed(0))
        lengths = torch.tensor([4, 7, 6, 5])
        batch = {"input": series, "input_length": lengths, "target": series.sum(2).cumsum(1), "index": torch.arange(4)}
        return SumSpec(2), batch

    def step(self, batch: Batch, stage: str) -> Output:
        found = self.net(batch["input"])[..., 0]
        real = torch.arange(found.shape[1]) < batch["input_length"][:, None]
        return Output(((found - batch["target"]).square() * real).sum(), real.sum(), {"prediction": found})

    def plot_batch(self, batch: Batch) -> list[str]:
        return []


class Summing(nn.Module):
    """A unidirectional GRU layer."""

    both = False

    def __init__(self, features: int, width: int = 4) -> None:
        super().__init__()
        self.rnn = nn.GRU(features, width, batch_first=True, bidirectional=self.both)
        self.head = nn.Linear(2 * width if self.both else width, 1)

    def forward(self, series: Tensor) -> Tensor:
        return self.head(self.rnn(series)[0])


class SummingBothWays(Summing):
    both = True


def test_networks_of_an_external_task_are_checked_by_its_traits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.core.build._trusted", {"sightseq", "torch"})
    check_network(Sums, Summing, width=3)
    with pytest.raises(AssertionError, match="SummingBothWays depends on the padding of input"):
        check_network(Sums, SummingBothWays)
    monkeypatch.setattr(Sums, "net_traits", frozenset({"causal"}))
    with pytest.raises(AssertionError, match="SummingBothWays depends on later positions"):
        check_network(Sums, SummingBothWays)
    monkeypatch.setattr(Sums, "net_traits", frozenset({"independent_rows"}))
    check_network(Sums, SummingBothWays)
