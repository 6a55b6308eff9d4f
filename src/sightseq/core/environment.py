"""The environment of a run: versions, hardware, git commit, and the precision that suits the hardware."""

import ctypes
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
PACKAGES = ("sightseq", "torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bounded_workers(workers: int) -> int:
    """Limit `workers` to the number of cores; print a message on stderr if it was higher.

    More workers would need more memory and load no faster.
    """
    if workers > cores():
        print(f"data.workers={workers}: using {cores()}, the number of cores", file=sys.stderr)
    return min(workers, cores())


def hardware() -> dict[str, Any]:
    """Return the processor, the cores that this process may use, the memory in GiB, and the accelerator."""
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
    """Return the git commit of the current folder, marked if files have changed; None outside a repository."""
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
    """Return Lightning's name of a precision.

    "auto" is bf16 autocast if the hardware has bf16 instructions; else fp16 autocast on a GPU, and 32 bits on a CPU.
    """
    if precision != "auto":
        return {"32": "32-true", "16": "16-mixed"}.get(str(precision), str(precision))
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    # Older supported versions of torch cannot report what the CPU supports; 32 bits are safe then.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    fast = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bf16-mixed" if fast else "32-true"


def keep_freed_memory() -> None:
    """Keep the memory of freed tensors in this process for new ones: on a CPU this saves up to half the time of a step.

    By default glibc returns large blocks to the system, which fills each page with zeros when the next step allocates
    them again. Keeping them raises the peak memory by about a third. Other C libraries are not changed.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        if libc.mallopt(MMAP_THRESHOLD, 2**30):  # old versions refuse; they are better off without the second
            libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def hide_missing_gpus() -> None:
    """Set CUDA_VISIBLE_DEVICES to an empty string if there is no GPU.

    Otherwise a PyTorch built for CUDA searches the disk for NVIDIA's library in every optimizer step, which takes a
    third of a millisecond.
    """
    if not torch.cuda.is_available():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def peak_memory() -> float:
    """Return the peak memory of this process in MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource  # does not exist on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
