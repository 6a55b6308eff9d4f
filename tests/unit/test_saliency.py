"""Heat maps: positions by hand, all kinds of networks, and no side effects on the model."""

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import get_model

from sightseq.nets.convnet import ConvNet
from sightseq.nets.resnet import ResNet
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.saliency import _last_map, heat_maps
from sightseq.vision.spec import ImageSpec


class Halves(nn.Module):
    """[B, 1, H, W] to one map for each half of the image: [B, 2, H, W]."""

    def forward(self, images: Tensor) -> Tensor:
        left = (torch.arange(images.shape[3]) < images.shape[3] // 2).float()
        return torch.cat([images * left, images * (1 - left)], dim=1)


def pooled(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def explain(net: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
    heat = heat_maps(net, images, torch.tensor(classes))
    assert heat is not None
    assert heat.shape == (len(images), *images.shape[2:])
    assert heat.min() >= 0
    assert heat.isfinite().all()
    return heat


def last(net: nn.Module, *shape: int) -> str | None:
    """The name of the layer whose map is used for an image of this shape."""
    found = _last_map(net.eval(), torch.rand(1, *shape))
    return next(name for name, module in net.named_modules() if module is found[0]) if found else None


# Positions of the heat


def test_a_class_that_depends_on_one_half_has_its_heat_there() -> None:
    heat = explain(pooled(Halves()), torch.ones(2, 1, 40, 40), [0, 1])
    left = (torch.arange(40) < 20).float().expand(40, 40)
    torch.testing.assert_close(heat, torch.stack([left, 1 - left]), atol=1e-4, rtol=0)


def test_grad_cam_by_hand() -> None:
    torch.manual_seed(0)
    convolution, dense = nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.Linear(6, 3)
    images = torch.randn(2, 1, 34, 40)
    with torch.no_grad():
        features = F.relu(convolution(images))  # [2, 6, 17, 20]
        weights = dense.weight - dense.weight.mean(dim=0)
        expected = torch.einsum("nk,nkhw->nhw", weights[[2, 0]], features).relu()
    heat = explain(nn.Sequential(*pooled(convolution, nn.ReLU(inplace=True)), dense), images, [2, 0])
    cells = heat[:, ::2, ::2]  # the pixels at the centres of the cells
    assert expected.amax(dim=(1, 2)).min() > 0
    torch.testing.assert_close(
        cells / cells.amax(dim=(1, 2), keepdim=True), expected / expected.amax(dim=(1, 2), keepdim=True)
    )
    assert heat.amax(dim=(1, 2)).tolist() == pytest.approx([1, 1])


def conv(width: int, *arguments: Any) -> nn.Conv2d:
    """A convolution whose output is the sum of its receptive field."""
    layer = nn.Conv2d(width, 2, *arguments, bias=False)
    nn.init.ones_(layer.weight)
    return layer


@pytest.mark.parametrize(
    ("layers", "dot"),
    [
        ([conv(1, 3, 2, 1), conv(2, 3, 2, 1), conv(2, 3, 2, 1)], 40),  # 5 * 8 (not 5 * 8 + 3.5)
        ([conv(1, 5), nn.MaxPool2d(3, 2), conv(2, 3, 2)], 29),  # starts 2, 3, 5 with strides 1, 2, 4: 5 + 6 * 4
        ([conv(1, 3, 2, 0), nn.AvgPool2d((3, 3), (2, 2), (1, 1)), conv(2, 1, 1, "same")], 21),
    ],
)
def test_the_heat_of_a_bright_dot_is_at_the_dot(layers: list[nn.Module], dot: int) -> None:
    images, head = torch.zeros(1, 1, 64, 64), nn.Linear(2, 2, bias=False)
    images[0, 0, dot, dot] = 1
    head.weight.data = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    heat = explain(nn.Sequential(*pooled(*layers), head), images, [0])[0]
    place = torch.arange(64.0)
    for axis in (0, 1):
        assert float((heat.sum(axis) * place).sum() / heat.sum()) == pytest.approx(dot, abs=0.3)
    assert heat[dot, dot] == 1


@pytest.mark.parametrize(
    ("name", "start", "step"),
    [("alexnet", 15, 16), ("resnet18", 0, 32), ("vgg11", 7.5, 16), ("mobilenet_v2", 0, 32), ("densenet121", 14, 32)],
)
def test_cell_positions_of_known_networks(name: str, start: float, step: float) -> None:
    with torch.device("meta"):  # only shapes
        found = _last_map(get_model(name).eval(), torch.empty(1, 3, 224, 224))
    assert found
    assert found[1].start == (start, start)
    assert found[1].step == (step, step)


def test_cells_of_unknown_positions_divide_the_image_evenly() -> None:
    class Unknown(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return Halves()(F.avg_pool2d(images, (4, 8)))

    found = _last_map(pooled(Unknown()), torch.rand(1, 1, 40, 48))
    assert found
    assert (found[1].start, found[1].step) == ((1.5, 3.5), (4, 8))


def test_no_heat_without_evidence_for_the_class() -> None:
    images = torch.ones(1, 1, 40, 40)
    images[..., :20] = 0  # the left half is no evidence, the right half is evidence against the class
    assert explain(pooled(Halves()), images, [0]).max() == 0


# Every kind of network


@pytest.mark.parametrize(
    ("name", "size", "layer"),
    [
        ("resnet18", 96, "layer4"),
        ("resnet50", 96, "layer4"),
        ("vgg16", 64, "features.29"),  # before the last pooling
        ("mobilenet_v2", 96, "features"),
        ("mobilenet_v3_small", 96, "features"),
        ("efficientnet_b0", 96, "features"),
        ("convnext_tiny", 96, "features"),
        ("densenet121", 96, "features"),
        ("inception_v3", 160, "Mixed_7c"),
        ("squeezenet1_1", 96, "classifier.2"),
        ("swin_t", 96, "permute"),
    ],
)
def test_classifiers_of_torchvision(name: str, size: int, layer: str) -> None:
    torch.manual_seed(0)
    net = get_model(name, num_classes=2, **({"init_weights": False} if name == "inception_v3" else {}))
    heat = explain(net, torch.rand(1, 3, size, size).expand(2, -1, -1, -1), [0, 1])
    assert net.training
    assert heat.amax() == 1
    # Evidence for one of two classes is evidence against the other: only pixels between cells have heat for both.
    assert torch.minimum(heat[0], heat[1]).max() < 0.6
    assert last(net, 3, size, size) == layer


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (lambda: ConvNet(1, 2, (48, 48), (4, 8, 8)), "layers.7"),
        (lambda: ConvNet(1, 2, (48, 48), (4, 8, 8), batch_norm=True, pool="average", stage_dropout=0.5), "layers.12"),
        (lambda: ConvNet(1, 2, (48, 48), (4, 8), pool="max", hidden=(5,), dropout=0.5), "layers.4"),
        (lambda: ResNet(1, 2, (4, 8), (1, 1)), "stages"),
        (lambda: ResNet(1, 2, (4, 8), (1, 1), stem_stride=2, dropout=0.5), "stages"),
    ],
)
def test_networks_of_sightseq(make: Callable[[], nn.Module], layer: str) -> None:
    torch.manual_seed(0)  # with some seeds, all five hidden units are dead
    net = make()
    assert explain(net, torch.rand(1, 1, 48, 48).expand(2, -1, -1, -1), [0, 1]).amax() == 1
    assert last(net, 1, 48, 48) == layer


def test_a_layer_that_is_also_called_on_vectors_is_not_used() -> None:
    torch.manual_seed(0)
    relu = nn.ReLU(inplace=True)
    net = nn.Sequential(conv(1, 3, 1, 1), relu, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 4), relu)
    assert last(net, 1, 40, 40) == "0"
    net.append(nn.Linear(4, 2))
    assert explain(net, torch.rand(1, 1, 40, 40).expand(2, -1, -1, -1), [0, 1]).amax() == 1


def one_logit() -> ImageClassificationTask:
    net = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4], "one_logit": True, "pool": "average"}
    spec = ImageSpec(1, 32, 40, ("a", "b"), (0.5,), (0.25,))
    return ImageClassificationTask(spec=spec.to_dict(), net=net)


@pytest.mark.parametrize("frozen", [True, False])
def test_one_output_bytes_and_inference_mode(frozen: bool) -> None:
    torch.manual_seed(0)
    task = one_logit().requires_grad_(not frozen)
    assert task.net(torch.rand(1, 1, 32, 40)).shape == (1, 1)
    with torch.inference_mode():  # as in Lightning's validation
        images = torch.randint(256, (1, 1, 32, 40), dtype=torch.uint8).expand(2, -1, -1, -1)
        floats, classes = images.float() / 255, torch.tensor([0, 1])
        within = heat_maps(task, images, classes)
    heat = heat_maps(task, images, classes)
    assert heat is not None
    assert within is not None
    assert heat.amax(dim=(1, 2)).tolist() == pytest.approx([1, 1])  # class 0, whose logit is always 0, is explained too
    assert not heat.requires_grad
    torch.testing.assert_close(heat, within)
    torch.testing.assert_close(heat, heat_maps(task, floats, classes))


# No side effects


def test_the_model_is_not_changed() -> None:
    net = nn.Sequential(ConvNet(1, 3, (40, 40), (4, 4), batch_norm=True, dropout=0.5), nn.Identity())
    layers = net[0].layers
    layers[0].requires_grad_(False)
    layers[1].eval()  # like a frozen layer
    layers[-1].weight.grad = torch.ones_like(layers[-1].weight)
    before = copy.deepcopy(net.state_dict())
    modes = [module.training for module in net.modules()]
    random = torch.get_rng_state()
    images = torch.zeros(2, 1, 40, 40)

    explain(net, images, [0, 1])

    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert [module.training for module in net.modules()] == modes
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["0.layers.0.weight"]
    assert [name for name, p in net.named_parameters() if p.grad is not None] == [f"0.layers.{len(layers) - 1}.weight"]
    assert layers[-1].weight.grad.eq(1).all()
    assert not any(module._forward_hooks or module._backward_hooks for module in net.modules())
    assert torch.equal(torch.get_rng_state(), random)
    assert not images.requires_grad
    assert torch.is_grad_enabled()


def test_the_model_is_not_changed_if_it_fails() -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise ValueError("broken")

    net = nn.Sequential(nn.Conv2d(1, 2, 3), Broken())
    with pytest.raises(ValueError, match="broken"):
        heat_maps(net, torch.zeros(1, 1, 40, 40), torch.zeros(1, dtype=torch.long))
    assert net[0].training
    assert net[0].weight.requires_grad
    assert not net[0]._forward_hooks


# Networks without a useful map


class Tokens(nn.Module):
    """[B, K, h, w] to one token for each cell: [B, h * w, K]."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.flatten(2).transpose(1, 2)


@pytest.mark.parametrize(
    ("net", "size"),
    [
        (ConvNet(1, 2, (31, 31)), 31),
        (ConvNet(1, 2, (32, 32), (2, 2, 2, 2, 2)), 32),  # the last map has 2x2 cells
        (nn.Sequential(nn.Flatten(), nn.Linear(1600, 2)), 40),
        (
            nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(1600, 2)),
            40,
        ),  # the image itself is not a feature map
        (nn.Sequential(nn.Conv2d(1, 8, 4, 4), Tokens(), nn.Linear(8, 8), nn.Flatten(), nn.Linear(800, 2)), 40),
        (pooled(nn.Conv2d(1, 2, 4, 4), nn.Conv2d(2, 2, 10)), 40),  # the last map has one cell
    ],
)
def test_none_without_a_useful_map(net: nn.Module, size: int) -> None:
    assert heat_maps(net, torch.rand(2, 1, size, size), torch.tensor([0, 1])) is None


def test_a_network_without_gradients_gives_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = ConvNet(1, 2, (40, 40))

        def forward(self, images: Tensor) -> Any:
            with torch.no_grad():
                return self.net(images)

    with caplog.at_level(logging.WARNING, "sightseq"):
        assert heat_maps(Hidden(), torch.rand(1, 1, 40, 40), torch.tensor([0])) is None
    assert "no class-activation maps" in caplog.text
