"""`sightseq export`: write a trained model to a file, or a web page, that runs without this framework."""

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
from sightseq.core.files import output_file, replacing_folder
from sightseq.core.graph import Arrays, Call, Graph, graph_of
from sightseq.core.rundir import Config, find_checkpoint
from sightseq.export.files import load_onnx, load_torch, quantize, quantize_weights, save_onnx, save_torch
from sightseq.export.web import MODEL, SETTINGS, fetch_runtime, write_page

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
CHEAP = 0.005  # a web page has the int8 model if it loses less than this of the validation score ...
CLOSE = 0.01  # ... and no validation output differs by more than this from PyTorch


class Settings(BaseModel):
    """Allowed settings of `sightseq export`."""

    output: str | None
    format: Literal["onnx", "torch", "web"]
    quantize: Literal["int8", "float"] | None


def export(config: Config) -> None:
    """Write the model file, or one for each part of the model, with example inputs; or the folder of a web page. Print
    the difference from the PyTorch outputs.

    Raises:
        ConfigError: a setting is invalid.
        ExportError: the network cannot be traced, the outputs differ from PyTorch, or there is no web page for such
            models; nothing is written.
        DataError: the web page's runtime cannot be downloaded.
    """
    config = settings(config, Settings)
    if config["quantize"] and config["format"] == "torch":
        raise ConfigError(f"quantize={config['quantize']} is for format=onnx and format=web")
    ckpt = find_checkpoint(config["ckpt"])
    trust(config["trust"])
    content = checkpoint.read_checkpoint(ckpt)
    task = checkpoint.rebuild(content, str(ckpt))
    parts = graph_of(task).eval().parts()
    data = checkpoint.data_of(content, task, config)
    about = origin(content)
    write = export_page if config["format"] == "web" else export_files
    write(parts, run_folder(ckpt), data, about, config)


def export_files(
    parts: dict[str, Graph], folder: Path, data: DataModule, about: dict[str, str], config: Config
) -> None:
    """Write a file for each part of the model, with example inputs.

    Args:
        parts: see `Graph.parts`.
        folder: where the files are written if `output` is null.
        data: validation data, for the comparison with PyTorch; training data, for int8.
        about: metadata besides those of the graph.
        config: the settings of `export`.
    """
    suffix, save, load = WAYS[config["format"]]
    path = output_file(config["output"], folder / f"model{suffix}")
    paths = dict.fromkeys(parts, path)
    if len(parts) > 1:  # model.onnx becomes encoder.onnx and decoder.onnx, my.onnx my-encoder.onnx and my-decoder.onnx
        stem = "" if config["output"] is None else f"{path.stem}-"
        paths = {name: path.with_name(f"{stem}{name}{path.suffix}") for name in parts}
    prepare(data)
    for name, graph in parts.items():
        difference = write_graph(graph, paths[name], data, about, save, load)
        console.say(name, f"{console.short(paths[name])}, {size(paths[name])}")
        agrees(graph, difference)
        inputs = paths[name].with_suffix(".npz")
        named: dict[str, Any] = dict(zip(graph.inputs, example(graph, data), strict=True))
        np.savez(inputs, **named)
        console.say("example", console.short(inputs))
        if config["quantize"] == "int8":
            int8_path = paths[name].with_suffix(".int8.onnx")
            write_int8(graph, paths[name], int8_path, data)
            console.say("int8", f"{console.short(int8_path)}, {size(int8_path)}")
            compare_runtimes(graph, paths[name], int8_path, data)


def export_page(parts: dict[str, Graph], folder: Path, data: DataModule, about: dict[str, str], config: Config) -> None:
    """Write a folder with a web page that runs the model; an older export is replaced. Arguments: see `export_files`.

    The page has the model with int8 weights if they cost less than `CHEAP` of the validation score and change no output
    by more than `CLOSE`.
    """
    folder = Path(config["output"]) if config["output"] else folder / "web"
    with replacing_folder(folder, SETTINGS, "output=FOLDER") as building:
        prepare(data)
        graph, *others = parts.values()
        page = graph.web_page(islice(data.train_dataloader(), CALIBRATED))
        if page is None or others:
            raise ExportError(f"format=web is for image classifiers, and this is {about['title']}; use format=onnx")
        runtime = fetch_runtime(Path(config["paths"]["cache"]))
        path, int8_path = building / MODEL, building / "int8.onnx"
        agrees(graph, write_graph(graph, path, data, about, save_onnx, load_onnx))
        bits = "float"
        if config["quantize"] != "float":
            quantize_weights(path, int8_path)
            score, int8_score = compare_runtimes(graph, path, int8_path, data)
            loss = score - int8_score if graph.info.higher_is_better else int8_score - score
            change = largest_difference(graph, load_onnx(int8_path), data, batches=None)
            console.say("int8", f"{size(int8_path)}; {output_name(graph)} change by at most {change:.4f}")
            if config["quantize"] == "int8" or (loss < CHEAP and change <= CLOSE):
                bits = "int8"
                os.replace(int8_path, path)
            int8_path.unlink(missing_ok=True)
        console.say("model", f"{bits}, {size(path)}")
        names = {"title": about["title"], "input": next(iter(graph.inputs)), "output": output_name(graph)}
        write_page(building, names | page, runtime)
    console.say("page", console.short(folder))
    console.say("next", f"python -m http.server -b 127.0.0.1 -d {console.short(folder)}   # http://127.0.0.1:8000")


def prepare(data: DataModule) -> None:
    """Prepare the data and print what it is."""
    data.prepare_data()
    console.say("data", console.describe(data))


def example(graph: Graph, data: DataModule, rows: int = ROWS) -> Arrays:
    """Return the inputs of one call, from the validation data."""
    return graph.example(next(iter(data.val_dataloader())), rows)


def write_graph(graph: Graph, path: Path, data: DataModule, about: dict[str, str], save: Save, load: Load) -> float:
    """Write one graph, if it agrees with PyTorch.

    Args:
        graph: the graph.
        path: file to write.
        data: validation data, for the comparison.
        about: metadata besides those of the graph.
        save: writes a file: see `WAYS`.
        load: runs a file.

    Returns:
        See `largest_difference`.

    Raises:
        ExportError: the network cannot be traced, or the outputs differ from PyTorch; no file is written.
    """
    partial = path.with_name(f".part-{path.name}")
    try:
        save(graph, example(graph, data), partial, graph.metadata() | about)
        difference = largest_difference(graph, load(partial), data)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the file's {output_name(graph)} differ from PyTorch's by up to {difference:.1e} of the largest, more "
                f"than {TOLERANCE}; the file was not saved"
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return difference


def agrees(graph: Graph, difference: float) -> None:
    """Print the difference from PyTorch."""
    console.say("agrees", f"with PyTorch: {output_name(graph)} differ by at most {difference:.1e} of the largest")


def output_name(graph: Graph) -> str:
    """Return the name of the first output, the prediction."""
    return next(iter(graph.outputs))


def write_int8(graph: Graph, path: Path, int8_path: Path, data: DataModule) -> None:
    """Write an int8 file from an ONNX file."""
    partial = int8_path.with_name(f".part-{int8_path.name}")
    try:
        samples = graph.calibration(islice(data.train_dataloader(), CALIBRATED))
        quantize(path, partial, samples, graph.exact)
        os.replace(partial, int8_path)
    finally:
        partial.unlink(missing_ok=True)


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


def largest_difference(graph: Graph, call: Call, data: DataModule, batches: int | None = COMPARED) -> float:
    """Return the largest difference between the first output of `call` and of PyTorch on some validation batches, or on
    all (None); nan if any value is nan.

    A difference is a fraction of the batch's largest value: with 10,000 words, all probabilities may be small.
    """
    ways = [graph.read(way, islice(data.val_dataloader(), batches)) for way in (call, graph.call)]
    differences = []
    for (exported, _), (reference, _) in zip(*ways, strict=True):
        largest = np.maximum(np.abs(reference).max(), np.finfo(np.float32).tiny)
        differences.append(np.abs(exported - reference).max() / largest)
    return float(np.max(differences))


def compare_runtimes(graph: Graph, path: Path, int8_path: Path, data: DataModule) -> tuple[float, float]:
    """Print the latency for a single input and the validation score of PyTorch and both ONNX files; return the files'
    scores.
    """
    info = graph.info
    ways = {"PyTorch": graph.call, "ONNX": load_onnx(path), "ONNX, int8": load_onnx(int8_path)}
    scores = {name: graph.score(call, data.val_dataloader()) for name, call in ways.items()}
    table = console.new_table("", right=("one input", f"validation {info.title}"))
    for name, call in ways.items():
        table.add_row(name, f"{1e3 * latency(graph, call, data):.2f} ms", info.text(scores[name]))
    console.console().print(table)
    return scores["ONNX"], scores["ONNX, int8"]


def latency(graph: Graph, call: Call, data: DataModule) -> float:
    """Return the median seconds of a call with a single row."""
    inputs = example(graph, data, rows=1)
    times = []
    for _ in range(TIMED):
        start = time.perf_counter()
        call(inputs)
        times.append(time.perf_counter() - start)
    return median(times)
