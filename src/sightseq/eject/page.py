"""Writes the text of the file: the network, the data and the training."""

import re
import shutil
import subprocess
import textwrap
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from sightseq.core.build import find_class, parameters
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError
from sightseq.core.extras import require
from sightseq.core.rundir import Config
from sightseq.eject import comments
from sightseq.eject.arrays import Files
from sightseq.eject.bundle import Bundle
from sightseq.eject.construct import construct
from sightseq.eject.imports import Imports
from sightseq.eject.inline import inline_trivial
from sightseq.eject.shorten import remove_docstrings
from sightseq.eject.tracing import Trace, is_own

HEADER = '''"""{title}: plain PyTorch, written by `sightseq eject experiment={experiment}`.

The network, the arrays, the order of the samples, the random numbers and the optimizer are those of the experiment.
{left_out}
It reads arrays below DATA, the cache, in {folders}.
"""
'''
LOAD = '''

def load(name):
    """Map an array of the cache into memory."""
    return np.load(DATA / name, mmap_mode="c")
'''
EVALUATE = '''

@torch.no_grad()
def evaluate(model, data, batches):
    """Return the mean {score} on the validation data."""
    model.eval()
    total, count = 0.0, 0
    for indices in batches:
        value, number = model.{measure}({{name: one.to(DEVICE) for name, one in data.batch(indices).items()}})
        total, count = total + value.item(), count + number.item()
    return total / count
'''
TRAIN = '''

def train():
    """Train the network; yield the epoch, the step in it and the loss of each step."""
    torch.manual_seed({seed})
    model = {model}.to(DEVICE)
    {groups}
    optimizer = {optimizer}
    {schedule}
    {data}
    for epoch in range({epochs}):
        model.train()
        for step, indices in enumerate({order}):
            # Random numbers depend on the position only, not on what was drawn before.
            torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed} {{epoch}} {{step}} 0".encode()).digest()[:7]))
            total, count = model.loss({{name: one.to(DEVICE) for name, one in data.batch(indices).items()}})
            loss = total / count
            optimizer.zero_grad()
            loss.backward()
            {clip}
            optimizer.step()
            {step_schedule}
            yield epoch, step, loss.item()
        {epoch_schedule}
        print(f"epoch {{epoch + 1}}: validation {score} {{evaluate(model, val, {batches}):.4f}}")
    torch.save(model.state_dict(), "{name}.pt")
'''
MAIN = """

if __name__ == "__main__":
    for epoch, step, loss in train():
        if step % 50 == 0:
            print(f"epoch {epoch + 1}, step {step + 1}: loss {loss:.4f}", flush=True)
"""
DECAY = """weights = [p for p in model.parameters() if p.requires_grad]
    # Biases and the weights of normalisation layers do not decay.
    groups = [{"params": [p for p in weights if p.ndim >= 2]}]
    groups += [{"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0}]"""
NO_DECAY = "groups = [p for p in model.parameters() if p.requires_grad]"
MODULES: dict[str, set[str]] = {"pathlib": {"Path"}, "torch": {"nn"}}


@dataclass
class Parts:
    """What the file is made of.

    Attributes:
        config: the experiment.
        data: its data, prepared.
        model: network and loss: see `Task.plain`.
        splits: samples of "train" and "val": see `order.plain_data`.
        orders: order of the samples of "train", and of "val" if that is a stream: see `order.plain_order`.
        trace: recorded calls of all of them.
        left_out: what the experiment does and the file does not.
    """

    config: Config
    data: DataModule
    model: nn.Module
    splits: dict[str, Any]
    orders: dict[str, partial[Any]]
    trace: Trace
    left_out: list[str]


def write(parts: Parts, files: Files, short: bool) -> str:
    """Return the text of the file; without the docstrings of methods if it should be `short`.

    Raises:
        ConfigError: the experiment has something that the file cannot have.
    """
    config, model, splits = parts.config, parts.model, parts.splits
    bundle = Bundle(parts.trace, [*splits.values(), *model.modules()])
    bundle.used_attributes |= {"loss", "measure", "batch"}
    schedule = config["model"].get("scheduler")
    kind = find_class(schedule["_target_"], LRScheduler, "model.scheduler") if schedule else None
    modules = [type(one) for one in model.modules() if is_own(type(one).__module__)]
    others = [*map(type, splits.values()), *(one.func for one in parts.orders.values()), *([kind] if kind else [])]
    roots = [*modules[::-1], *(one for one in others if is_own(one.__module__))]
    definitions, imports = bundle.collect(dict.fromkeys(roots))
    nodes = inline_trivial(definitions)
    if short:
        remove_docstrings(nodes)

    def known(value: Any) -> str:
        if isinstance(value, np.ndarray):
            split = next((split for split, one in splits.items() if getattr(one, "rows", None) is value), None)
            return files.expression(value, split)
        return ""

    orders = {split: order_call(order, bundle) for split, order in parts.orders.items()}
    batches = f"torch.arange({len(splits['val'].rows)}).split({eval_size(parts)})"
    score = getattr(model, "score", "loss")
    clip = config["trainer"].get("gradient_clip_val")
    training = TRAIN.format(
        seed=config["seed"],
        model=construct(model, bundle, known),
        groups=DECAY if config["model"]["optimizer"].get("weight_decay") else NO_DECAY,
        optimizer=optimizer_call(config),
        data=both(*(construct(splits[split], bundle, known) for split in ("train", "val"))),
        epochs=config["trainer"]["max_epochs"],
        order=orders["train"],
        batches=orders.get("val", batches),
        clip=f"nn.utils.clip_grad_norm_(model.parameters(), {clip})" if clip else "",
        score=score,
        name=file_name(config),
        **schedule_calls(config, kind, len(parts.data.batch_sampler("train"))),
    )
    measure = "measure" if hasattr(model, "measure") else "loss"
    body = "\n\n".join(map(comments.unparse, nodes)) + LOAD + EVALUATE.format(measure=measure, score=score)
    return formatted(f"{header(parts, files)}\n{import_text(imports)}\n{constants(files)}\n{body}{training}{MAIN}")


def header(parts: Parts, files: Files) -> str:
    """Return the docstring of the file."""
    folders = sorted({path.rpartition("/")[0] for path in files.read})
    left_out = f"Left out: {', '.join(parts.left_out)}." if parts.left_out else ""
    text = HEADER.format(
        title=parts.config["title"],
        experiment=parts.config["experiment"].rpartition("/")[2],
        left_out=left_out,
        folders=", ".join(folders),
    )
    lines = text.replace("\n\nIt reads", "\nIt reads").splitlines()
    return "\n".join(textwrap.fill(line, 118, break_long_words=False, break_on_hyphens=False) for line in lines)


def import_text(imports: Imports) -> str:
    """Return the import statements."""
    imports.whole |= {("hashlib", None), ("torch", None), ("numpy", "np")}
    for module, names in MODULES.items():
        imports.parts.setdefault(module, set()).update((name, None) for name in names)
    return imports.text()


def constants(files: Files) -> str:
    """Return the constants of the file."""
    device = 'DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")'
    return f"\nDATA = Path({str(files.cache)!r})\n{device}\n"


def file_name(config: Config) -> str:
    """Return the name of the experiment without its topic."""
    return str(config["experiment"]).rpartition("/")[2]


def eval_size(parts: Parts) -> int:
    """Return the number of samples in a validation batch."""
    return int(getattr(parts.splits["val"], "batch_size", parts.data.eval_batch_size))


def optimizer_call(config: Config) -> str:
    """Return the call that builds the optimizer from `groups`."""
    settings = dict(config["model"]["optimizer"])
    kind = find_class(settings.pop("_target_"), Optimizer, "model.optimizer")
    if is_own(kind.__module__):
        raise ConfigError(f"eject: the optimizer {kind.__name__} is not one of torch; choose another optimizer=")
    arguments = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    return f"torch.optim.{kind.__name__}(groups, {arguments})"


def schedule_calls(config: Config, kind: type[LRScheduler] | None, batches: int) -> dict[str, str]:
    """Return the call that builds the schedule, and its steps after each step or epoch: see `make_schedule`."""
    lines = {"schedule": "", "step_schedule": "", "epoch_schedule": ""}
    if kind is None:
        return lines
    settings = {name: value for name, value in config["model"]["scheduler"].items() if name != "_target_"}
    takes_steps = "total_steps" in parameters(kind)
    interval = settings.pop("interval", "step" if takes_steps else "epoch")
    if takes_steps:
        settings.setdefault("total_steps", config["trainer"]["max_epochs"] * batches)
    arguments = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    name = kind.__name__ if is_own(kind.__module__) else f"torch.optim.lr_scheduler.{kind.__name__}"
    lines["schedule"] = f"schedule = {name}(optimizer, {arguments})"
    lines[f"{interval}_schedule"] = "schedule.step()"
    return lines


def order_call(order: partial[Any], bundle: Bundle) -> str:
    """Return the call of the order of the samples in an epoch."""
    inlined = bundle.inlined(order.func)
    given = [
        "data.lengths" if isinstance(value, Tensor) else repr(value)
        for name, value in order.keywords.items()
        if name not in inlined
    ]
    takes_epoch = "epoch" in order.func.__code__.co_varnames
    return f"{order.func.__name__}({', '.join([*given, *(['epoch'] if takes_epoch else [])])})"


def both(train: str, val: str) -> str:
    """Return the assignment of the training and the validation data: one expression if only the split differs."""
    for pattern in (r"\b{}(?=\.npy)", r"(?<=/){}\b"):
        one, other = (re.sub(pattern.format(name), "{split}", text) for name, text in (("train", train), ("val", val)))
        if one == other != train:
            text = re.sub(r"load\('([^']*\{split\}[^']*)'\)", r"load(f'\1')", one)
            return f'data, val = ({text} for split in ("train", "val"))'
    return f"data = {train}\n    val = {val}"


def formatted(text: str) -> str:
    """Return source code in the format of ruff.

    Raises:
        ConfigError: ruff is not installed.
    """
    find: Any = require("ruff", "eject")
    command = [shutil.which("ruff") or find.find_ruff_bin(), "format", "--isolated", "--line-length", "120", "-"]
    text = re.sub(r"\n +(?=\n)", "", text)  # lines of what the experiment does not have
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
