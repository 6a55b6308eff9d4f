"""Where and with what a run took place, and the experiment trackers that follow it."""

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from sightseq.core.build import build, find_class
from sightseq.core.report import Section
from sightseq.core.rundir import Config

PACKAGES = ("sightseq", "torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "numpy")


def versions() -> dict[str, str]:
    """Of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in GiB, and the accelerator."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = models[0] if models else cpu
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"cpu": cpu, "cores": cores, "memory_gib": round(memory / 2**30), "accelerator": accelerator}


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


def make_loggers(config: Config, folder: Path) -> list[Logger]:
    """The loggers of the config, each told the folder; W&B also the config and an id that stays when a run is resumed.

    Without an account W&B runs offline, in the run directory; `wandb sync` uploads it later.
    """
    if "WANDB_MODE" not in os.environ and not _has_wandb_account():
        os.environ["WANDB_MODE"] = "offline"
    os.environ.setdefault("WANDB_SILENT", "true")
    loggers: list[Logger] = []
    for name, brick in config["logger"].items():
        if find_class(brick["_target_"], Logger, f"logger.{name}") is WandbLogger:
            # Its further arguments are those of wandb.init, which `build` cannot know.
            resumable: dict[str, Any] = {
                "id": folder.name,
                "resume": "allow",
                "config": config,
                "save_dir": str(folder),
            }
            loggers.append(WandbLogger(**resumable, **{k: v for k, v in brick.items() if k != "_target_"}))
        else:
            loggers.append(build(brick, Logger, f"logger.{name}", save_dir=str(folder)))
    return loggers


def _has_wandb_account() -> bool:
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return "WANDB_API_KEY" in os.environ or (netrc.exists() and "wandb" in netrc.read_text())


def log_results(trainer: Trainer, results: Mapping[str, Any], sections: Iterable[Section]) -> None:
    """Sends the final numbers and the figures of the report to every tracker, and closes it."""
    scores = {f"best/{stage}/{n}": v for stage in ("val", "test") for n, v in (results[stage] or {}).items()}
    for logger in trainer.loggers:
        logger.log_metrics(scores, trainer.global_step)
        for section in sections:
            if isinstance(logger, WandbLogger):
                logger.log_image(section.title, [section.figure])
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure(section.title, section.figure, trainer.global_step)
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
