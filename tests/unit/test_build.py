"""`build`, the only function that turns a name into code: what it builds and what it refuses."""

import re
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from sightseq.core import build as module
from sightseq.core.build import build, find_class, parameters, trust
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.image.digits import Digits
from sightseq.nets.convnet import ConvNet
from sightseq.tasks.classification.baseline import Baseline, Majority

HERE = __name__
IMAGES = {"in_channels": 1, "num_classes": 3, "image_size": (8, 8)}


class Base:
    def __init__(self, number: int, word: str = "w", scale: float = 1.0) -> None:
        self.number, self.word, self.scale = number, word, scale


class Child(Base):
    """Passes unknown arguments to the base class."""

    def __init__(self, *, pool: Literal["max", "mean"] = "max", sizes: tuple[int, ...] = (), **common: Any) -> None:
        super().__init__(**common)
        self.pool, self.sizes = pool, sizes


class Fixed(Base):
    """Passes unknown arguments to the base class, but sets `number` itself."""

    def __init__(self, **common: Any) -> None:
        super().__init__(number=7, **common)


class Closed(Base):
    """Has no argument `word`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)


class Refuses(Base):
    def __init__(self, error: str) -> None:
        raise {"ours": DataError, "theirs": RuntimeError}[error]("no good")


class Unresolvable(Base):
    def __init__(self, thing: "NoSuchName") -> None:  # noqa: F821 (tests a name that cannot be resolved)
        self.thing = thing


class Part(nn.Module):
    def __init__(self, size: int, vocab_size: int = 0) -> None:
        super().__init__()
        self.size, self.vocab_size = size, vocab_size


class Whole(nn.Module):
    """Has an encoder, an optional decoder, heads in a list and in a dictionary, and settings that stay plain."""

    def __init__(
        self,
        encoder: Part,
        decoder: Part | None = None,
        heads: list[Part] | None = None,
        pair: tuple[Part, nn.ReLU] | None = None,
        named: dict[str, Part] | None = None,
        settings: dict[str, Any] | None = None,
        anything: Any = None,
        either: int | Optimizer | nn.Module = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.heads, self.pair = encoder, decoder, heads, pair
        self.named, self.settings, self.anything, self.either = named, settings, anything, either


PART: dict[str, Any] = {"_target_": f"{HERE}.Part", "size": "3"}


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_trusted", {*module._trusted, HERE.partition(".")[0]})


def refusal(config: dict[str, Any], kind: type, key: str = "model.net", **extra: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        build(config, kind, key, **extra)
    message = str(caught.value)
    assert message.startswith(key)
    assert "\n" not in message
    return message


def test_builds_a_class_with_its_arguments() -> None:
    net = build({"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 2, "bias": False}, nn.Module, "net")
    assert type(net) is nn.Linear
    assert net.weight.shape == (2, 3)
    assert net.bias is None


def test_config_is_not_changed() -> None:
    config = {"_target_": f"{HERE}.Child", "number": "3", "sizes": ["1"]}
    build(config, Base, "x")
    assert config == {"_target_": f"{HERE}.Child", "number": "3", "sizes": ["1"]}


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        ".torch.nn.Linear",
        "torchx.nn.Linear",
        "torch_evil.Linear",
    ],
)
def test_untrusted_packages_are_refused(target: str) -> None:
    assert "is not from a trusted package" in refusal({"_target_": target}, object)


def test_nothing_of_an_untrusted_package_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stranger.py").write_text(
        "import pathlib, torch\npathlib.Path('was_here').touch()\nclass Net(torch.nn.Module): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "trust=[stranger]" in refusal({"_target_": "stranger.Net"}, nn.Module)
    assert "stranger" not in sys.modules
    assert not (tmp_path / "was_here").exists()


def test_trust_allows_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "colleague.py").write_text("import torch\nclass Net(torch.nn.Module): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "colleague", raising=False)
    trust(["colleague"])
    assert type(build({"_target_": "colleague.Net"}, nn.Module, "net")).__name__ == "Net"
    monkeypatch.delitem(sys.modules, "colleague")


def test_a_trusted_package_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "neighbour.py").write_text("import torch\nclass Net(torch.nn.Module): pass\n")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.chdir(tmp_path)
    trust(["torch"])
    assert str(tmp_path) not in sys.path
    trust("neighbour")  # a string is one package, not a list of letters
    assert sys.path[-1] == str(tmp_path)
    assert "n" not in module._trusted
    assert type(build({"_target_": "neighbour.Net"}, nn.Module, "net")).__name__ == "Net"
    monkeypatch.delitem(sys.modules, "neighbour")


@pytest.mark.parametrize("name", ["mynet.nets", "", "my net", 3, None])
def test_trust_takes_names_of_top_level_packages(name: Any) -> None:
    with pytest.raises(ConfigError, match=r"trust: .* is not the name of a top-level package"):
        trust([name])


@pytest.mark.parametrize(
    "target",
    [
        "torch.load",
        "torch.hub.load",
        "torch.compile",
        "torchvision.models.resnet18",
        "torchvision.transforms.functional.hflip",
        "sightseq.core.build.build",
    ],
)
def test_functions_are_never_targets(target: str) -> None:
    assert "is not a class of kind" in refusal({"_target_": target}, object)


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.sys.exit",
        "torch.builtins.eval",
        "sightseq.sweep.processes.subprocess.Popen",
        "lightning.pytorch.trainer.trainer.os.system",
        "lightning.pytorch.strategies.launchers.subprocess_script.subprocess.Popen",
        "torch.nn.Module.to",
    ],
)
def test_attributes_of_re_exported_modules_cannot_be_reached(target: str) -> None:
    assert "cannot import" in refusal({"_target_": target}, object)


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("sightseq.core.predictor.ThreadPoolExecutor", "concurrent.futures.thread"),
        ("sightseq.core.rundir.Path", "pathlib"),
        ("torch.utils.data.dataset.Fraction", None),
        ("torchvision.datasets.folder.Image", None),  # a module, not a class
    ],
)
def test_classes_that_a_trusted_module_re_exports_are_refused(target: str, origin: str | None) -> None:
    message = refusal({"_target_": target}, object)
    assert "which is not trusted" in message or "is not a class" in message or "has no" in message
    assert origin is None or f"comes from {origin}" in message


def test_a_fitting_class_of_an_untrusted_origin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = type("Net", (nn.Module,), {"__module__": "stranger.nets"})
    monkeypatch.setattr("sightseq.nets.Net", stranger, raising=False)
    message = refusal({"_target_": "sightseq.nets.Net"}, nn.Module)
    assert "comes from stranger.nets, which is not trusted" in message


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("torch.nn.Module", Optimizer),
        ("torch.optim.SGD", nn.Module),
        ("torch.nn.Linear", LRScheduler),
        ("sightseq.nets.convnet.ConvNet", DataModule),
        ("torch.nn", nn.Module),
        ("sightseq.core.baseline.ABC", Baseline),
    ],
)
def test_classes_of_a_wrong_kind_are_refused(target: str, kind: type) -> None:
    assert f"{target} is not a class of kind {kind.__name__}" in refusal({"_target_": target}, kind)


def test_unknown_class_suggests_the_nearest() -> None:
    message = refusal({"_target_": "sightseq.nets.convnet.ConvNett"}, nn.Module)
    assert message.endswith("did you mean sightseq.nets.convnet.ConvNet?")


def test_unknown_module_is_named() -> None:
    assert "cannot import sightseq.nets.convnett" in refusal({"_target_": "sightseq.nets.convnett.ConvNet"}, nn.Module)


def test_target_is_required() -> None:
    assert "no _target_" in refusal({"number": 1}, Base)


def test_unknown_argument_suggests_the_nearest() -> None:
    message = refusal({"_target_": "torch.optim.SGD", "momentun": 0.9}, Optimizer, "model.optimizer", params=[])
    assert message == "model.optimizer.momentun: SGD takes no such argument; did you mean momentum?"


def test_argument_that_is_not_passed_to_the_base_class_is_unknown() -> None:
    assert "x.word: Closed takes no such" in refusal(
        {"_target_": f"{HERE}.Closed", "number": 1, "word": "a"}, Base, "x"
    )


def test_missing_argument_is_named() -> None:
    assert refusal({"_target_": f"{HERE}.Base"}, Base, "x") == "x.number: Base needs this argument"
    assert refusal({"_target_": "torch.nn.Linear", "in_features": 1}, nn.Module, "n").startswith(
        "n.out_features: Linear"
    )
    assert "'number'" in refusal({"_target_": f"{HERE}.Child"}, Base, "x")  # only the base class requires it


def test_argument_that_a_class_passes_to_its_base_is_not_missing() -> None:
    assert build({"_target_": f"{HERE}.Fixed", "word": "a"}, Base, "x").number == 7


@pytest.mark.parametrize(
    ("target", "kind", "name", "value"),
    [
        ("torch.optim.SGD", Optimizer, "lr", "abc"),
        ("torch.optim.AdamW", Optimizer, "betas", 3),
        ("torch.optim.AdamW", Optimizer, "betas", ["a", "b"]),
        (f"{HERE}.Child", Base, "number", 1.5),
        (f"{HERE}.Child", Base, "number", None),
        (f"{HERE}.Child", Base, "scale", [1.0]),
        (f"{HERE}.Child", Base, "word", 3),
        (f"{HERE}.Child", Base, "pool", "median"),
        (f"{HERE}.Child", Base, "sizes", "123"),
        (f"{HERE}.Child", Base, "sizes", [1, "b"]),
        ("sightseq.nets.convnet.ConvNet", nn.Module, "channels", 32),
        ("sightseq.nets.convnet.ConvNet", nn.Module, "batch_norm", "perhaps"),
    ],
)
def test_value_of_a_wrong_type_names_its_key(target: str, kind: type, name: str, value: Any) -> None:
    message = refusal({"_target_": target, name: value}, kind, "a.b", **IMAGES)
    assert message.startswith(f"a.b.{name}={value!r} does not fit {target.rpartition('.')[2]}: ")
    assert not re.search("pydantic", message)


def test_values_are_converted_to_the_annotated_types() -> None:
    child = build(
        {"_target_": f"{HERE}.Child", "number": "3", "scale": 2, "sizes": [1, "2"], "pool": "mean"}, Child, "x"
    )
    assert (child.number, child.sizes, child.pool) == (3, (1, 2), "mean")
    assert isinstance(child.scale, float)


def test_numbers_as_strings_are_converted_for_external_classes() -> None:
    weight = nn.Parameter(torch.ones(1))
    sgd = build({"_target_": "torch.optim.SGD", "lr": "1e-3"}, Optimizer, "o", params=[weight])
    assert sgd.param_groups[0]["lr"] == 0.001


def test_annotations_that_cannot_be_resolved_are_not_checked() -> None:
    built = build({"_target_": f"{HERE}.Unresolvable", "thing": 3}, Unresolvable, "x")
    assert built.thing == 3


def test_extras_are_passed_only_to_matching_parameters() -> None:
    net = build({"_target_": "sightseq.nets.convnet.ConvNet"}, ConvNet, "net", **IMAGES, vocab_size=5)
    assert net.layers[-1].out_features == 3
    resnet = build({"_target_": "sightseq.nets.resnet.ResNet"}, nn.Module, "net", **IMAGES)  # no image_size
    assert resnet(torch.zeros(1, 1, 8, 8)).shape == (1, 3)


def test_one_value_is_offered_under_several_names() -> None:
    offered = {**IMAGES, "out_channels": 3, "out_features": 3}
    conv = build({"_target_": "torch.nn.Conv2d", "kernel_size": 1}, nn.Module, "net", **offered)
    assert isinstance(conv, nn.Conv2d)
    assert (conv.in_channels, conv.out_channels) == (1, 3)


def test_config_overrides_extras() -> None:
    assert build({"_target_": f"{HERE}.Base", "number": 1}, Base, "x", number=2, word="b").number == 1


def test_extras_reach_base_classes_through_kwargs() -> None:
    child = build({"_target_": f"{HERE}.Child", "word": "a"}, Base, "x", number=2, unknown=3)
    assert (child.number, child.word) == (2, "a")


def test_parameters_include_those_of_the_bases_if_there_are_kwargs() -> None:
    assert set(parameters(Child)) == {"pool", "sizes", "number", "word", "scale"}
    assert set(parameters(Closed)) == {"number"}
    assert set(parameters(Majority)) == set()
    assert {"val_fraction", "batch_size", "seed", "synthetic"} <= set(parameters(Digits))


def test_nested_classes_are_built_where_the_annotation_is_a_class() -> None:
    relu = {"_target_": "torch.nn.ReLU"}
    config = {"_target_": f"{HERE}.Whole", "encoder": PART, "decoder": {**PART, "vocab_size": 5}, "heads": [PART, PART]}
    config |= {"pair": [PART, relu], "named": {"a": PART}, "settings": {"x": PART}, "anything": PART, "either": relu}
    whole = build(config, Whole, "model.net", vocab_size=7)
    assert (whole.encoder.size, whole.encoder.vocab_size) == (3, 7)  # passed to nested classes too
    assert whole.decoder is not None
    assert whole.decoder.vocab_size == 5  # the config has priority
    assert [type(part) for part in whole.heads or ()] == [Part, Part]
    assert [type(part) for part in whole.pair or ()] == [Part, nn.ReLU]
    assert type((whole.named or {})["a"]) is Part
    assert (whole.settings, whole.anything) == ({"x": PART}, PART)
    assert type(whole.either) is nn.ReLU
    assert config["encoder"] is PART  # the config stays plain, because checkpoints contain it


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"encoder": {"_target_": "torch.nn.ReLU"}}, "n.encoder._target_: torch.nn.ReLU is not a class of kind Part"),
        ({"encoder": {"_target_": "os.system"}}, "n.encoder._target_: os.system is not from a trusted package"),
        ({"encoder": {**PART, "sise": 3}}, "n.encoder.sise: Part takes no such argument; did you mean size?"),
        ({"encoder": {"_target_": f"{HERE}.Part"}}, "n.encoder.size: Part needs this argument"),
        ({"encoder": PART, "heads": [PART, {**PART, "size": "x"}]}, "n.heads.1.size='x' does not fit Part"),
        ({"encoder": PART, "named": {"b": {**PART, "size": "x"}}}, "n.named.b.size='x' does not fit Part"),
        ({"encoder": {"size": 3}}, "n.encoder={'size': 3} does not fit Whole"),
        ({"encoder": PART, "either": {"_target_": f"{HERE}.Base", "number": 1}}, "is not a class of kind"),
    ],
)
def test_errors_in_a_nested_class_name_the_whole_key(values: dict[str, Any], complaint: str) -> None:
    assert complaint in refusal({"_target_": f"{HERE}.Whole", **values}, nn.Module, "n")


def test_errors_of_the_constructor_become_config_errors() -> None:
    message = refusal({"_target_": f"{HERE}.Refuses", "error": "theirs"}, Base, "x")
    assert message == "x: Refuses refuses its arguments: no good"


def test_sightseq_errors_pass_through() -> None:
    with pytest.raises(DataError, match="no good"):
        build({"_target_": f"{HERE}.Refuses", "error": "ours"}, Base, "x")


def test_abstract_classes_are_refused() -> None:
    assert "abstract" in refusal({"_target_": "sightseq.tasks.classification.baseline.Baseline"}, Baseline, "x")


def test_find_class_returns_the_class() -> None:
    assert find_class("sightseq.nets.convnet.ConvNet", nn.Module, "net") is ConvNet


@pytest.mark.parametrize("target", ["", "eval", "ConvNet"])
def test_name_without_a_module_is_refused(target: str) -> None:
    assert "is not a full name" in refusal({"_target_": target}, object)


@pytest.mark.parametrize("config", [{}, 3, "a", None])
def test_config_without_a_class(config: Any) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.best: no _target_"):
        build(config, nn.Module, "callbacks.best")
