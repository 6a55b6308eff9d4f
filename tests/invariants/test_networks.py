"""What is true of every network that has a config."""

import pytest
import torch
from torch import nn

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.places import group_options
from sightseq.core.spec import Spec
from sightseq.testing import check_language_network, check_network, check_text_network
from sightseq.text.spec import LanguageSpec, TextSpec
from sightseq.vision.spec import ImageSpec

IMAGE_NETS = [option for option in group_options("model/net") if option.startswith("image/")]
LANGUAGE_NETS = [option for option in group_options("model/net") if option.startswith("language/")]
TEXT_NETS = [option for option in group_options("model/net") if option.startswith("text/")]


def make(option: str, spec: Spec) -> nn.Module:
    config = compose(f"model/net={option}")["model"]["net"]
    torch.manual_seed(0)
    return build(config, nn.Module, "model.net", **spec.net_arguments())


@pytest.mark.parametrize("option", IMAGE_NETS)
@pytest.mark.parametrize(("channels", "height", "width", "classes"), [(1, 32, 32, 10), (3, 40, 33, 2)])
def test_image_network(option: str, channels: int, height: int, width: int, classes: int) -> None:
    spec = ImageSpec(channels, height, width, tuple(map(str, range(classes))), (0.5,) * channels, (0.2,) * channels)
    net = make(option, spec)
    example = torch.randn(4, channels, height, width)
    check_network(net, example, compiled=channels == 1)
    one_logit = getattr(net, "one_logit", False)
    assert net(example).shape == (4, 1 if one_logit else classes)


@pytest.mark.parametrize("option", TEXT_NETS)
@pytest.mark.parametrize("classes", [2, 5])
def test_text_network(option: str, classes: int) -> None:
    net = make(option, TextSpec("", 50, tuple(map(str, range(classes)))))
    tokens, lengths = torch.randint(50, (4, 9)), torch.tensor([6, 1, 9, 2])
    check_text_network(net, tokens, lengths)
    one_logit = compose(f"model/net={option}")["model"]["net"].get("one_logit", False) and classes == 2
    assert net(tokens, lengths).shape == (4, 1 if one_logit else classes)


@pytest.mark.parametrize("option", LANGUAGE_NETS)
def test_language_network(option: str) -> None:
    net, tokens = make(option, LanguageSpec("", 50)), torch.randint(50, (4, 9))
    check_language_network(net, tokens)
    assert net(tokens)[0].shape == (4, 9, 50)


class Clairvoyant(nn.Module):
    """Reads from both ends."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(50, 3), nn.GRU(3, 25, batch_first=True, bidirectional=True)

    def forward(self, tokens: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        return self.rnn(self.embedding(tokens), state)


class Forgetful(nn.Module):
    """Loses its state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(50, 3), nn.GRU(3, 50, batch_first=True)

    def forward(self, tokens: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        return self.rnn(self.embedding(tokens))


@pytest.mark.parametrize(
    ("net", "complaint"), [(Clairvoyant(), "sees what is to come"), (Forgetful(), "the state does not carry all")]
)
def test_the_check_finds_what_a_language_model_must_not_do(net: nn.Module, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_language_network(net, torch.randint(50, (4, 9)))


class Padded(nn.Module):
    """Takes the mean over filler too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 3)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.embedding(tokens).mean(1)


def test_the_check_finds_texts_that_depend_on_filler() -> None:
    with pytest.raises(AssertionError, match="looks at what fills a text up"):
        check_text_network(Padded(), torch.randint(50, (4, 9)), torch.tensor([6, 1, 9, 2]))


class Leaky(nn.Module):
    """Looks at the whole batch."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = x.mean((2, 3))
        return self.layer(features - features.mean(0))


class Idle(nn.Module):
    """Has a layer that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.idle = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class Random(nn.Module):
    """Drops out in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.layer(x), training=True)


@pytest.mark.parametrize(
    ("net", "example", "complaint"),
    [
        (Leaky(3, 2), torch.randn(4, 3, 8, 8), "lets one sample of a batch see another"),
        (Idle(), torch.randn(4, 3), "no gradient reaches"),
        (Random(), torch.randn(40, 3), "something else the second time"),
        (nn.Flatten(0), torch.randn(4, 3), "makes 12 rows of 4"),
    ],
)
def test_the_check_finds_what_is_wrong(net: nn.Module, example: torch.Tensor, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_network(net, example)
