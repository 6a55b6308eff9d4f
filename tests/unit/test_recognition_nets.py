"""CRNN: padding, pooling and causality."""

import pytest
import torch

from sightseq.nets.recognition import CRNN


def make(**arguments: object) -> CRNN:
    torch.manual_seed(0)
    options = {"channels": (4, 6), "pools": ((2, 2), (2, 2)), "hidden": (5,)} | arguments
    return CRNN(1, 7, (16, None), **options).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"layers": (2, 3), "residual": True},
        {"collapse": "max", "hidden": ()},
        {"width": 9, "causal": True},
        {"pools": ((2, 1), (2, 3)), "hidden": (5, 4)},
        {"shortcut": True},
    ],
)
@torch.no_grad()
def test_the_length_is_rounded_up_and_padding_changes_nothing(arguments: dict[str, object]) -> None:
    net = make(**arguments)
    images = torch.randn(1, 1, 16, 40)
    for width in (1, 2, net.reduction, net.reduction + 1, 13, 40):
        alone, frames = net(images[..., :width], torch.tensor([width]))
        assert frames.tolist() == [-(-width // net.reduction)]
        assert alone.shape == (1, int(frames), 7)
        padded, same = net(torch.cat([images, torch.full((1, 1, 16, 9), 5.0)], dim=3), torch.tensor([width]))
        assert same.tolist() == frames.tolist()
        torch.testing.assert_close(padded[:, : int(frames)], alone)


@torch.no_grad()
def test_batch_norm_of_padding_stays_masked() -> None:
    """The statistics of a trained network turn zeros into other values, which must not reach real positions."""
    net = make(layers=2)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.bias.uniform_(0, 1)
    images = torch.randn(2, 1, 16, 21)
    together, frames = net(images, torch.tensor([21, 10]))
    alone, _ = net(images[1:, ..., :10], torch.tensor([10]))
    torch.testing.assert_close(together[1:, : int(frames[1])], alone)


@pytest.mark.parametrize("arguments", [{}, {"layers": 2, "width": 8, "pools": ((2, 2), (2, 1)), "hidden": (5, 6)}])
@torch.no_grad()
def test_a_causal_network_reads_parts_as_it_reads_the_whole(arguments: dict[str, object]) -> None:
    net = make(causal=True, **arguments)
    images = torch.randn(2, 1, 16, 24)
    whole, _frames = net(images, torch.tensor([24, 24]))
    for size in (net.reduction, 2 * net.reduction, 24):
        state, parts = None, []
        for part in images.split(size, dim=3):
            logits, state = net.stream(part, state)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    changed = images.clone()
    changed[..., 16:] += 1
    other, _ = net(changed, torch.tensor([24, 24]))
    early = 16 // net.reduction
    assert torch.equal(other[:, :early], whole[:, :early])
    assert not torch.equal(other[:, early:], whole[:, early:])


def test_the_shortcut_is_returned_in_training_only() -> None:
    net = make(shortcut=True)
    images, width = torch.randn(2, 1, 16, 12), torch.tensor([12, 9])
    assert len(net(images, width)) == 2
    logits, frames, other = net.train()(images, width)
    assert other.shape == logits.shape == (2, 3, 7)
    assert frames.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"kernel": 2}, "kernel=2"),
        ({"pools": ((2, 2),)}, "a value for each stage"),
        ({"layers": (1, 0)}, "layers"),
        ({"pools": ((8, 2), (4, 2))}, "leave nothing of a height of 16"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make(**arguments)


def test_only_causal_networks_read_parts_of_whole_steps() -> None:
    with pytest.raises(ValueError, match="causal"):
        make().stream(torch.randn(1, 1, 16, 8))
    with pytest.raises(ValueError, match="multiple of 4"):
        make(causal=True).stream(torch.randn(1, 1, 16, 7))
