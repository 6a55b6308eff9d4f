"""The logger of a Weights & Biases run: online if possible, else offline; with the code and checkpoints on request."""

import http.client
import logging
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger

from sightseq.core.errors import ConfigError
from sightseq.core.places import extension_packages
from sightseq.core.rundir import Config

log = logging.getLogger("sightseq")
PATIENCE = 5.0  # seconds to wait for W&B's server before a run starts offline
WATCHED = (None, False, "gradients", "parameters", "all")


class Wandb(WandbLogger):
    """A W&B run, offline if there is no account or no network. It prints its URL, or why it is offline.

    Args:
        watch: histograms that W&B records every `trainer.log_every_n_steps` steps: "gradients", "parameters" or "all".
        code: packages whose Python files are saved as an artifact.
        arguments: those of Lightning's WandbLogger and of `wandb.init`.

    Attributes:
        offline: the reason why the run is offline; empty while it is online or not started.

    Raises:
        ConfigError: `watch` is none of these values.
    """

    offline = ""

    def __init__(self, watch: str | None = None, code: Sequence[str] = (), **arguments: Any) -> None:
        if watch not in WATCHED:
            raise ConfigError(f"logger.wandb.watch={watch}: must be null, gradients, parameters or all")
        if arguments.pop("offline", False):  # Lightning refuses offline=True with log_model; W&B uploads both later
            arguments["mode"] = "offline"
        super().__init__(**arguments)
        self.watched, self._code = watch, code

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
                self.offline = why_offline(self._wandb_init.get("mode"))
            if not self.offline:
                try:
                    run = super().experiment
                except wandb.errors.CommError as error:
                    log.warning("W&B did not start online", exc_info=error)
                    self.offline = f"W&B did not answer ({str(error).splitlines()[0]})"
            if self.offline:
                # Passed as an argument, because W&B ignores the environment once its settings were read.
                self._wandb_init["mode"] = "offline"
                run = super().experiment
        except (wandb.errors.Error, ValueError) as error:
            raise ConfigError(f"logger.wandb: {' '.join(str(error).split())}; wandb login sets a key") from error
        for name in ("train/*", "val/*"):  # Lightning has set the step as the default axis of all metrics
            run.define_metric(name, step_metric="epoch")
        if self._code:
            run.log_artifact(code_artifact(self._code))
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


def make_wandb(settings: Config, config: Config, folder: Path) -> Wandb:
    """Build the W&B logger of a run.

    The run's id is the name of its folder, so that a resumed run continues the same W&B run. Jobs of a sweep are
    grouped under the name of the sweep's folder.

    Args:
        settings: `logger.wandb` of the config; keys that are not in conf/logger/wandb.yaml are passed to `wandb.init`.
        config: the whole config, which W&B records.
        folder: the run directory.

    Raises:
        ConfigError: a setting is invalid.
    """
    given = {key: value for key, value in settings.items() if key != "_target_"}
    given["tags"] = [*(given.get("tags") or []), *(["synthetic"] if config["data"].get("synthetic") else [])]
    if sweep := config.get("sweep"):
        given["group"] = given.get("group") or Path(sweep["folder"]).name
    given["name"] = given.get("name") or f"{config['experiment']}/{folder.name}"
    packages = dict.fromkeys(["sightseq", *sorted(extension_packages()), *config["trust"]])
    given["code"] = list(packages) if given.get("code") else ()
    earlier = sorted((folder / "wandb").glob("*run-*_*-*"), key=lambda run: run.name.partition("run-")[2])
    # `wandb agent` chooses another id than the folder's name; the name of W&B's folder ends with it.
    own = earlier[-1].name.partition("run-")[2].partition("-")[2] if earlier else folder.name
    resumable: dict[str, Any] = {"id": own, "resume": "allow", "config": config, "save_dir": str(folder)}
    return Wandb(**resumable, **given)


def code_artifact(packages: Sequence[str]) -> Any:
    """Return a W&B artifact of type "code" with the Python files of some packages or modules."""
    import wandb

    artifact = wandb.Artifact("code", type="code")
    for package in packages:
        spec = find_spec(package)
        if spec is None:
            continue
        if not spec.submodule_search_locations:
            artifact.add_file(str(spec.origin))
        for root in map(Path, spec.submodule_search_locations or ()):
            for file in sorted(root.rglob("*.py")):
                artifact.add_file(str(file), f"{package}/{file.relative_to(root).as_posix()}")
    return artifact


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
