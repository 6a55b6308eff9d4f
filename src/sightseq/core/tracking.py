"""Experiment trackers of a run: Weights & Biases, TensorBoard, MLflow, CSV, and any other Lightning logger."""

import functools
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from sightseq.core.blocks import Block, TextBlock
from sightseq.core.build import build, find_class
from sightseq.core.extras import require
from sightseq.core.report import SYNTHETIC
from sightseq.core.rundir import Config
from sightseq.core.wandb_run import Wandb, make_wandb

log = logging.getLogger("sightseq")
HYPERPARAMETERS = ("experiment", "seed", "precision", "data", "model", "trainer")
"""The parts of the config that trackers other than W&B record."""
MLFLOW_RUN = "mlflow_run_id"
"""Name of a file in the run directory, so that a resumed run continues the same MLflow run."""


def make_loggers(config: Config, folder: Path) -> list[Logger]:
    """Build the loggers of the config, which write into the folder.

    Logged epochs and steps count from 1, as in metrics.csv; Lightning counts from 0.

    Raises:
        ConfigError: an argument is invalid, or the package of a logger is not installed.
    """
    loggers: list[Logger] = []
    for name, settings in config["logger"].items():
        key = f"logger.{name}"
        arguments = {argument: value for argument, value in settings.items() if argument != "watch"}
        kind = find_class(settings["_target_"], Logger, key)
        if kind is WandbLogger:
            logger: Logger = make_wandb(settings, config, folder)
        elif kind is MLFlowLogger:
            require("mlflow", "mlflow")
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 refuses local files without it
            saved = folder / MLFLOW_RUN
            run_id = saved.read_text() if saved.exists() else None
            logger = build(arguments, Logger, key, run_name=folder.name, run_id=run_id)
        else:
            logger = build(arguments, Logger, key, save_dir=str(folder))
        log_metrics = functools.partial(_count_from_one, logger.log_metrics)
        logger.log_metrics = log_metrics  # type: ignore[method-assign]  # of any class
        loggers.append(logger)
    return loggers


def _count_from_one(send: Callable[..., None], metrics: Mapping[str, float], step: int | None = None) -> None:
    """Add 1 to the epoch and step of Lightning's metrics. Those of `Meter`, with a fractional epoch, are right."""
    if isinstance(epoch := metrics.get("epoch"), int) and step is not None:
        metrics, step = {**metrics, "epoch": epoch + 1}, step + 1
    send(metrics, step)


def every_n_steps(config: Config) -> int:
    """Return the number of steps between two measurements within an epoch; 50 is Lightning's default."""
    return config["trainer"].get("log_every_n_steps") or 50


def watches(config: Config) -> bool:
    """Return whether a logger of the config asks for gradient norms."""
    return any(settings.get("watch") for settings in config["logger"].values())


def log_start(trainer: Trainer, config: Config, folder: Path) -> None:
    """Send the hyper-parameters to the trackers at the start of a training; W&B gets the whole config by itself."""
    parameters = {name: config[name] for name in HYPERPARAMETERS}
    for logger in trainer.loggers:
        if isinstance(logger, Wandb):
            if logger.watched:
                net = trainer.lightning_module.get_submodule("net")
                logger.watch(net, log=logger.watched, log_freq=every_n_steps(config), log_graph=False)
        elif not isinstance(logger, MLFlowLogger):
            logger.log_hyperparams(parameters)
        elif trainer.is_global_zero and not (folder / MLFLOW_RUN).exists():
            logger.log_hyperparams(parameters)  # once: MLflow refuses another length of a resumed run
            (folder / MLFLOW_RUN).write_text(str(logger.run_id))


def log_text(trainer: Trainer, title: str, text: str) -> None:
    """Send a text to every tracker that accepts text."""
    for logger in trainer.loggers:
        TextBlock(title, text).log(logger, trainer.global_step)


def log_results(
    trainer: Trainer, config: Config, folder: Path, results: Mapping[str, Any], blocks: Iterable[Block]
) -> dict[str, dict[str, Any]]:
    """Send the final scores and the report blocks to every tracker, and close it.

    The scores are those of the best epoch: `best/val/NAME`, and `test/NAME` if the test data was read. TensorBoard's
    HPARAMS show them with the hyper-parameters; MLflow gets report.html and its figures as files.

    Returns:
        The address of the run by tracker: see `Wandb.address`.
    """
    scores: dict[str, float] = {f"best/val/{name}": value for name, value in (results["val"] or {}).items()}
    scores |= {f"test/{name}": value for name, value in (results["test"] or {}).items()}
    blocks = [*([TextBlock("data", SYNTHETIC)] if results["data"]["synthetic"] else []), *blocks]
    addresses: dict[str, dict[str, Any]] = {}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            parameters = {name: config[name] for name in HYPERPARAMETERS}
            logger.log_hyperparams(parameters, scores, trainer.global_step)
        else:
            logger.log_metrics(scores, trainer.global_step)
        for block in blocks:
            try:
                block.log(logger, trainer.global_step)
            except Exception:  # a tracker or a third-party block may raise anything: the training is not lost
                log.exception("the block %s did not reach %s", block.title, type(logger).__name__)
        if isinstance(logger, MLFlowLogger):
            logger.experiment.log_artifact(logger.run_id, str(folder / "report.html"))
            logger.experiment.log_artifacts(logger.run_id, str(folder / "figures"), "figures")
            addresses["mlflow"] = {"url": logger._tracking_uri}
        logger.finalize("success")
        if isinstance(logger, Wandb):
            addresses["wandb"] = logger.address()
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
    return addresses
