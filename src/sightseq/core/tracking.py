"""The experiment trackers that follow a run: Weights & Biases, TensorBoard, and any other Lightning logger."""

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
PATIENCE = 5.0  # seconds to wait for an answer of W&B's server before a run starts offline


class Wandb(WandbLogger):
    """A W&B run, offline where there is no account or no network; prints its address, or why it is offline.

    Attributes:
        offline: why the run is offline; empty while it is online or not started.
    """

    offline = ""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, started at the first use: `import wandb` costs more than a second.

        Raises:
            ConfigError: W&B's settings, or the account's key, are not valid.
        """
        if self._experiment is not None:
            return self._experiment
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        try:
            if wandb.run is None:  # else a run of the user's own, which is taken over
                self.offline = why_offline("offline" if self._offline else self._wandb_init.get("mode"))
            if not self.offline:
                try:
                    run = super().experiment
                except wandb.errors.CommError as error:
                    log.warning("W&B did not start online", exc_info=error)
                    self.offline = f"W&B did not answer ({str(error).splitlines()[0]})"
            if self.offline:
                # An argument, because W&B ignores what the environment says once it was asked for its settings.
                self._offline, self._wandb_init["mode"] = False, "offline"
                run = super().experiment
        except (wandb.errors.Error, ValueError) as error:
            raise ConfigError(f"logger.wandb: {' '.join(str(error).split())}; wandb login enters a key") from error
        print(
            f"{'wandb':<10}{f'offline: {self.offline}' if self.offline else run.url or 'without an address'}",
            flush=True,
        )
        return run

    def address(self) -> dict[str, Any]:
        """`url` of an online run; of an offline one `offline`, which says why, and `folders` to upload."""
        if not self.offline:
            return {"url": self.experiment.url}
        folders = sorted(Path(str(self.save_dir), "wandb").glob("offline-run-*"))  # several of a resumed run
        return {"offline": self.offline, "folders": [str(folder) for folder in folders]}


def why_offline(mode: str | None) -> str:
    """Why a W&B run has to be offline, from W&B's own settings; empty if it does not.

    Args:
        mode: of the logger's config; None is W&B's own.
    """
    import wandb

    settings = wandb.setup().settings
    if (mode or settings.mode) in ("offline", "dryrun"):
        source = "logger.wandb" if mode else "WANDB_MODE" if "WANDB_MODE" in os.environ else "W&B's settings"
        return f"{source} asks for it"
    if (mode or settings.mode) == "disabled":
        return ""
    if not wandb.login(prompt=False, verify=False):
        return f"no account for {settings.base_url} (wandb login enters one)"
    proxies = {"http": settings.http_proxy, "https": settings.https_proxy}
    if not reachable(settings.base_url, {scheme: proxy for scheme, proxy in proxies.items() if proxy}):
        return f"{settings.base_url} cannot be reached"
    return ""


def reachable(url: str, proxies: Mapping[str, str]) -> bool:
    """Whether a server answers at all; `proxies` by scheme, besides those of the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(urllib.request.getproxies() | dict(proxies)))
    try:
        opener.open(url, timeout=PATIENCE).close()
    except (urllib.error.HTTPError, http.client.HTTPException):
        return True
    except OSError as error:  # a certificate that Python does not trust: W&B may trust it
        return isinstance(getattr(error, "reason", error), ssl.SSLError)
    return True


def make_loggers(config: Config, folder: Path) -> list[Logger]:
    """The loggers of the config, each told the folder; W&B also the config and an id that stays when a run is resumed.

    Their epochs count from 1, as in metrics.csv; Lightning's count from 0.
    """
    loggers: list[Logger] = []
    for name, brick in config["logger"].items():
        if find_class(brick["_target_"], Logger, f"logger.{name}") is WandbLogger:
            # Its further arguments are those of wandb.init, which `build` cannot know.
            given = {key: value for key, value in brick.items() if key != "_target_"}
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
            logger = build(brick, Logger, f"logger.{name}", save_dir=str(folder))
        counted = functools.partial(_count_from_one, logger.log_metrics)
        logger.log_metrics = counted  # type: ignore[method-assign]  # of any class
        loggers.append(logger)
    return loggers


def _count_from_one(send: Callable[..., None], metrics: Mapping[str, float], step: int | None = None) -> None:
    send({name: value + 1 if name == "epoch" else value for name, value in metrics.items()}, step)


def log_text(trainer: Trainer, title: str, text: str) -> None:
    """Sends a text to every tracker that takes any."""
    for logger in trainer.loggers:
        TextBlock(title, text).log(logger, trainer.global_step)


def log_results(trainer: Trainer, results: Mapping[str, Any], blocks: Iterable[Block]) -> dict[str, dict[str, Any]]:
    """Sends the final numbers and the blocks of the report to every tracker, and closes it.

    Returns:
        Where to find the run, by tracker: see `Wandb.address`.
    """
    scores = {f"best/{stage}/{n}": v for stage in ("val", "test") for n, v in (results[stage] or {}).items()}
    blocks = [*([TextBlock("data", SYNTHETIC)] if results["data"]["synthetic"] else []), *blocks]
    addresses: dict[str, dict[str, Any]] = {}
    for logger in trainer.loggers:
        logger.log_metrics(scores, trainer.global_step)
        for block in blocks:
            try:
                block.log(logger, trainer.global_step)
            except Exception:  # whatever a tracker or a stranger's block raises: no training is lost over it
                log.exception("the block %s did not reach %s", block.title, type(logger).__name__)
        logger.finalize("success")
        if isinstance(logger, Wandb):
            addresses["wandb"] = logger.address()
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
    return addresses
