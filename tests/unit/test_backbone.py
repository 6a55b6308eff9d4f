"""Backbone: torchvision's architectures and the sources of their weights."""

import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from sightseq.core.build import build
from sightseq.core.checkpoint import load_pretrained
from sightseq.core.errors import ConfigError
from sightseq.nets.backbone import HALF, Backbone
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.vision.spec import ImageSpec

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SPEC = ImageSpec(3, 64, 64, ("a", "b", "c"), (0.4,) * 3, (0.2,) * 3)
GREY = ImageSpec(1, 64, 64, ("a", "b", "c"), (0.4,), (0.2,))
HEADS = {
    "resnet18": "fc",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "efficientnet_b0": "classifier.1",
    "squeezenet1_1": "classifier.1",
    "shufflenet_v2_x1_0": "fc",
    "regnet_y_400mf": "fc",
    "densenet121": "classifier",
    "mnasnet0_5": "classifier.1",
}


def task(spec: ImageSpec = SPEC, **arguments: object) -> ImageClassificationTask:
    net = {"_target_": "sightseq.nets.backbone.Backbone", "name": "mobilenet_v3_small", **arguments}
    torch.manual_seed(0)
    config = {"_target_": "sightseq.tasks.classification.images.ImageClassificationTask", "net": net}
    return build(config, ImageClassificationTask, "model", spec=spec.to_dict())


@pytest.mark.parametrize(("name", "size"), [*((name, 64) for name in HEADS), ("inception_v3", 80), ("googlenet", 32)])
@pytest.mark.parametrize("channels", [1, 3])
def test_logits(name: str, size: int, channels: int) -> None:
    net = Backbone(5, (size, size), name).eval()
    with torch.no_grad():
        assert net(torch.rand(2, channels, size, size)).shape == (2, 5)


@pytest.mark.parametrize("name", HEADS)
def test_weights_are_loaded_except_for_the_head(name: str) -> None:
    torch.manual_seed(1)
    given = get_model(name, num_classes=1000).state_dict()
    torch.save(given, "weights.pth")
    net = Backbone(5, (64, 64), name, weights="weights.pth")
    before = {key: value.clone() for key, value in net.model.state_dict().items()}
    net.load_weights()
    for key, value in net.model.state_dict().items():
        head = key.startswith(f"{HEADS[name]}.")
        assert torch.equal(value, before[key] if head else given[key]), key


def test_densenet_as_torchvision_publishes_it() -> None:
    """Published weights have `denselayer1.norm.1.weight`, the current network has `denselayer1.norm1.weight`."""
    given = get_model("densenet121", num_classes=1000).state_dict()
    published = {re.sub(r"(denselayer\d+\.[a-z]+)([12])", r"\1.\2", key): value for key, value in given.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in published
    torch.save(published, "weights.pth")
    net = Backbone(5, (64, 64), "densenet121", weights="weights.pth")
    net.load_weights()
    assert torch.equal(net.model.features.denseblock4.denselayer16.conv2.weight,
                       given["features.denseblock4.denselayer16.conv2.weight"])  # fmt: skip


def test_averaged_weights_of_versioned_layers_are_loaded() -> None:
    """Averaged weights are saved as a plain dictionary, without the version that MNASNet requires."""
    first, second = task(name="mnasnet0_5"), task(name="mnasnet0_5")
    first.net.model.classifier[1].bias.data.fill_(7)
    second.load_state_dict(dict(first.state_dict()))
    assert second.net.model.classifier[1].bias.tolist() == [7, 7, 7]


def test_vision_transformers_get_the_image_size() -> None:
    with torch.no_grad():
        assert Backbone(5, (64, 64), "vit_b_16").eval()(torch.rand(1, 3, 64, 64)).shape == (1, 5)


def test_building_loads_no_weights() -> None:
    net = Backbone(5, (64, 64), "resnet18", weights="/no/such/file")
    assert net.constants == IMAGENET
    with pytest.raises(FileNotFoundError):
        net.load_weights()


def test_weights_may_be_part_of_a_checkpoint() -> None:
    given = get_model("resnet18", num_classes=1000).state_dict()
    torch.save({"state_dict": given, "epoch": 3}, "weights.pth")
    net = Backbone(5, (64, 64), "resnet18", weights="weights.pth")
    net.load_weights()
    assert torch.equal(net.model.conv1.weight, given["conv1.weight"])


def test_normalisation_constants_come_from_the_weights_or_the_data() -> None:
    assert task().pixels.mean.flatten().tolist() == pytest.approx([0.4] * 3)
    assert task(weights="x").pixels.mean.flatten().tolist() == pytest.approx(IMAGENET[0])
    assert task(weights="x", mean=[0.5] * 3, std=[0.5] * 3).pixels.std.flatten().tolist() == [0.5] * 3
    with torch.device("meta"):  # the weights need not be initialised
        assert Backbone(3, (80, 80), "inception_v3", weights="x").constants == HALF
        assert Backbone(3, (64, 64), "efficientnet_v2_l", weights="x").constants == HALF  # unlike its smaller variants


def test_grey_images_are_normalised_by_the_constants_of_each_channel() -> None:
    model = task(GREY, weights="x").eval()
    image = torch.rand(2, 1, 64, 64)
    by_hand = (image - model.pixels.mean) / model.pixels.std
    with torch.no_grad():
        torch.testing.assert_close(model(image), model.net.model(by_hand))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", ""),
        (b"no weights", ""),
        ({"conv1.weight": torch.zeros(1)}, "does not contain the weights of mobilenet_v3_small"),
        ([1, 2], ""),
    ],
)
def test_weights_that_do_not_fit_give_a_one_line_error(content: object, words: str) -> None:
    if isinstance(content, bytes):
        Path("weights.pth").write_bytes(content)
    elif content is not None:
        torch.save(content, "weights.pth")
    with pytest.raises(ConfigError, match=f"^model.net.weights: .*{words}.*model.net.weights=null") as caught:
        load_pretrained(task(weights="weights.pth"))
    assert "\n" not in str(caught.value)


def test_weights_with_code_are_refused() -> None:
    class Code:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path("ran"),))

    torch.save({"conv1.weight": Code()}, "weights.pth")
    with pytest.raises(ConfigError):
        load_pretrained(task(weights="weights.pth"))
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("resnt18", 64, "it has resnet18"),
        ("inception_v3", 48, "not accept images of 48x48"),
        ("vgg11", 16, "not accept images of 16"),
    ],
)
def test_impossible_settings_are_found_when_it_is_built(name: str, size: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Backbone(5, (size, size), name)


def test_no_warning_when_it_is_built() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Backbone(5, (80, 80), "inception_v3")
        Backbone(5, (64, 64), "googlenet")


def test_a_stride_over_a_single_pixel_is_removed_only_in_training() -> None:
    """Such a stride has no effect, but oneDNN's gradients in bf16 would be uninitialised memory."""
    net = Backbone(5, (8, 8), "mobilenet_v2")
    strided = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)]
    before = [m.stride for m in strided]
    images = torch.rand(2, 3, 8, 8)
    output = net.eval()(images)
    assert [m.stride for m in strided] == before
    for norm in (m for m in net.train().modules() if isinstance(m, nn.BatchNorm2d | nn.Dropout)):
        norm.eval()
    torch.testing.assert_close(net(images), output)
    assert [m.stride for m in strided] != before  # images of 8 pixels have a single pixel after the third halving
    assert strided[0].stride == (2, 2)
    torch.testing.assert_close(net.eval()(images), output)
    assert [m.stride for m in strided] == before
