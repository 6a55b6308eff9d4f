"""Processes that a launcher has started for one training: torchrun, SLURM's srun, Lightning. Imports nothing heavy."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sightseq.core.errors import ConfigError
from sightseq.core.files import replacing

REQUEUE_SIGNAL = getattr(signal, "SIGUSR1", None)
"""Announces the end of a SLURM job's time (`--signal=SIGUSR1@120`); None on Windows."""
LAUNCHES = ".launches"
"""Folder below `paths.runs` with one file per launch of several processes: the run directory that they share."""
PATIENCE = 600.0  # seconds to wait for the first process
DAY = 86400.0


class Requeue(KeyboardInterrupt):
    """SLURM announced the end of the job's time: the job goes back into the queue and resumes later."""


def rank() -> int:
    """Return the index of this process among all processes of the launch, on all nodes; 0 for the first or only one."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["RANK"])
    if _by_srun():
        return int(os.environ["SLURM_PROCID"])
    # Lightning starts a process for each further device, on nodes whose first process the user started.
    return max(int(os.environ.get(name, "0")) for name in ("LOCAL_RANK", "NODE_RANK"))


def processes() -> int:
    """Return the number of processes that torchrun or srun has started; 1 for a single process."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    return int(os.environ["SLURM_NTASKS"]) if _by_srun() else 1


def _by_srun() -> bool:
    """Return whether srun started this process; Lightning decides in the same way."""
    return "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive")


def check_processes(needed: int) -> None:
    """Check that torchrun or srun has started as many processes as the training needs; else they would wait forever.

    Raises:
        ConfigError: it has started more or fewer.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ and not _by_srun():
        return
    # A single process of a job with several tasks may have been started without srun, which sets the step.
    alone = needed == 1 and not {"TORCHELASTIC_RUN_ID", "SLURM_STEP_ID"} & os.environ.keys()
    if (started := processes()) != needed and not alone:
        launcher = "torchrun" if "TORCHELASTIC_RUN_ID" in os.environ else "SLURM"
        remedy = "--nnodes and --nproc-per-node" if launcher == "torchrun" else "--nodes and --ntasks-per-node"
        raise ConfigError(
            f"{launcher} started {started} process{'es' * (started > 1)}, but the training needs {needed}: choose "
            f"trainer=ddp, and set trainer.num_nodes and trainer.devices as {remedy} of {launcher}"
        )


def launch_id() -> str:
    """Return a text that all processes of this launch share, and no other launch on the file system.

    Raises:
        ConfigError: torchrun runs on several nodes without an id.
    """
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment:
        name, restarts = environment["TORCHELASTIC_RUN_ID"], environment.get("TORCHELASTIC_RESTART_COUNT", "0")
        if environment.get("LOCAL_WORLD_SIZE") == environment["WORLD_SIZE"]:  # one node: one parent process
            name += f"-{os.uname().nodename}-{os.getppid()}"
        elif name in ("", "none"):
            raise ConfigError(
                "torchrun on several nodes needs an id: torchrun --rdzv-id=$SLURM_JOB_ID, or any new text"
            )
        name = f"torchrun-{name}-{restarts}"
    else:
        parts = [environment.get(f"SLURM_{part}", "0") for part in ("JOB_ID", "STEP_ID", "RESTART_COUNT")]
        name = f"slurm-{'-'.join(parts)}"
    return re.sub(r"[^\w.-]", "_", name)


def agree(make: Callable[[], Path], runs: Path) -> Path:
    """Return the run directory that the first process of a launch makes, in each of its processes.

    Args:
        make: creates a run directory, or prepares one to be resumed.
        runs: a folder that all nodes share.

    Raises:
        ConfigError: the first process failed, or did not answer within ten minutes.
    """
    if processes() == 1:
        return make()
    file = runs / LAUNCHES / launch_id()
    if rank():
        return _wait_for(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    for old in file.parent.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > DAY:
                old.unlink()
    folder = Path()
    try:
        folder = make().resolve()
    finally:
        with replacing(file) as content:
            content.write(os.fsencode(folder) if folder != Path() else b"")
    return folder


def _wait_for(file: Path) -> Path:
    """Return the folder that a file names, once it exists.

    Raises:
        ConfigError: it names none, or does not appear.
    """
    since = time.monotonic()
    while time.monotonic() - since < PATIENCE:
        with contextlib.suppress(FileNotFoundError):
            if folder := os.fsdecode(file.read_bytes()):
                return Path(folder)
            raise ConfigError(f"process {rank()} ends, because the first process has failed")
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            next(file.parent.iterdir(), None)  # a network file system then looks again
    raise ConfigError(
        f"process {rank()} found no {file} of the first process; do all nodes share paths.runs, and was srun typed?"
    )


def handle_requeue_signal() -> None:
    """In a SLURM job, let SIGUSR1 raise `Requeue`. During a training, `ResumeCheckpoint` handles the signal instead."""
    if REQUEUE_SIGNAL is not None and "SLURM_JOB_ID" in os.environ:
        signal.signal(REQUEUE_SIGNAL, _raise_requeue)


def _raise_requeue(number: int, frame: Any) -> None:
    signal.signal(number, signal.SIG_IGN)  # `uv run` forwards the signal that this process receives itself
    raise Requeue


def requeue() -> str:
    """Put this SLURM job back into the queue; return what happened, for the terminal.

    Only the first process asks. SLURM repeats the job's script, with the same job id.
    """
    if rank():
        return "the first process requeues the job"
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"job {job} is not requeued: {error}"
    if done.returncode:
        return f"job {job} is not requeued: {' '.join(done.stderr.split()) or f'scontrol ended with {done.returncode}'}"
    return f"job {job} is requeued"
