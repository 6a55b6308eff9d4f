"""`sightseq explain`: prints the class, shapes and parameters of every step from raw input to loss."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._pytree import tree_leaves

from sightseq import console
from sightseq.core.build import build, find_class
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import DataError
from sightseq.core.loading import Batch
from sightseq.core.rundir import Config
from sightseq.core.scores import Output
from sightseq.core.task import Task
from sightseq.show import prepare

WIDE = 120  # minimum terminal columns to show files and line numbers


@dataclass
class Row:
    """One step of the training pipeline.

    Attributes:
        name: name of the component or tensor.
        what: its class or function.
        output: shapes and values that it returns.
        parameters: number of its parameters, without those of the steps inside it.
    """

    name: str
    what: Callable[..., Any] | None = None
    output: str = ""
    parameters: int = 0


def explain(config: Config) -> None:
    """Print the steps of one training step in order: class, place in the code, shapes and parameters.

    Nothing is downloaded: if the data is not on this machine, generated data is used. Pretrained weights are not
    loaded, and the network is in evaluation mode (no dropout, no batch statistics).
    """
    data = data_or_synthetic(config)
    torch.manual_seed(config["seed"])
    task = build(config["model"], Task, "model", spec=data.spec.to_dict())
    for name, what in {"task": task, "network": task.net}.items():
        console.say(name, f"{type(what).__name__}: {summary(type(what))}")
    out = console.console()
    wide = out.width >= WIDE
    columns = ["", "class", "where", "output"] if wide else ["", "class", "output"]
    table = console.new_table(*columns, right=["parameters"], whole=["", "class", "parameters"], gap=3 if wide else 2)
    for row in pipeline_rows(config, data, task):
        if isinstance(row, str):
            table.add_row(f"\n{row}", style="bold")
        else:
            class_name, where = place(row.what) if row.what else ("", "")
            cells = [class_name, where, row.output] if wide else [class_name, row.output]
            table.add_row(f"  {row.name}", *cells, f"{row.parameters:,}" if row.parameters else "")
    out.print(table)
    if not wide:
        out.print(f"\nA terminal of at least {WIDE} columns, or a pipe, also shows the file and line of each class.")


def data_or_synthetic(config: Config) -> DataModule:
    """Return the data of the experiment if it is on this machine, else generated data in its format."""
    config["data"] |= {"url": None, "files": None}
    try:
        return prepare(config)
    except DataError:
        if config["data"]["synthetic"]:
            raise
        config["data"]["synthetic"] = True
        return prepare(config)


def pipeline_rows(config: Config, data: DataModule, task: Task) -> Iterator[Row | str]:
    """Yield the steps as rows; strings are section titles."""
    dataset, loader = data.dataset("train"), data.train_dataloader()
    batch = next(iter(loader))
    yield "data"
    yield Row("files", type(data), f"{len(dataset):,} {data.sample_unit} to train")
    yield Row(
        "spec", type(data.spec), ", ".join(f"{name} {value}" for name, value in data.spec.net_arguments().items())
    )
    yield Row("samples", type(dataset))
    yield Row("batch sampler", type(loader.sampler), f"{len(loader):,} batches an epoch")
    for name, tensor in batch.items():
        yield Row(f"  {name}", None, f"{shapes(tensor)} {str(tensor.dtype).removeprefix('torch.')}")
    yield "augmentation, network"
    output, steps = walk(task, batch, config["depth"])
    yield from steps
    yield Row("all", None, "", sum(parameter.numel() for parameter in task.parameters()))
    yield "loss and metrics"
    yield Row("loss", type(task).step, f"{output.loss_sum / output.count:.3f}, untrained")
    yield from (Row(name, type(metric)) for name, metric in task.scoreboard.metrics("val").items() if name != "loss")
    yield "training"
    bricks = {name: config["model"].get(name) for name in ("optimizer", "scheduler")} | {"trainer": config["trainer"]}
    for name, brick in (bricks | config["callbacks"]).items():
        if brick:
            shown = ("lr", "weight_decay", "max_lr", "max_epochs", "decay")
            settings = ", ".join(f"{key} {brick[key]}" for key in shown if brick.get(key))
            yield Row(name, find_class(brick["_target_"], object, name), settings)


def walk(task: Task, batch: Batch, depth: int) -> tuple[Output, list[Row]]:
    """Run one training step; return its output, and a row per module called, down to `depth` levels, in call order.

    Each parameter is counted once, at the first row of its own module, or of the deepest shown module that contains it.
    """
    names = {module: name for name, module in task.named_modules() if name}
    rows: list[Row] = []
    calls: list[tuple[str, Row]] = []  # modules whose forward is running
    counted = set[nn.Parameter]()

    def enter(module: nn.Module, inputs: Any) -> None:
        if module is task:
            return
        name, level = names.get(module, ""), len(calls)
        parent = calls[-1][0] + "." if calls else ""
        calls.append((name, Row("  " * level + name.removeprefix(parent), type(module))))
        if level < depth:
            uncounted = set(module.parameters(recurse=level == depth - 1)) - counted
            counted.update(uncounted)
            calls[-1][1].parameters = sum(parameter.numel() for parameter in uncounted)
            rows.append(calls[-1][1])

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        if module is not task:
            calls.pop()[1].output = shapes(output)

    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    try:
        with torch.no_grad():
            batch = task.train().augment(batch)
            task.eval()  # in training, weight dropout calls a layer's function, not the module, so hooks miss it
            return task.step(batch, "train"), rows
    finally:
        for hook in hooks:
            hook.remove()


def shapes(value: Any) -> str:
    """Return the shape of the first tensor in nested tuples, lists and dictionaries, and the count of the others."""
    all_shapes = [f"[{', '.join(map(str, leaf.shape))}]" for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return " and ".join([*all_shapes[:1], *([f"{len(all_shapes) - 1} more"] if len(all_shapes) > 1 else [])])


def summary(what: type) -> str:
    """Return the first paragraph of a class's docstring, on one line."""
    return " ".join((inspect.getdoc(what) or "").partition("\n\n")[0].split())


def place(what: Callable[..., Any]) -> tuple[str, str]:
    """Return the name of a class or function, and its file and line."""
    file, line = Path(inspect.getsourcefile(what) or ""), inspect.getsourcelines(what)[1]
    parts = file.parts
    if "site-packages" in parts:
        file = Path(*parts[parts.index("site-packages") + 1 :])
    return what.__qualname__, f"{console.short(file)}:{line}"
