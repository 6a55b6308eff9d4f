"""`sightseq export`: write a trained model to a file that runs without this framework."""

import json
import os
import time
from collections.abc import Callable
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
from sightseq.core.graph import Arrays, Call, Graph, graph_of
from sightseq.core.rundir import Config, find_checkpoint
from sightseq.export.files import load_onnx, load_torch, quantize, save_onnx, save_torch

Save = Callable[[Graph, Arrays, Path, dict[str, str]], None]
Load = Callable[[Path], Call]
WAYS: dict[str, tuple[str, Save, Load]] = {
    "onnx": (".onnx", save_onnx, load_onnx),
    "torch": (".pt2", save_torch, load_torch),
}
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
    """Write the model file, or one for each part of the model, with example inputs, and print the difference from the
    PyTorch outputs.

    Raises:
        ConfigError: a setting is invalid.
        ExportError: the network cannot be traced, or the outputs differ from PyTorch; no file is written.
    """
    config = settings(config, Settings)
    suffix, save, load = WAYS[config["format"]]
    if config["quantize"] and config["format"] != "onnx":
        raise ConfigError(f"quantize={config['quantize']} is for format=onnx")
    ckpt = find_checkpoint(config["ckpt"])
    path = output_file(config["output"], run_folder(ckpt) / f"model{suffix}")
    trust(config["trust"])
    content = checkpoint.read_checkpoint(ckpt)
    task = checkpoint.rebuild(content, str(ckpt))
    parts = graph_of(task).eval().parts()
    paths = dict.fromkeys(parts, path)
    if len(parts) > 1:  # model.onnx becomes encoder.onnx and decoder.onnx, my.onnx my-encoder.onnx and my-decoder.onnx
        stem = "" if config["output"] is None else f"{path.stem}-"
        paths = {name: path.with_name(f"{stem}{name}{path.suffix}") for name in parts}
    data = checkpoint.data_of(content, task, config)
    data.prepare_data()
    console.say("data", console.describe(data))
    about = origin(content)
    for name, graph in parts.items():
        export_graph(name, graph, paths[name], data, about, save, load)
        if config["quantize"]:
            quantize_file(graph, paths[name], data)


def export_graph(
    name: str, graph: Graph, path: Path, data: DataModule, about: dict[str, str], save: Save, load: Load
) -> None:
    """Write one graph and its example inputs, if it agrees with PyTorch.

    Args:
        name: name of the graph, for the terminal.
        graph: the graph.
        path: file to write; the inputs are written next to it, as .npz.
        data: validation data, for the comparison.
        about: metadata besides those of the graph.
        save: writes a file: see `WAYS`.
        load: runs a file.

    Raises:
        ExportError: the network cannot be traced, or the outputs differ from PyTorch; no file is written.
    """
    output_name = next(iter(graph.outputs))
    example = graph.example(next(iter(data.val_dataloader())), ROWS)
    partial = path.with_name(f".part-{path.name}")
    try:
        save(graph, example, partial, graph.metadata() | about)
        difference = largest_difference(graph, load(partial), data)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the file's {output_name} differ from PyTorch's by up to {difference:.1e} of the largest, more than "
                f"{TOLERANCE}; the file was not saved"
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    console.say(name, f"{console.short(path)}, {size(path)}")
    console.say("agrees", f"with PyTorch: {output_name} differ by at most {difference:.1e} of the largest")
    inputs = path.with_suffix(".npz")
    named: dict[str, Any] = dict(zip(graph.inputs, example, strict=True))
    np.savez(inputs, **named)
    console.say("example", console.short(inputs))


def quantize_file(graph: Graph, path: Path, data: DataModule) -> None:
    """Write an int8 file next to an ONNX file, and print what it costs."""
    int8_path = path.with_suffix(".int8.onnx")
    partial = path.with_name(f".part-{path.name}")
    try:
        samples = graph.calibration(islice(data.train_dataloader(), CALIBRATED))
        quantize(path, partial, samples, graph.exact)
        os.replace(partial, int8_path)
    finally:
        partial.unlink(missing_ok=True)
    console.say("int8", f"{console.short(int8_path)}, {size(int8_path)}")
    compare_runtimes(graph, data, {"PyTorch": graph.call, "ONNX": load_onnx(path), "ONNX, int8": load_onnx(int8_path)})


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
