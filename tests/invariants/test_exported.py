"""Every network that has a config says the same as a file, also of more rows and tokens than it was traced with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.graph import Call, Graph, graph_of
from sightseq.core.order import Batch
from sightseq.core.places import group_options
from sightseq.core.spec import Spec
from sightseq.core.task import Task
from sightseq.export.files import load_onnx, load_torch, save_onnx, save_torch
from sightseq.text.spec import LanguageSpec, TextSpec
from sightseq.text.tokenizer import fit
from sightseq.vision.spec import ImageSpec

TOKENIZER = fit([f"w{number}" for number in range(48)], "words", 50)
IMAGE = ImageSpec(3, 40, 33, ("a", "b"), (0.5,) * 3, (0.2,) * 3, margin=8)
TEXT = TextSpec(TOKENIZER.json, TOKENIZER.vocab_size, ("a", "b"))
LANGUAGE = LanguageSpec(TOKENIZER.json, TOKENIZER.vocab_size)
HOMES: dict[str, tuple[list[str], Spec]] = {
    "image": (["experiment=digits", "augment=none"], IMAGE),
    "text": (["experiment=imdb"], TEXT),
    "language": (["experiment=python_docs"], LANGUAGE),
}
NETS = [option for option in group_options("model/net") if option.partition("/")[0] in HOMES]


def graph(option: str, *overrides: str) -> Graph:
    home, spec = HOMES[option.partition("/")[0]]
    config = compose(*home, f"model/net={option}", *overrides)["model"]
    torch.manual_seed(0)
    task = build(config, Task, "model", spec=spec.to_dict())
    for parameter in task.parameters():  # some begin with zeros, and say the same of everything
        torch.nn.init.normal_(parameter, std=0.1)
    return graph_of(task)


def batch(kind: str, rows: int, tokens: int) -> Batch:
    torch.manual_seed(rows)
    common = {"target": torch.zeros(rows, dtype=torch.long), "index": torch.arange(rows)}
    if kind == "image":
        return {**common, "input": torch.randint(256, (rows, *IMAGE.prepared), dtype=torch.uint8)}
    numbers = torch.randint(TOKENIZER.vocab_size, (rows, tokens))
    if kind == "language":
        return {**common, "input": numbers, "target": numbers}
    return {**common, "input": numbers, "length": torch.randint(1, tokens + 1, (rows,))}


def furthest(found: Graph, call: Call, kind: str) -> float:
    others = [batch(kind, rows=5, tokens=13)]
    ways = [found.read(way, others) for way in (call, found.call)]
    ((mine, _), (theirs, _)) = (next(way) for way in ways)
    assert theirs.std() > 1e-4, "says the same of everything"
    return float(np.abs(mine - theirs).max())


@pytest.mark.parametrize("option", NETS)
def test_onnx(option: str, tmp_path: Path) -> None:
    found, kind = graph(option), option.partition("/")[0]
    save_onnx(found, found.example(batch(kind, rows=3, tokens=7), rows=3), tmp_path / "model.onnx", {})
    assert furthest(found, load_onnx(tmp_path / "model.onnx"), kind) < 1e-5


@pytest.mark.parametrize("option", ["image/resnet", "text/cnn", "language/recurrent"])
def test_torch_export(option: str, tmp_path: Path) -> None:
    found, kind = graph(option), option.partition("/")[0]
    save_torch(found, found.example(batch(kind, rows=3, tokens=7), rows=3), tmp_path / "model.pt2", {})
    assert furthest(found, load_torch(tmp_path / "model.pt2"), kind) < 1e-5


def test_views_of_an_image_are_in_the_file(tmp_path: Path) -> None:
    views = ["model.test_time_flips=true", "model.test_time_crops=[0.8,1.0]"]
    found, plain = graph("image/convnet", *views), graph("image/convnet")
    save_onnx(found, found.example(batch("image", rows=3, tokens=0), rows=3), tmp_path / "model.onnx", {})
    call = load_onnx(tmp_path / "model.onnx")
    assert furthest(found, call, "image") < 1e-5
    assert furthest(plain, call, "image") > 1e-4


def test_a_cell_of_gru(tmp_path: Path) -> None:
    found = graph("language/recurrent", "model.net.cell=gru")
    assert list(found.inputs) == ["token", "h0", "h1"]
    save_onnx(found, found.example(batch("language", rows=3, tokens=7), rows=3), tmp_path / "model.onnx", {})
    assert furthest(found, load_onnx(tmp_path / "model.onnx"), "language") < 1e-5
