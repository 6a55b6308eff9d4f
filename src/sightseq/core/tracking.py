"""The experiment trackers that follow a run: Weights & Biases, TensorBoard, and any other Lightning logger."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from sightseq.core.build import build, find_class
from sightseq.core.report import Section
from sightseq.core.rundir import Config


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


def log_text(trainer: Trainer, title: str, text: str) -> None:
    """Sends a text to every tracker that takes any."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_text(title, columns=["text"], data=[[text]])
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(title, text, trainer.global_step)


def log_results(trainer: Trainer, results: Mapping[str, Any], sections: Iterable[Section]) -> None:
    """Sends the final numbers and the figures of the report to every tracker, and closes it."""
    scores = {f"best/{stage}/{n}": v for stage in ("val", "test") for n, v in (results[stage] or {}).items()}
    figures = {section.title: section.figure for section in sections if section.figure is not None}
    for logger in trainer.loggers:
        logger.log_metrics(scores, trainer.global_step)
        for title, figure in figures.items():
            if isinstance(logger, WandbLogger):
                logger.log_image(title, [figure])
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure(title, figure, trainer.global_step)
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
