"""Where and with what a run takes place: versions, hardware, commit, and the precision that suits it."""

import ctypes
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
PACKAGES = ("sightseq", "torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "numpy")


def versions() -> dict[str, str]:
    """Of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bounded_workers(workers: int) -> int:
    """At most as many as there are cores, and a line on the terminal: more would fill the memory and read no faster."""
    if workers > cores():
        print(f"data.workers={workers}: takes {cores()}, as many as there are cores", file=sys.stderr)
    return min(workers, cores())


def hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in GiB, and the accelerator."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = models[0] if models else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"cpu": cpu, "cores": cores(), "memory_gib": round(memory / 2**30), "accelerator": accelerator}


def commit() -> str | None:
    """The git commit of the folder in which the command was typed, None if it is no repository."""
    git = ["git", "-c", "core.fsmonitor=false"]
    try:
        name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=5)
        state = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if name.returncode:
        return None
    return name.stdout.strip() + (" (with changes)" if state.stdout.strip() else "")


def resolve_precision(precision: str | int) -> str:
    """For "auto" bf16 autocast where the hardware has bf16 instructions, else 32 bits."""
    if precision != "auto":
        return {"32": "32-true", "16": "16-mixed"}.get(str(precision), str(precision))
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    # Not every torch that we allow can say what the CPU can do; then 32 bits are safe.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    fast = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bf16-mixed" if fast else "32-true"


def keep_freed_memory() -> None:
    """Has this process keep the memory that tensors free, for the next ones: on a CPU up to half of a step.

    glibc gives large blocks back to the system, which fills each page of them with zeros when the next step takes them
    again. It costs about a third more memory at the peak. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        if libc.mallopt(MMAP_THRESHOLD, 2**30):  # old ones refuse, and are then better off without the other
            libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def hide_missing_gpus() -> None:
    """Says that there is no GPU, where there is none.

    Or else a PyTorch that is built for CUDA looks for NVIDIA's library on the disk in every step of an optimizer: a
    third of a millisecond.
    """
    if not torch.cuda.is_available():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
