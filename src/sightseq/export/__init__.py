"""`sightseq export`: a trained model as a file that runs without this framework."""

import json
import os
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from sightseq import console
from sightseq.core import checkpoint
from sightseq.core.build import settings, trust
from sightseq.core.datamodule import DataModule
from sightseq.core.environment import versions
from sightseq.core.errors import ConfigError, ExportError
from sightseq.core.files import output_file
from sightseq.core.graph import Call, Graph, graph_of
from sightseq.core.rundir import Config, find_checkpoint
from sightseq.export.files import load_onnx, load_torch, quantize, save_onnx, save_torch

WAYS = {"onnx": ("model.onnx", save_onnx, load_onnx), "torch": ("model.pt2", save_torch, load_torch)}
TOLERANCE = 1e-4
"""How far an output may be from PyTorch's, as a share of the largest one."""
ROWS = 8  # of the example
COMPARED = 3  # batches of validation
CALIBRATED = 8  # batches of training
TIMED = 50  # calls


class Settings(BaseModel):
    """What the settings of `sightseq export` may be."""

    output: str | None
    format: Literal["onnx", "torch"]
    quantize: Literal["int8"] | None


def export(config: Config) -> None:
    """Writes the file and the inputs of an example, and says how far its outputs are from PyTorch's.

    Raises:
        ConfigError: a setting does not fit.
        ExportError: the network cannot be traced, or the file disagrees with PyTorch; then none is left.
    """
    config = settings(config, Settings)
    name, save, load = WAYS[config["format"]]
    if config["quantize"] and config["format"] != "onnx":
        raise ConfigError(f"quantize={config['quantize']} is for format=onnx")
    ckpt = find_checkpoint(config["ckpt"])
    path = output_file(config["output"], folder_of(ckpt) / name)
    trust(config["trust"])
    content = checkpoint.read_checkpoint(ckpt)
    task = checkpoint.rebuild(content, str(ckpt))
    graph = graph_of(task)
    data = checkpoint.data_of(content, task, config)
    data.prepare_data()
    console.say("data", console.describe(data))

    what = next(iter(graph.outputs))
    example = graph.example(next(iter(data.val_dataloader())), ROWS)
    part = path.with_name(f".part-{path.name}")
    try:
        save(graph, example, part, graph.metadata() | origin(content))
        difference = furthest(graph, load(part), data)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the file's {what} differ from PyTorch's by up to {difference:.1e} of the largest, more than "
                f"{TOLERANCE}; it was not kept"
            )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    console.say("model", f"{console.short(path)}, {size(path)}")
    console.say("agrees", f"with PyTorch: {what} differ by at most {difference:.1e} of the largest")
    inputs = path.with_suffix(".npz")
    named: dict[str, Any] = dict(zip(graph.inputs, example, strict=True))
    np.savez(inputs, **named)
    console.say("example", console.short(inputs))
    if config["quantize"]:
        smaller = path.with_suffix(".int8.onnx")
        try:
            quantize(path, part, graph.calibration(islice(data.train_dataloader(), CALIBRATED)))
            os.replace(part, smaller)
        finally:
            part.unlink(missing_ok=True)
        console.say("int8", f"{console.short(smaller)}, {size(smaller)}")
        weigh(graph, data, {"PyTorch": graph.call, "ONNX": load(path), "ONNX, int8": load(smaller)})


def folder_of(ckpt: Path) -> Path:
    """The run directory that a checkpoint file belongs to, or its own folder."""
    return ckpt.parents[1] if ckpt.parent.name == "checkpoints" else ckpt.parent


def size(path: Path) -> str:
    """Of a file."""
    return f"{path.stat().st_size / 1e6:.2f} MB"


def origin(content: dict[str, Any]) -> dict[str, str]:
    """Where the file is from: `experiment`, `title` and `versions`."""
    config = content["sightseq"]["config"]
    return {"experiment": config["experiment"], "title": config["title"], "versions": json.dumps(versions())}


def furthest(graph: Graph, call: Call, data: DataModule) -> float:
    """The largest difference between the first outputs of `call` and PyTorch on real inputs, as a share of the largest
    value, since of 10,000 words each may have a small probability; nan if one is nan.
    """
    ways = [graph.read(way, islice(data.val_dataloader(), COMPARED)) for way in (call, graph.call)]
    shares = []
    for (mine, _), (theirs, _) in zip(*ways, strict=True):
        largest = np.maximum(np.abs(theirs).max(), np.finfo(np.float32).tiny)
        shares.append(np.abs(mine - theirs).max() / largest)
    return float(np.max(shares))


def weigh(graph: Graph, data: DataModule, ways: dict[str, Call]) -> None:
    """Prints the latency of a single input and the validation score of each way to run the graph."""
    info = graph.info
    table = console.new_table("", right=("one input", f"validation {info.title}"))
    for name, call in ways.items():
        score = info.text(graph.score(call, data.val_dataloader()))
        table.add_row(name, f"{1e3 * latency(graph, call, data):.2f} ms", score)
    console.console().print(table)


def latency(graph: Graph, call: Call, data: DataModule) -> float:
    """The median seconds of a call with a single row."""
    inputs = graph.example(next(iter(data.val_dataloader())), rows=1)
    times = []
    for _ in range(TIMED):
        began = time.perf_counter()
        call(inputs)
        times.append(time.perf_counter() - began)
    return median(times)
