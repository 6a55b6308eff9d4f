"""An exported file gives the same output as its network, also for more rows and tokens than in the traced example."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.graph import Call, Graph, graph_of
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.places import group_options
from sightseq.core.spec import Spec
from sightseq.core.task import Task
from sightseq.export.files import load_onnx, load_torch, save_onnx, save_torch
from sightseq.vision.spec import ImageSpec
from tests.conftest import small

from .conftest import preset, task_classes

# One model for each kind of network that can be exported.
MODELS = {cls.net_kind: (model, cls) for model, cls in task_classes().items() if cls.graph()}
NETS = [option for option in group_options("model/net") if option.partition("/")[0] in MODELS]


def graph(option: str, *overrides: str, spec: Spec | None = None) -> Graph:
    model, cls = MODELS[option.partition("/")[0]]
    config = small(compose(f"model={model}", f"model/net={option}", "augment=none", *overrides))["model"]
    torch.manual_seed(0)
    task = build(config, Task, "model", spec=(spec or cls.example()[0]).to_dict())
    for parameter in task.parameters():  # weights that start at zero would make the output zero
        fan_in = parameter.numel() / len(parameter)
        # Small weights, so that deep networks do not amplify rounding errors.
        torch.nn.init.normal_(parameter, std=min(0.1, 0.5 * fan_in**-0.5))
    return graph_of(task)


def longer(batch: Batch) -> Batch:
    """Twice as many rows. Where rows have lengths: padded to twice the length, and the first row is full.

    A target [B, T, K] has the length of the input.
    """

    def twice(name: str, tensor: Tensor) -> Tensor:
        tensor = torch.cat([tensor, tensor])
        long = name == "input" or (name == "target" and tensor.ndim == 3)
        return torch.cat([tensor, tensor], dim=1) if long and "length" in batch else tensor

    found = {name: twice(name, tensor) for name, tensor in batch.items()}
    if "length" in found:
        found["length"][0] = found["input"].shape[1]
    return found


def largest_difference(found: Graph, call: Call, batch: Batch) -> float:
    """The largest difference between the outputs of an exported file and of PyTorch."""
    ((actual, _), (expected, _)) = (next(iter(found.read(way, [batch]))) for way in (call, found.call))
    assert expected.std() > 1e-4, "the output is the same for every input"
    return float(np.abs(actual - expected).max())


def example(option: str) -> Batch:
    return MODELS[option.partition("/")[0]][1].example()[1]


@pytest.mark.parametrize(
    "option", [pytest.param(option, marks=pytest.mark.slow if preset(option) else ()) for option in NETS]
)
def test_onnx(option: str, tmp_path: Path) -> None:
    batch = example(option)
    for name, part in graph(option).parts().items():
        save_onnx(part, part.example(batch, rows=3), tmp_path / f"{name}.onnx", {})
        assert largest_difference(part, load_onnx(tmp_path / f"{name}.onnx"), longer(batch)) < 1e-5


@pytest.mark.parametrize("option", ["image/resnet", "text/cnn", "language/recurrent"])
def test_torch_export(option: str, tmp_path: Path) -> None:
    found, batch = graph(option), example(option)
    save_torch(found, found.example(batch, rows=3), tmp_path / "model.pt2", {})
    assert largest_difference(found, load_torch(tmp_path / "model.pt2"), longer(batch)) < 1e-5


@pytest.mark.parametrize("kind", MODELS)
def test_a_graph_reads_scores_and_calibrates(kind: str) -> None:
    option = next(option for option in NETS if option.startswith(f"{kind}/"))
    found, batch = graph(option), example(option)
    assert all(isinstance(value, str) for value in found.metadata().values())
    batch["index"][-1] = PAD_INDEX
    ((output, target),) = found.read(found.call, [batch])
    assert len(output) == len(target)
    assert np.isfinite(found.score(found.call, [batch]))
    for inputs in found.calibration([batch]) or ():
        assert list(inputs) == list(found.inputs)


def test_test_time_views_are_in_the_file(tmp_path: Path) -> None:
    spec = ImageSpec(3, 40, 33, ("a", "b"), (0.5,) * 3, (0.2,) * 3, margin=8)
    pixels = torch.randint(256, (5, *spec.prepared), dtype=torch.uint8)
    batch = {"input": pixels, "target": torch.zeros(5, dtype=torch.long), "index": torch.arange(5)}
    views = ["model.test_time_flips=true", "model.test_time_crops=[0.8,1.0]"]
    found, plain = graph("image/convnet", *views, spec=spec), graph("image/convnet", spec=spec)
    save_onnx(found, found.example(batch, rows=3), tmp_path / "model.onnx", {})
    call = load_onnx(tmp_path / "model.onnx")
    assert largest_difference(found, call, batch) < 1e-5
    assert largest_difference(plain, call, batch) > 1e-4


def test_gru_cell(tmp_path: Path) -> None:
    found, batch = graph("language/recurrent", "model.net.cell=gru"), example("language/recurrent")
    assert list(found.inputs) == ["token", "h0", "h1"]
    save_onnx(found, found.example(batch, rows=3), tmp_path / "model.onnx", {})
    assert largest_difference(found, load_onnx(tmp_path / "model.onnx"), longer(batch)) < 1e-5
