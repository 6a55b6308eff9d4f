"""`sightseq bench`: training and inference speed of an experiment, compared with a bare PyTorch loop."""

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
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
from sightseq.core.environment import commit, hardware, peak_memory, resolve_precision, versions
from sightseq.core.errors import CheckpointError, ConfigError, ExportError
from sightseq.core.files import output_file
from sightseq.core.frozen import precompute
from sightseq.core.graph import Call, graph_of
from sightseq.core.loading import Batch
from sightseq.core.logfile import log_to_file
from sightseq.core.results import make_baselines
from sightseq.core.rundir import Config
from sightseq.core.task import Task
from sightseq.core.trainer import count_steps, make_trainer
from sightseq.export.files import load_onnx, save_onnx
from sightseq.show import original, prepare

EPOCHS = 10**6  # never reached: the measurement stops the training
AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Settings(BaseModel):
    """Settings of `sightseq bench`; conf/bench.yaml describes them."""

    repeats: PositiveInt
    measured: PositiveFloat
    rows: PositiveInt
    output: str | None


def bench(config: Config) -> dict[str, Any]:
    """Measure training and inference speed, print tables, write all measurements to a JSON file and return them.

    The framework trains like `sightseq train`, without validation, checkpoints and progress bar. Every `measured`
    seconds it pauses, and the bare loop trains a copy of the network on the batches that were just used. Both therefore
    process the same samples under the same conditions. What changes between epochs is switched off: see
    `Task.bench_arguments`.

    Raises:
        ConfigError: a setting is invalid, there is more than one device, or training ends before it was measured.
    """
    config = settings(config, Settings)
    path = output_file(config["output"], Path(config["paths"]["runs"]) / config["experiment"] / "bench.json")
    results: dict[str, Any] = {"experiment": config["experiment"], "hardware": hardware(), "versions": versions()}
    results |= {"commit": commit(), "precision": resolve_precision(config["precision"])}
    data = prepare(config)
    unit = find_class(config["model"]["_target_"], Task, "model").size_unit or data.sample_unit
    results |= {"unit": unit, "rows": config["rows"]}
    results["training"] = measure_training(config, data, results["precision"])
    try:
        results["inference"], results["amount"] = measure_inference(config, data)
    except (CheckpointError, ExportError) as error:  # keep the training measurements
        results["inference"], results["amount"] = {}, None
        console.say("inference", f"not measured: {error}")
    show(results)
    path.write_text(json.dumps(results, indent=1) + "\n")
    console.say("written", console.short(path))
    return results


class BareLoop:
    """The bare loop, a lower bound on the training time.

    It uses the task's augmentation, network, loss, `on_train_batch_start`, optimiser and schedule; no Trainer, no
    callbacks, no metrics, no data loading.

    Args:
        task: its own copy of the task.
        precision: one of Lightning's names, a key of `AUTOCAST`.
        clip: maximum norm of the gradients; None: no clipping.
    """

    def __init__(self, task: Task, precision: str, clip: float | None) -> None:
        self.task, self.clip, self.dtype = task.train(), clip, AUTOCAST[precision]
        optimizers = task.configure_optimizers()
        self.optimizer = optimizers["optimizer"] if isinstance(optimizers, dict) else optimizers
        schedule = optimizers["lr_scheduler"] if isinstance(optimizers, dict) else None
        self.scheduler = schedule["scheduler"] if schedule and schedule["interval"] == "step" else None

    def __call__(self, batches: Iterable[Batch]) -> None:
        """Run one training step per batch; the batches are already on the device."""
        task = self.task
        for batch in batches:
            self.optimizer.zero_grad()
            task.on_train_batch_start(batch, 0)
            augmented = task.augment(batch)
            with torch.autocast(task.device.type, self.dtype, enabled=self.dtype is not None):
                output = task.step(augmented, "train")
                loss = output.loss_sum / output.count
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
            if self.clip:
                torch.nn.utils.clip_grad_norm_(task.parameters(), self.clip)
            self.optimizer.step()
            if self.scheduler:
                self.scheduler.step()


class PauseCallback(Callback):
    """PauseCallback the training at intervals and runs the bare loop on the same batches.

    Args:
        make_bare_loop: function that makes the bare loop, called once the device is known.
        repeats: number of measurements; one more is made before them as a warm-up.
        seconds: duration of training between two pauses.
    """

    def __init__(self, make_bare_loop: Callable[[torch.device], BareLoop], repeats: int, seconds: float) -> None:
        self.make_bare_loop, self.repeats, self.seconds = make_bare_loop, repeats, seconds
        self.measured: list[tuple[int, float, float]] = []  # (`Task.size`, seconds, seconds of the bare loop)
        self.start_up = 0.0
        self._batches: list[Batch] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; Lightning calls this before the first batch is fetched."""
        self._floor = self.make_bare_loop(pl_module.device)
        self._began = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Measure if `seconds` have passed; Lightning calls this when a batch was fetched and not yet used."""
        if self._batches and not self.start_up:
            wait()
            self.start_up = time.time() - psutil.Process().create_time()
        if self._batches and time.perf_counter() - self._began >= self.seconds:
            wait()
            seconds = time.perf_counter() - self._began
            count = sum(self._floor.task.size(used) for used in self._batches)
            self.measured.append((count, seconds, timed(lambda: self._floor(self._batches))))
            trainer.should_stop = len(self.measured) > self.repeats
            self._batches = []
            self._began = time.perf_counter()
        self._batches.append(batch)


def training_only_config(config: Config) -> Config:
    """Return a config that trains without validation, checkpoints and trackers, and does the same in every epoch."""
    callbacks = {name: brick for name, brick in config["callbacks"].items() if brick}
    kinds = {name: find_class(brick["_target_"], Callback, f"callbacks.{name}") for name, brick in callbacks.items()}
    return config | {
        "model": config["model"] | find_class(config["model"]["_target_"], Task, "model").bench_arguments,
        "callbacks": {name: brick for name, brick in callbacks.items() if not issubclass(kinds[name], Checkpoint)},
        "trainer": config["trainer"] | {"max_epochs": EPOCHS, "limit_val_batches": 0, "accumulate_grad_batches": 1},
        "logger": {},
    }


def measure_training(config: Config, data: DataModule, precision: str) -> dict[str, Any]:
    """Return samples or tokens per second (bare loop, framework, data loading), start-up time and memory."""
    if precision not in AUTOCAST:
        raise ConfigError(f"precision={precision}: bench supports {', '.join(AUTOCAST)}")
    config = training_only_config(config)
    torch.manual_seed(config["seed"])
    task, twin = (build(config["model"], Task, "model", spec=data.spec.to_dict()) for _ in range(2))
    pauses = PauseCallback(
        lambda device: BareLoop(twin.to(device), precision, config["trainer"]["gradient_clip_val"]),
        config["repeats"],
        config["measured"],
    )
    with tempfile.TemporaryDirectory() as folder, log_to_file(Path(folder)):
        trainer = make_trainer(config, Path(folder), precision, task)
        if trainer.world_size > 1:
            raise ConfigError(f"bench measures one device, not {trainer.world_size}: use trainer.devices=1")
        trainer.callbacks.insert(0, pauses)  # type: ignore[attr-defined]  # Lightning does not declare the attribute
        if trainer.progress_bar_callback:
            trainer.progress_bar_callback.disable()
        task.total_steps = twin.total_steps = count_steps(trainer, data)
        precompute(task, data, trainer.strategy.root_device)
        for one in (task, twin):
            one.prepare_training(data.dataset("train"))
        trainer.fit(task, datamodule=data)
    measured = pauses.measured[1:]
    if not measured:
        raise ConfigError("training ended before it was measured; remove what ends it, or lower measured= (seconds)")
    sources = {"data": data} | ({"cache": cached} if data.sharded and (cached := original(config)) else {})
    rates = {name: read(task.size, one, config["repeats"], config["measured"]) for name, one in sources.items()}
    return rates | {
        "floor": summary([count / seconds for count, _, seconds in measured]),
        "framework": summary([count / seconds for count, seconds, _ in measured]),
        "ratio": summary([floor / seconds for _, seconds, floor in measured]),
        "start_up_seconds": pauses.start_up,
        "peak_memory_mib": peak_memory(),
    }


def summary(values: list[float]) -> dict[str, float]:
    """Return the median, the quartiles (`low`, `high`) and the count of values."""
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": middle, "low": low, "high": high, "count": len(values)}


def read(size: Callable[[Batch], int], data: DataModule, repeats: int, seconds: float) -> dict[str, float]:
    """Fetch training batches and do nothing else; return the rates (`Task.size` per second)."""
    batches, rates = chain.from_iterable(repeat(data.train_dataloader())), list[float]()
    for _ in range(repeats):
        count, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            count += size(next(batches))
        rates.append(count / passed)
    return summary(rates)


def measure_inference(config: Config, data: DataModule) -> tuple[dict[str, Any], tuple[float, str] | None]:
    """Return the seconds per call by runtime, in float32 on the CPU, and the amount of a row (`Graph.amount`).

    PyTorch and onnxruntime are called with one row and with many; the baselines that need no fitting
    (`Graph.baseline_batch`) with one.
    """
    graph = graph_of(build(config["model"], Task, "model", spec=data.spec.to_dict()).eval())
    batch = next(iter(data.val_dataloader()))
    runtimes: dict[str, Call] = {"PyTorch": graph.call}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_onnx(graph, graph.example(batch, 2), path, {})
        runtimes["onnxruntime"] = load_onnx(path)
    one, many = graph.example(batch, 1), graph.example(batch, config["rows"])
    found = {
        name: {"one": calls(partial(call, one), config), "many": calls(partial(call, many), config)}
        for name, call in runtimes.items()
    }
    if arrays := graph.baseline_batch(one):
        for name, baseline in make_baselines(config).items():
            baseline.spec = data.spec
            found[name] = {"one": calls(partial(baseline.predict, arrays), config)}
    return found, graph.amount(one)


def calls(call: Callable[[], Any], config: Config) -> dict[str, float]:
    """Return the seconds per call, over at least `repeats` calls and at least `measured` seconds."""
    call()
    seconds: list[float] = []
    end = time.perf_counter() + config["measured"]
    while len(seconds) < config["repeats"] or time.perf_counter() < end:
        seconds.append(timed(call))
    return summary(seconds)


def timed(work: Callable[[], Any]) -> float:
    """Return the duration of a call in seconds, including pending work of an accelerator."""
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def wait() -> None:
    """Wait until the accelerator, if there is one, has finished all pending work."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def show(results: dict[str, Any]) -> None:
    """Print the medians, with the quartiles in brackets."""
    training, unit = results["training"], results["unit"]
    times = training["data"]["median"] / training["framework"]["median"]
    table = console.new_table("training", f"{unit}/s", "")
    table.add_row("bare PyTorch loop", text(training["floor"], "{:,.0f}"))
    ratio = text(training["ratio"], "{:.3f}")
    table.add_row("sightseq", text(training["framework"], "{:,.0f}"), f"{ratio} of the bare loop")
    table.add_row("data loading alone", text(training["data"], "{:,.0f}"), f"{times:.0f} times the training rate")
    if "cache" in training:
        share = training["data"]["median"] / training["cache"]["median"]
        table.add_row("the same from the cache", text(training["cache"], "{:,.0f}"), f"shards reach {share:.2f} of it")
    out = console.console()
    out.print(table, "")
    amount, unit = results["amount"] or (1.0, "")
    cost = [f"s/{unit}"] if unit else []
    table = console.new_table("inference", "one row, ms", f"{results['rows']} rows, ms", "rows/s", *cost)
    for name, seconds in results["inference"].items():
        times = [text(one, "{:.2f}", scale=1e3) for one in seconds.values()]
        rate = results["rows"] / seconds["many"]["median"] if "many" in seconds else 1 / seconds["one"]["median"]
        costs = [f"{seconds['one']['median'] / amount:.3g}"] if unit else []
        table.add_row(name, times[0], times[1] if len(times) > 1 else "", f"{rate:,.0f}", *costs)
    if results["inference"]:
        out.print(table)
        out.print()
    console.say("start-up", f"{training['start_up_seconds']:.1f} s from process start to the end of the first step")
    console.say("memory", f"{training['peak_memory_mib']:,.0f} MiB peak, including the bare loop's copy of the network")


def text(values: dict[str, float], form: str, scale: float = 1.0) -> str:
    """Format the median and the quartiles, such as "0.98 (0.97 .. 0.99)"."""
    low, middle, high = (form.format(scale * values[name]) for name in ("low", "median", "high"))
    return f"{middle} ({low} .. {high})"
