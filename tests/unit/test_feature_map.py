"""Encoders of images: torchvision's classifiers without their heads, and a small convolutional network."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from sightseq.core.checkpoint import load_pretrained
from sightseq.core.errors import ConfigError
from sightseq.nets.backbone import Backbone
from sightseq.nets.feature_map import ConvFeatures, FeatureMap
from sightseq.tasks.captioning.task import CaptioningTask

# Width and grid of the last map for images of 64 x 96 pixels.
MAPS = {
    "mobilenet_v2": (1280, (2, 3)),
    "resnet18": (512, (2, 3)),
    "vgg11": (512, (7, 7)),  # its last pooling makes 7 x 7 positions of any image
    "squeezenet1_1": (512, (3, 5)),
    "densenet121": (1024, (2, 3)),
    "convnext_tiny": (768, (2, 3)),
    "swin_t": (768, (2, 3)),
    "shufflenet_v2_x1_0": (1024, (2, 3)),
    "regnet_y_400mf": (440, (2, 3)),
    "googlenet": (1024, (2, 3)),
}


@pytest.mark.parametrize("name", MAPS)
def test_the_last_map_of_a_classifier(name: str) -> None:
    width, grid = MAPS[name]
    with torch.device("cpu" if name.startswith("regnet") else "meta"):  # meta has no torch.normal
        net = FeatureMap((64, 96), name).eval()
        assert net(torch.rand(2, 3, 64, 96)).shape == net(torch.rand(2, 1, 64, 96)).shape == (2, width, *grid)
    assert (net.width, net.grid) == (width, grid)


@torch.no_grad()
def test_the_head_on_the_map_gives_the_logits_of_the_classifier() -> None:
    given = get_model("resnet18", num_classes=1000).eval()
    torch.save(given.state_dict(), "weights.pth")
    net = FeatureMap((96, 96), "resnet18", weights="weights.pth").eval()
    net.load_weights()
    images = torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(given.fc(net(images).mean((2, 3))), given(images))
    assert net.constants == Backbone(5, (96, 96), "resnet18", weights="x").constants


def test_all_weights_must_be_in_the_file() -> None:
    given = get_model("resnet18", num_classes=1000).state_dict()
    last = "layer4.1.bn2.weight"  # of the last layer before the head
    torch.save({key: value for key, value in given.items() if key != last}, "weights.pth")
    net = FeatureMap((64, 64), "resnet18", weights="weights.pth")
    with pytest.raises(ValueError, match=rf"does not contain the weights of resnet18: 1 of .* such as {last}"):
        net.load_weights()


def test_the_error_names_the_key_of_the_encoder() -> None:
    spec, _ = CaptioningTask.example()
    encoder = {"_target_": "sightseq.nets.feature_map.FeatureMap", "name": "resnet18", "weights": "nowhere.pth"}
    net = {"_target_": "sightseq.nets.captioning.Captioner", "encoder": encoder, "embedding": 8, "hidden": [8]}
    task = CaptioningTask(spec=spec.to_dict(), net=net)
    with pytest.raises(ConfigError, match=r"^model\.net\.encoder\.weights: .*; .*model\.net\.encoder\.weights=null$"):
        load_pretrained(task)


def test_another_node() -> None:
    net = FeatureMap((64, 64), "vgg11", node="features.10")
    assert (net.width, net.grid) == (256, (8, 8))
    assert not [name for name, _ in net.named_parameters() if ".features.11." in name]


@pytest.mark.parametrize(
    ("name", "size", "node", "words"),
    [
        ("vit_b_16", 64, None, "vit_b_16 is a vision transformer, which has no feature map"),
        ("resnet18", 64, "layer5", "resnet18 has no node layer5; its last ones are .*flatten, fc"),
        ("resnet18", 64, "flatten", "flatten has no feature map of more than one position"),
        ("resnt18", 64, None, "it has resnet18"),
    ],
)
def test_impossible_maps_are_refused(name: str, size: int, node: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FeatureMap((size, size), name, node=node)


def test_train_and_eval_mode_differ() -> None:
    net = FeatureMap((64, 64), "mobilenet_v2")
    norm = net.model.get_submodule("features.0.1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    for mode in (True, False):
        before = norm.running_mean.clone()
        net.train(mode)(torch.rand(2, 3, 64, 64))
        assert torch.equal(norm.running_mean, before) != mode


def test_a_small_network_knows_positions() -> None:
    torch.manual_seed(0)
    net = ConvFeatures(3, (40, 64), channels=[4, 6]).eval()
    assert (net.width, net.grid) == (6, (10, 16))
    features = net(torch.zeros(2, 3, 40, 64))
    assert features.shape == (2, 6, 10, 16)
    inner = features[0, :, 2:-2, 2:-2]  # not at the border, where zeros are padded
    assert (inner[:, 0] != inner[:, -1]).any()
    assert (inner[:, :, 0] != inner[:, :, -1]).any()
    assert isinstance(net.layers[0], nn.Conv2d)
    with pytest.raises(ValueError, match="8x8 pixels are too few"):
        ConvFeatures(3, (8, 8), channels=[4] * 3)
