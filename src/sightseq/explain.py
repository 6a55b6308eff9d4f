"""`sightseq explain`: which class does what, from raw input to loss: a lecture on one page."""

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

WIDE = 120  # columns of a terminal that has room for files and lines


@dataclass
class Row:
    """One step on the way.

    Attributes:
        name: of what acts or is there.
        what: its class or function.
        gives: what comes out: shapes and numbers.
        parameters: how many it has, those of steps within it apart.
    """

    name: str
    what: Callable[..., Any] | None = None
    gives: str = ""
    parameters: int = 0


def explain(config: Config) -> None:
    """Prints one training step in reading order: the class, the place in the code, shapes and parameters.

    Nothing is downloaded: where the data is not here, generated data stands in. Pretrained weights are not loaded, and
    nothing is dropped out or averaged over the batch.
    """
    data = data_or_stand_in(config)
    torch.manual_seed(config["seed"])
    task = build(config["model"], Task, "model", spec=data.spec.to_dict())
    for name, what in {"task": task, "network": task.net}.items():
        console.say(name, f"{type(what).__name__}: {summary(type(what))}")
    out = console.console()
    wide = out.width >= WIDE
    columns = ["", "class", "where", "gives"] if wide else ["", "class", "gives"]
    table = console.new_table(*columns, right=["parameters"], whole=["", "class", "parameters"], gap=3 if wide else 2)
    for row in lecture(config, data, task):
        if isinstance(row, str):
            table.add_row(f"\n{row}", style="bold")
        else:
            class_name, where = place(row.what) if row.what else ("", "")
            cells = [class_name, where, row.gives] if wide else [class_name, row.gives]
            table.add_row(f"  {row.name}", *cells, f"{row.parameters:,}" if row.parameters else "")
    out.print(table)
    if not wide:
        out.print(
            f"\nA terminal of {WIDE} columns, or a pipe, has room for where each class is written: file and line."
        )


def data_or_stand_in(config: Config) -> DataModule:
    """The data of the experiment if it is on this machine, else generated data of its format."""
    config["data"] |= {"url": None, "files": None}
    try:
        return prepare(config)
    except DataError:
        if config["data"]["synthetic"]:
            raise
        config["data"]["synthetic"] = True
        return prepare(config)


def lecture(config: Config, data: DataModule, task: Task) -> Iterator[Row | str]:
    """The steps; texts are the titles of chapters."""
    dataset, loader = data.dataset("train"), data.train_dataloader()
    batch = next(iter(loader))
    yield "data"
    yield Row("files", type(data), f"{len(dataset):,} {data.counted} to train")
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
            told = ("lr", "weight_decay", "max_lr", "max_epochs", "decay")
            numbers = ", ".join(f"{key} {brick[key]}" for key in told if brick.get(key))
            yield Row(name, find_class(brick["_target_"], object, name), numbers)


def walk(task: Task, batch: Batch, depth: int) -> tuple[Output, list[Row]]:
    """Runs one training step; then what each module of the task gave, so many levels deep, in the order of calls.

    A parameter counts where it is first met: at its own module, or at the deepest one shown around that.
    """
    names = {module: name for name, module in task.named_modules() if name}
    rows: list[Row] = []
    calls: list[tuple[str, Row]] = []  # those under way
    counted = set[nn.Parameter]()

    def enter(module: nn.Module, given: Any) -> None:
        if module is task:
            return
        name, level = names.get(module, ""), len(calls)
        around = calls[-1][0] + "." if calls else ""
        calls.append((name, Row("  " * level + name.removeprefix(around), type(module))))
        if level < depth:
            fresh = set(module.parameters(recurse=level == depth - 1)) - counted
            counted.update(fresh)
            calls[-1][1].parameters = sum(parameter.numel() for parameter in fresh)
            rows.append(calls[-1][1])

    def leave(module: nn.Module, given: Any, found: Any) -> None:
        if module is not task:
            calls.pop()[1].gives = shapes(found)

    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    try:
        with torch.no_grad():
            batch = task.train().augment(batch)
            task.eval()  # a layer called through its function, to drop weights, would not be seen
            return task.step(batch, "train"), rows
    finally:
        for hook in hooks:
            hook.remove()


def shapes(value: Any) -> str:
    """Of the first tensor in nested tuples, lists and dictionaries, and how many there are besides."""
    found = [f"[{', '.join(map(str, leaf.shape))}]" for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return " and ".join([*found[:1], *([f"{len(found) - 1} more"] if len(found) > 1 else [])])


def summary(what: type) -> str:
    """The first paragraph of its docstring, on one line."""
    return " ".join((inspect.getdoc(what) or "").partition("\n\n")[0].split())


def place(what: Callable[..., Any]) -> tuple[str, str]:
    """The name of a class or function, and where it is written: file and line."""
    file, line = Path(inspect.getsourcefile(what) or ""), inspect.getsourcelines(what)[1]
    parts = file.parts
    if "site-packages" in parts:
        file = Path(*parts[parts.index("site-packages") + 1 :])
    return what.__qualname__, f"{console.short(file)}:{line}"
