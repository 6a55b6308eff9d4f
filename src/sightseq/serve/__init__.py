"""`sightseq serve`: an HTTP API of trained models."""

import socket
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from sightseq import console
from sightseq.core.build import trust as trust_packages
from sightseq.core.build import validated
from sightseq.core.errors import ConfigError
from sightseq.core.extras import require
from sightseq.core.rundir import Config
from sightseq.export import run_folder
from sightseq.export.files import load_onnx
from sightseq.predict import Loaded, load_named

if TYPE_CHECKING:
    from fastapi import FastAPI


class Hosted(BaseModel):
    """Settings of a server of models: which, where, and the largest values of their options."""

    ckpt: list[str]
    device: str
    trust: list[str]
    host: str
    port: Annotated[int, Field(ge=0, le=65535)]
    largest: dict[str, float]


class Settings(Hosted):
    """Settings of `sightseq serve`: see conf/serve.yaml."""

    engine: Literal["torch", "onnx"]
    batch_size: PositiveInt
    wait: NonNegativeFloat
    max_requests: PositiveInt
    max_inputs: PositiveInt
    max_size: PositiveFloat
    timeout: PositiveFloat


def serve(config: Config) -> None:
    """Run `sightseq serve` until it is interrupted.

    Raises:
        ConfigError: a setting is invalid, or the port is in use.
        CheckpointError: see `predict.load`.
    """
    settings = validated(config, Settings)
    uvicorn = require("uvicorn", "serve")
    listening = listen(settings.host, settings.port)
    app = application(settings)
    host, port = listening.getsockname()[:2]
    console.say("serving", f"http://{f'[{host}]' if ':' in host else host}:{port}/docs")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=30))
    server.run(sockets=[listening])  # ends at SIGINT and SIGTERM, after the requests that are running


def application(settings: Settings) -> "FastAPI":
    """Load the models, and return the application."""
    require("fastapi_offline", "serve")
    trust_packages(settings.trust)
    # Not at the top of the file: they need the packages of the extra.
    from sightseq.serve.api import make_app
    from sightseq.serve.guard import Limits
    from sightseq.serve.metrics import Metrics
    from sightseq.serve.model import Model
    from sightseq.serve.worker import Worker

    metrics = Metrics()
    models = []
    for name, loaded in load_named(settings.ckpt, settings.device).items():
        if settings.engine == "onnx":
            run_exported(loaded)
        worker = Worker(name, loaded.predictor, settings.batch_size, settings.wait / 1000, metrics)
        models.append(Model(name, loaded.title, loaded.predictor, worker, settings.largest, settings.max_inputs))
    limits = Limits(settings.max_requests, int(settings.max_size * 1e6), settings.timeout)
    return make_app(models, limits, metrics)


def run_exported(loaded: Loaded) -> None:
    """Let a predictor run the ONNX file that `sightseq export` wrote for its checkpoint.

    Raises:
        ConfigError: there is no such file, it is older than the checkpoint, or this kind of model needs PyTorch.
    """
    file = run_folder(loaded.path) / "model.onnx"
    if not loaded.predictor.runs_exported:
        raise ConfigError(f"engine=onnx: {type(loaded.predictor).__name__} needs PyTorch; leave engine= out")
    if not file.is_file():
        raise ConfigError(f"engine=onnx: there is no {file}; run: sightseq export ckpt={loaded.path}")
    if file.stat().st_mtime < loaded.path.stat().st_mtime:
        raise ConfigError(f"engine=onnx: {file} is older than {loaded.path}; export it again")
    loaded.predictor.exported = load_onnx(file)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Raises:
        ConfigError: the address is in use, or not of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"host={host} port={port}: {error.strerror or error}; choose another port=") from error
