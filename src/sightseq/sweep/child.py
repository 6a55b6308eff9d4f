"""What runs in the process of a job that the local launcher has forked. Imports nothing heavy before it is called."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sightseq.core.rundir import Config, read_config
from sightseq.sweep.processes import run_command

OUTPUT = "output.txt"
"""File in the run directory with what a job prints if several run at once."""
IMPORTED = ("sightseq.cli", "sightseq.run", "sightseq.core.report", "sightseq.core.results", "sightseq.core.frozen")
PACKAGES = ("sightseq", "lightning", "torch", "torchvision")


def modules(config: Config) -> list[str]:
    """Return the modules that a run of this config imports, as far as they belong to this framework or its libraries.

    A package that the user has to trust is imported by the job itself, which checks that.
    """
    named = {target.rpartition(".")[0] for target in targets(config)}
    return [*IMPORTED, *sorted(module for module in named if module.partition(".")[0] in PACKAGES)]


def forking(config: Config) -> Any:
    """Return the multiprocessing context whose processes are forked from a server that has imported what a run needs.

    The server starts with the first process; later configs import what else they need in their own processes.
    """
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")  # Windows spawns
    context.set_forkserver_preload(modules(config))
    return context


def targets(value: Any) -> Iterator[str]:
    """Yield all `_target_` in nested dictionaries and lists."""
    if isinstance(value, dict):
        if isinstance(target := value.get("_target_"), str):
            yield target
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from targets(inner)


def execute(folder: Path, slot: int, jobs: int) -> None:
    """Execute a run directory in this process, which then ends; see `LocalLauncher`."""
    config = read_config(folder)
    threading.Thread(target=end_with_parent, daemon=True).start()
    if jobs > 1:
        output = os.open(folder / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(output, 1)
        os.dup2(output, 2)
        take_share(config, slot, jobs)
    if config["trainer"].get("devices") != 1:  # its ranks are processes that start like this one
        os.execv(sys.executable, run_command(folder))
    from sightseq import run

    sys.argv = [run.__file__, str(folder)]
    run.main()


def end_with_parent() -> None:
    """Save and end when the process that launched the sweep has died."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def take_share(config: Config, slot: int, jobs: int) -> None:
    """Restrict this process to its share of the cores and GPUs of `jobs` processes."""
    import torch

    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores:
        mine = share(cores, slot, jobs)
        os.sched_setaffinity(0, mine)
        torch.set_num_threads(len(mine))
        os.environ["OMP_NUM_THREADS"] = str(len(mine))  # of processes that this one starts
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    # Counts GPUs without initialising CUDA.
    gpus = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    if len(gpus) > 1 and config["trainer"].get("accelerator") != "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(share(gpus, slot, jobs))


def share(things: Sequence[Any], slot: int, jobs: int) -> list[Any]:
    """Return the part of `things` for a slot: equal parts, or one each, used several times if there are too few."""
    size = max(1, len(things) // jobs)
    return [things[(slot * size + index) % len(things)] for index in range(size)]
