"""`sightseq export`: write a trained model to a file that runs without this framework."""

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
"""Largest accepted difference from the PyTorch outputs, as a fraction of the largest output."""
ROWS = 8  # batch size of the example inputs
COMPARED = 3  # validation batches whose outputs are compared with PyTorch
CALIBRATED = 8  # training batches for the calibration of int8
TIMED = 50  # calls whose median is the latency


class Settings(BaseModel):
    """Allowed settings of `sightseq export`."""

    output: str | None
    format: Literal["onnx", "torch"]
    quantize: Literal["int8"] | None


def export(config: Config) -> None:
    """Write the model file and example inputs, and print the difference from the PyTorch outputs.

    Raises:
        ConfigError: a setting is invalid.
        ExportError: the network cannot be traced, or the outputs differ from PyTorch; no file is written.
    """
    config = settings(config, Settings)
    name, save, load = WAYS[config["format"]]
    if config["quantize"] and config["format"] != "onnx":
        raise ConfigError(f"quantize={config['quantize']} is for format=onnx")
    ckpt = find_checkpoint(config["ckpt"])
    path = output_file(config["output"], run_folder(ckpt) / name)
    trust(config["trust"])
    content = checkpoint.read_checkpoint(ckpt)
    task = checkpoint.rebuild(content, str(ckpt))
    graph = graph_of(task)
    data = checkpoint.data_of(content, task, config)
    data.prepare_data()
    console.say("data", console.describe(data))

    output_name = next(iter(graph.outputs))
    example = graph.example(next(iter(data.val_dataloader())), ROWS)
    partial = path.with_name(f".part-{path.name}")
    try:
        save(graph, example, partial, graph.metadata() | origin(content))
        difference = largest_difference(graph, load(partial), data)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the file's {output_name} differ from PyTorch's by up to {difference:.1e} of the largest, more than "
                f"{TOLERANCE}; the file was not saved"
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    console.say("model", f"{console.short(path)}, {size(path)}")
    console.say("agrees", f"with PyTorch: {output_name} differ by at most {difference:.1e} of the largest")
    inputs = path.with_suffix(".npz")
    named: dict[str, Any] = dict(zip(graph.inputs, example, strict=True))
    np.savez(inputs, **named)
    console.say("example", console.short(inputs))
    if config["quantize"]:
        int8_path = path.with_suffix(".int8.onnx")
        try:
            quantize(path, partial, graph.calibration(islice(data.train_dataloader(), CALIBRATED)))
            os.replace(partial, int8_path)
        finally:
            partial.unlink(missing_ok=True)
        console.say("int8", f"{console.short(int8_path)}, {size(int8_path)}")
        compare_runtimes(graph, data, {"PyTorch": graph.call, "ONNX": load(path), "ONNX, int8": load(int8_path)})


def run_folder(ckpt: Path) -> Path:
    """Return the run directory of a checkpoint file, or the folder of the file if it is not in a run directory."""
    return ckpt.parents[1] if ckpt.parent.name == "checkpoints" else ckpt.parent


def size(path: Path) -> str:
    """Return the size of a file in MB."""
    return f"{path.stat().st_size / 1e6:.2f} MB"


def origin(content: dict[str, Any]) -> dict[str, str]:
    """Return metadata on the origin of the model: `experiment`, `title` and `versions`."""
    config = content["sightseq"]["config"]
    return {"experiment": config["experiment"], "title": config["title"], "versions": json.dumps(versions())}


def largest_difference(graph: Graph, call: Call, data: DataModule) -> float:
    """Return the largest difference between the first output of `call` and of PyTorch on validation data; nan if any
    value is nan.

    A difference is a fraction of the batch's largest value: with 10,000 words, all probabilities may be small.
    """
    ways = [graph.read(way, islice(data.val_dataloader(), COMPARED)) for way in (call, graph.call)]
    differences = []
    for (exported, _), (reference, _) in zip(*ways, strict=True):
        largest = np.maximum(np.abs(reference).max(), np.finfo(np.float32).tiny)
        differences.append(np.abs(exported - reference).max() / largest)
    return float(np.max(differences))


def compare_runtimes(graph: Graph, data: DataModule, ways: dict[str, Call]) -> None:
    """Print the latency for a single input and the validation score of each way to run the graph."""
    info = graph.info
    table = console.new_table("", right=("one input", f"validation {info.title}"))
    for name, call in ways.items():
        score = info.text(graph.score(call, data.val_dataloader()))
        table.add_row(name, f"{1e3 * latency(graph, call, data):.2f} ms", score)
    console.console().print(table)


def latency(graph: Graph, call: Call, data: DataModule) -> float:
    """Return the median seconds of a call with a single row."""
    inputs = graph.example(next(iter(data.val_dataloader())), rows=1)
    times = []
    for _ in range(TIMED):
        start = time.perf_counter()
        call(inputs)
        times.append(time.perf_counter() - start)
    return median(times)
