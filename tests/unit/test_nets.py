"""Networks: shapes, sizes by hand, and refused arguments."""

import pytest
import torch
from torch import nn

from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.nets.convnet import ConvNet
from sightseq.nets.pixels import Pixels, to_unit
from sightseq.nets.resnet import ResidualBlock, ResNet


def size(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("image_size", [(8, 8), (28, 28), (13, 30)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pool", ["flatten", "average", "max"])
def test_convnet_shapes(image_size: tuple[int, int], channels: int, pool: str) -> None:
    net = ConvNet(channels, 7, image_size, channels=(4, 6), pool=pool)
    assert net(torch.zeros(2, channels, *image_size)).shape == (2, 7)


def test_convnet_size_by_hand() -> None:
    # 28 -> 14 -> 7 pixels; the course network for Fashion-MNIST
    expected = (32 * 9 + 32) + (64 * 32 * 9 + 64) + (64 * 7 * 7 * 128 + 128) + (128 * 10 + 10)
    assert size(ConvNet(1, 10, (28, 28))) == expected == 421_642


def test_convnet_with_all_options() -> None:
    net = ConvNet(
        3, 5, (16, 16), (8, 8), convs_per_stage=2, kernel_size=5, batch_norm=True, pool="average", hidden=(6, 4),
        stage_dropout=0.1, dropout=0.1,
    )  # fmt: skip
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(3, 8), (8, 8), (8, 8), (8, 8)]
    assert all(c.bias is None and c.kernel_size == (5, 5) for c in convolutions)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == 4
    assert [m.out_features for m in net.modules() if isinstance(m, nn.Linear)] == [6, 4, 5]
    assert net(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


def test_convnet_without_a_hidden_layer() -> None:
    net = ConvNet(1, 3, (4, 4), (2,), hidden=())
    assert size(net) == (2 * 9 + 2) + (2 * 2 * 2 * 3 + 3)
    assert net(torch.zeros(1, 1, 4, 4)).shape == (1, 3)


@pytest.mark.parametrize(("image_size", "stages"), [((8, 8), 4), ((4, 100), 3), ((1, 1), 1)])
def test_convnet_refuses_more_stages_than_the_image_has_halves(image_size: tuple[int, int], stages: int) -> None:
    with pytest.raises(ValueError, match=f"{stages} stages halve the image {stages} times, and {image_size[0]}x"):
        ConvNet(1, 2, image_size, (4,) * stages)
    assert ConvNet(1, 2, (2**stages,) * 2, (4,) * stages)(torch.zeros(1, 1, 2**stages, 2**stages)).shape == (1, 2)


def test_refusal_names_the_key() -> None:
    config = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4, 4, 4, 4]}
    with pytest.raises(ConfigError, match=r"^model\.net: ConvNet refuses its arguments: 4 stages .* set fewer"):
        build(config, nn.Module, "model.net", in_channels=1, num_classes=10, image_size=(8, 8))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("channels", []),
        ("pool", "mean"),
        ("dropout", 1.5),
        ("kernel_size", 4),
        ("convs_per_stage", 0),
    ],
)
def test_convnet_refuses_invalid_arguments(name: str, value: object) -> None:
    config = {"_target_": "sightseq.nets.convnet.ConvNet", name: value}
    with pytest.raises(ConfigError, match=r"^model\.net"):
        build(config, nn.Module, "model.net", in_channels=1, num_classes=10, image_size=(8, 8))


@pytest.mark.parametrize("image_size", [(8, 8), (28, 28), (7, 13), (1, 1)])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_resnet_shapes(image_size: tuple[int, int], stem_stride: int) -> None:
    net = ResNet(3, 7, (4, 6, 8), (1, 2, 1), stem_stride).eval()
    assert net(torch.zeros(2, 3, *image_size)).shape == (2, 7)


def test_resnet_refuses_stages_without_blocks() -> None:
    with pytest.raises(ValueError, match="blocks has 2 numbers and channels 3"):
        ResNet(1, 2, (4, 4, 4), (1, 1))


def test_residual_block_is_its_shortcut_at_initialisation() -> None:
    images = torch.rand(2, 4, 6, 6)
    assert torch.equal(ResidualBlock(4, 4, 1).eval()(images), images)
    halved = ResidualBlock(4, 4, 2).eval()
    pooled = nn.functional.avg_pool2d(images, 2)
    expected = nn.functional.relu(halved.shortcut[2](halved.shortcut[1](pooled)))
    assert torch.allclose(halved(images), expected, atol=1e-6)


@pytest.mark.parametrize("side", [5, 6])
def test_residual_block_halves_and_rounds_up(side: int) -> None:
    assert ResidualBlock(3, 8, 2)(torch.rand(2, 3, side, side)).shape == (2, 8, 3, 3)


def test_pixels_are_normalised_by_channel() -> None:
    layer = Pixels((0.5, 0.0), (0.25, 2.0))
    images = torch.tensor([[[[255, 0]], [[255, 51]]]], dtype=torch.uint8)
    found = layer(images)
    assert found.flatten().tolist() == pytest.approx([2.0, -2.0, 0.5, 0.1])
    assert torch.allclose(layer(images.float() / 255), found)
    assert layer(torch.rand(2, 2, 4, 4)).is_contiguous(memory_format=torch.channels_last)
    assert set(layer.state_dict()) == {"mean", "std"}  # saved in checkpoints


def test_bytes_and_floats_are_scaled_to_unit_range() -> None:
    assert to_unit(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [0.0, 1.0]
    floats = torch.tensor([0.3])
    assert to_unit(floats) is floats
