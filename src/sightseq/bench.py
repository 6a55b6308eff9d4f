"""`sightseq bench`: how fast an experiment trains and answers, beside the same network in a bare loop of PyTorch."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from pydantic import BaseModel, PositiveFloat, PositiveInt

from sightseq import console
from sightseq.core.build import build, find_class, settings
from sightseq.core.datamodule import DataModule
from sightseq.core.environment import commit, hardware, resolve_precision, versions
from sightseq.core.errors import CheckpointError, ConfigError, ExportError
from sightseq.core.files import output_file
from sightseq.core.graph import Arrays, Call, graph_of
from sightseq.core.loading import Batch
from sightseq.core.logfile import logged
from sightseq.core.rundir import Config
from sightseq.core.task import Task
from sightseq.core.trainer import count_steps, make_trainer
from sightseq.export.files import load_onnx, save_onnx
from sightseq.show import prepare

EPOCHS = 10**6  # more than are ever measured
AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Settings(BaseModel):
    """What the settings of `sightseq bench` may be."""

    repeats: PositiveInt
    measured: PositiveFloat
    rows: PositiveInt
    output: str | None


def bench(config: Config) -> dict[str, Any]:
    """Measures, prints a table, and writes all that was measured down; returns it too.

    The framework trains as `sightseq train` does, without validation, checkpoints and a progress bar. Every few seconds
    it pauses, and the bare loop trains a copy of the network on the batches that have just been used: so both see the
    same samples, on a machine that is equally warm. What changes from epoch to epoch is left out: see `Task.steady`.

    Raises:
        ConfigError: a setting does not fit, there is more than one device, or training ends before it was measured.
    """
    config = settings(config, Settings)
    path = output_file(config["output"], Path(config["paths"]["runs"]) / config["experiment"] / "bench.json")
    found: dict[str, Any] = {"experiment": config["experiment"], "hardware": hardware(), "versions": versions()}
    found |= {"commit": commit(), "precision": resolve_precision(config["precision"])}
    data = prepare(config)
    found |= {"unit": data.counted, "rows": config["rows"]}
    found["training"] = measure_training(config, data, found["precision"])
    try:
        found["inference"] = measure_inference(config, data)
    except (CheckpointError, ExportError) as error:  # what was measured before is not lost
        found["inference"] = {}
        console.say("inference", f"not measured: {error}")
    show(found)
    path.write_text(json.dumps(found, indent=1) + "\n")
    console.say("written", console.short(path))
    return found


class Floor:
    """The bare loop: augmentation, network and functional loss, which are the task's own, and what it does before a
    step; optimiser and schedule; no Trainer, no callbacks, no metrics, no loading of data.

    Args:
        task: a copy for itself.
        precision: of Lightning's names.
        clip: largest norm of the gradients, if any.
    """

    def __init__(self, task: Task, precision: str, clip: float | None) -> None:
        self.task, self.clip, self.dtype = task.train(), clip, AUTOCAST[precision]
        made = task.configure_optimizers()
        self.optimizer = made["optimizer"] if isinstance(made, dict) else made
        schedule = made["lr_scheduler"] if isinstance(made, dict) else None
        self.scheduler = schedule["scheduler"] if schedule and schedule["interval"] == "step" else None

    def __call__(self, batches: Iterable[Batch]) -> None:
        """One step for each batch, which lie on the device."""
        task = self.task
        for batch in batches:
            self.optimizer.zero_grad()
            task.on_train_batch_start(batch, 0)
            seen = task.augment(batch)
            with torch.autocast(task.device.type, self.dtype, enabled=self.dtype is not None):
                output = task.step(seen, "train")
                loss = output.loss_sum / output.count
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
            if self.clip:
                torch.nn.utils.clip_grad_norm_(task.parameters(), self.clip)
            self.optimizer.step()
            if self.scheduler:
                self.scheduler.step()


class Pauses(Callback):
    """Stops the training now and then, and lets the floor do the same batches.

    Args:
        make_floor: what makes it, once the device is known.
        repeats: how often is measured; once before that, to warm up.
        seconds: of training in between.
    """

    def __init__(self, make_floor: Callable[[torch.device], Floor], repeats: int, seconds: float) -> None:
        self.make_floor, self.repeats, self.seconds = make_floor, repeats, seconds
        self.found: list[tuple[int, float, float]] = []  # `Task.size`, seconds, seconds of the floor
        self.start_up = 0.0
        self._batches: list[Batch] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called before the first batch is fetched."""
        self._floor = self.make_floor(pl_module.device)
        self._began = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Called when the batch has been fetched, before anything else is done with it."""
        if self._batches and not self.start_up:
            wait()
            self.start_up = time.time() - psutil.Process().create_time()
        if self._batches and time.perf_counter() - self._began >= self.seconds:
            wait()
            seconds = time.perf_counter() - self._began
            count = sum(self._floor.task.size(one) for one in self._batches)
            self.found.append((count, seconds, timed(lambda: self._floor(self._batches))))
            trainer.should_stop = len(self.found) > self.repeats
            self._batches = []
            self._began = time.perf_counter()
        self._batches.append(batch)


def training_alone(config: Config) -> Config:
    """The config of a training without validation, checkpoints and trackers, that does the same in every epoch."""
    callbacks = {name: brick for name, brick in config["callbacks"].items() if brick}
    kinds = {name: find_class(brick["_target_"], Callback, f"callbacks.{name}") for name, brick in callbacks.items()}
    return config | {
        "model": config["model"] | find_class(config["model"]["_target_"], Task, "model").steady,
        "callbacks": {name: brick for name, brick in callbacks.items() if not issubclass(kinds[name], Checkpoint)},
        "trainer": config["trainer"] | {"max_epochs": EPOCHS, "limit_val_batches": 0, "accumulate_grad_batches": 1},
        "logger": {},
    }


def measure_training(config: Config, data: DataModule, precision: str) -> dict[str, Any]:
    """Samples, tokens ... a second of the floor, the framework, and the data alone; start-up and memory."""
    config = training_alone(config)
    if precision not in AUTOCAST:
        raise ConfigError(f"precision={precision}: bench knows {', '.join(AUTOCAST)}")
    torch.manual_seed(config["seed"])
    task, twin = (build(config["model"], Task, "model", spec=data.spec.to_dict()) for _ in range(2))
    pauses = Pauses(
        lambda device: Floor(twin.to(device), precision, config["trainer"]["gradient_clip_val"]),
        config["repeats"],
        config["measured"],
    )
    with tempfile.TemporaryDirectory() as folder, logged(Path(folder)):
        trainer = make_trainer(config, Path(folder), precision, task)
        if trainer.world_size > 1:
            raise ConfigError(f"bench measures one device: trainer.devices=1, not {trainer.world_size}")
        trainer.callbacks.insert(0, pauses)  # type: ignore[attr-defined]  # Lightning does not declare it
        if trainer.progress_bar_callback:
            trainer.progress_bar_callback.disable()
        task.total_steps = twin.total_steps = count_steps(trainer, data)
        trainer.fit(task, datamodule=data)
    measured = pauses.found[1:]
    if not measured:
        raise ConfigError("training ended before it was measured; leave out what ends it, or measured=1 (seconds)")
    alone = read(task.size, data, config["repeats"], config["measured"])
    return {
        "floor": summary([count / seconds for count, _, seconds in measured]),
        "framework": summary([count / seconds for count, seconds, _ in measured]),
        "ratio": summary([floor / seconds for _, seconds, floor in measured]),
        "data": summary([count / seconds for count, seconds in alone]),
        "start_up_seconds": pauses.start_up,
        "peak_memory_mib": peak_memory(),
    }


def peak_memory() -> float:
    """The most memory that this process has had, in MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource  # not there on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def summary(values: list[float]) -> dict[str, float]:
    """The median, the quartiles, and how many values there are."""
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": middle, "low": low, "high": high, "count": len(values)}


def read(size: Callable[[Batch], int], data: DataModule, repeats: int, seconds: float) -> Iterator[tuple[int, float]]:
    """Fetches training batches and does nothing with them: so much, by `Task.size`, in so many seconds."""
    batches = chain.from_iterable(repeat(data.train_dataloader()))
    for _ in range(repeats):
        count, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            count += size(next(batches))
        yield count, passed


def measure_inference(config: Config, data: DataModule) -> dict[str, Any]:
    """Seconds of a call with one row and with many, by PyTorch and by onnxruntime, in 32 bits on the CPU."""
    graph = graph_of(build(config["model"], Task, "model", spec=data.spec.to_dict()).eval())
    batch = next(iter(data.val_dataloader()))
    ways: dict[str, Call] = {"PyTorch": graph.call}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_onnx(graph, graph.example(batch, 2), path, {})
        ways["onnxruntime"] = load_onnx(path)
    return {
        name: {
            kind: calls(call, graph.example(batch, rows), config)
            for kind, rows in (("one", 1), ("many", config["rows"]))
        }
        for name, call in ways.items()
    }


def calls(call: Call, inputs: Arrays, config: Config) -> dict[str, float]:
    """Seconds of a call, measured again and again for a while."""
    call(inputs)
    found: list[float] = []
    end = time.perf_counter() + config["measured"]
    while len(found) < config["repeats"] or time.perf_counter() < end:
        found.append(timed(lambda: call(inputs)))
    return summary(found)


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def wait() -> None:
    """For all that an accelerator has been told to do."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def show(found: dict[str, Any]) -> None:
    """Prints medians, and in brackets the quartiles."""
    training, unit = found["training"], found["unit"]
    times = training["data"]["median"] / training["framework"]["median"]
    table = console.new_table("training", f"{unit}/s", "")
    table.add_row("a bare loop of PyTorch", text(training["floor"], "{:,.0f}"))
    table.add_row("sightseq", text(training["framework"], "{:,.0f}"), text(training["ratio"], "{:.3f}") + " of it")
    table.add_row("reading batches alone", text(training["data"], "{:,.0f}"), f"{times:.0f} times what training takes")
    out = console.console()
    out.print(table)
    out.print()
    table = console.new_table("inference", "one row, ms", f"{found['rows']} rows, ms", "rows/s")
    for name, ways in found["inference"].items():
        times = (text(ways[kind], "{:.2f}", scale=1e3) for kind in ("one", "many"))
        table.add_row(name, *times, f"{found['rows'] / ways['many']['median']:,.0f}")
    if found["inference"]:
        out.print(table)
        out.print()
    console.say("start-up", f"{training['start_up_seconds']:.1f} s from this command to the end of the first step")
    console.say("memory", f"{training['peak_memory_mib']:,.0f} MiB at most, with the bare loop's copy of the network")


def text(values: dict[str, float], form: str, scale: float = 1.0) -> str:
    """Such as "0.98 (0.97 .. 0.99)": the median and the quartiles."""
    low, middle, high = (form.format(scale * values[name]) for name in ("low", "median", "high"))
    return f"{middle} ({low} .. {high})"
