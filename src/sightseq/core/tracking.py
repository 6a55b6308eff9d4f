"""Experiment trackers of a run: Weights & Biases, TensorBoard, and any other Lightning logger."""

import functools
import http.client
import logging
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, WandbLogger

from sightseq.core.blocks import Block, TextBlock
from sightseq.core.build import build, find_class
from sightseq.core.errors import ConfigError
from sightseq.core.report import SYNTHETIC
from sightseq.core.rundir import Config

log = logging.getLogger("sightseq")
PATIENCE = 5.0  # seconds to wait for W&B's server before a run starts offline


class Wandb(WandbLogger):
    """A W&B run, offline if there is no account or no network. It prints its URL, or why it is offline.

    Attributes:
        offline: the reason why the run is offline; empty while it is online or not started.
    """

    offline = ""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, started on first use: `import wandb` takes more than a second.

        Raises:
            ConfigError: W&B's settings, or the account's key, are not valid.
        """
        if self._experiment is not None:
            return self._experiment
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        try:
            if wandb.run is None:  # otherwise the user has started a run, which is used
                self.offline = why_offline("offline" if self._offline else self._wandb_init.get("mode"))
            if not self.offline:
                try:
                    run = super().experiment
                except wandb.errors.CommError as error:
                    log.warning("W&B did not start online", exc_info=error)
                    self.offline = f"W&B did not answer ({str(error).splitlines()[0]})"
            if self.offline:
                # Passed as an argument, because W&B ignores the environment once its settings were read.
                self._offline, self._wandb_init["mode"] = False, "offline"
                run = super().experiment
        except (wandb.errors.Error, ValueError) as error:
            raise ConfigError(f"logger.wandb: {' '.join(str(error).split())}; wandb login sets a key") from error
        print(
            f"{'wandb':<10}{f'offline: {self.offline}' if self.offline else run.url or 'no URL'}",
            flush=True,
        )
        return run

    def address(self) -> dict[str, Any]:
        """Return the `url` of an online run; for an offline run its reason as `offline` and the `folders` to upload."""
        if not self.offline:
            return {"url": self.experiment.url}
        folders = sorted(Path(str(self.save_dir), "wandb").glob("offline-run-*"))  # a resumed run has several
        return {"offline": self.offline, "folders": [str(folder) for folder in folders]}


def why_offline(mode: str | None) -> str:
    """Return why a W&B run has to be offline, according to W&B's settings; empty if it can be online.

    Args:
        mode: the mode in the logger's config; None: the mode of W&B's settings.
    """
    import wandb

    settings = wandb.setup().settings
    if (mode or settings.mode) in ("offline", "dryrun"):
        source = "logger.wandb" if mode else "WANDB_MODE" if "WANDB_MODE" in os.environ else "W&B's settings"
        return f"set by {source}"
    if (mode or settings.mode) == "disabled":
        return ""
    if not wandb.login(prompt=False, verify=False):
        return f"no account for {settings.base_url} (wandb login sets one up)"
    proxies = {"http": settings.http_proxy, "https": settings.https_proxy}
    if not reachable(settings.base_url, {scheme: proxy for scheme, proxy in proxies.items() if proxy}):
        return f"{settings.base_url} cannot be reached"
    return ""


def reachable(url: str, proxies: Mapping[str, str]) -> bool:
    """Return whether a server answers at all; `proxies` by scheme are used besides those of the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(urllib.request.getproxies() | dict(proxies)))
    try:
        opener.open(url, timeout=PATIENCE).close()
    except (urllib.error.HTTPError, http.client.HTTPException):
        return True
    except OSError as error:  # W&B may trust a certificate that Python does not trust
        return isinstance(getattr(error, "reason", error), ssl.SSLError)
    return True


def make_loggers(config: Config, folder: Path) -> list[Logger]:
    """Build the loggers of the config, which write into the folder.

    W&B also gets the config, and the folder's name as its id, so that a resumed run continues the same W&B run. Logged
    epochs count from 1, as in metrics.csv; Lightning counts from 0.
    """
    loggers: list[Logger] = []
    for name, arguments in config["logger"].items():
        if find_class(arguments["_target_"], Logger, f"logger.{name}") is WandbLogger:
            # Further arguments are those of wandb.init, which `build` cannot check.
            given = {key: value for key, value in arguments.items() if key != "_target_"}
            if config["data"].get("synthetic"):
                given["tags"] = [*(given.get("tags") or []), "synthetic"]
            resumable: dict[str, Any] = {
                "id": folder.name,
                "resume": "allow",
                "config": config,
                "save_dir": str(folder),
            }
            logger: Logger = Wandb(**resumable, **given)
        else:
            logger = build(arguments, Logger, f"logger.{name}", save_dir=str(folder))
        log_metrics = functools.partial(_count_from_one, logger.log_metrics)
        logger.log_metrics = log_metrics  # type: ignore[method-assign]  # of any class
        loggers.append(logger)
    return loggers


def _count_from_one(send: Callable[..., None], metrics: Mapping[str, float], step: int | None = None) -> None:
    send({name: value + 1 if name == "epoch" else value for name, value in metrics.items()}, step)


def log_text(trainer: Trainer, title: str, text: str) -> None:
    """Send a text to every tracker that accepts text."""
    for logger in trainer.loggers:
        TextBlock(title, text).log(logger, trainer.global_step)


def log_results(trainer: Trainer, results: Mapping[str, Any], blocks: Iterable[Block]) -> dict[str, dict[str, Any]]:
    """Send the final scores and the report blocks to every tracker, and close it.

    Returns:
        The address of the run by tracker: see `Wandb.address`.
    """
    scores = {f"best/{stage}/{n}": v for stage in ("val", "test") for n, v in (results[stage] or {}).items()}
    blocks = [*([TextBlock("data", SYNTHETIC)] if results["data"]["synthetic"] else []), *blocks]
    addresses: dict[str, dict[str, Any]] = {}
    for logger in trainer.loggers:
        logger.log_metrics(scores, trainer.global_step)
        for block in blocks:
            try:
                block.log(logger, trainer.global_step)
            except Exception:  # a tracker or a third-party block may raise anything: the training is not lost
                log.exception("the block %s did not reach %s", block.title, type(logger).__name__)
        logger.finalize("success")
        if isinstance(logger, Wandb):
            addresses["wandb"] = logger.address()
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
    return addresses
