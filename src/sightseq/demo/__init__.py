"""`sightseq demo`: a page to try trained models in a browser."""

import os
import signal
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import PositiveFloat, PositiveInt

from sightseq import console
from sightseq.core.build import trust as trust_packages
from sightseq.core.build import validated
from sightseq.core.checkpoint import data_of
from sightseq.core.errors import CheckpointError, ConfigError, DataError
from sightseq.core.extras import require
from sightseq.core.rundir import Config
from sightseq.predict import Loaded, load_named
from sightseq.serve import Hosted, listen
from sightseq.serve.worker import showing


class Settings(Hosted):
    """Settings of `sightseq demo`: see conf/demo.yaml."""

    examples: bool
    max_requests: PositiveInt
    max_size: PositiveFloat


def demo(config: Config) -> None:
    """Run `sightseq demo` until it is interrupted.

    Raises:
        ConfigError: a setting is invalid, a model has no page, or the port is in use.
        CheckpointError: see `predict.load`.
    """
    settings = validated(config, Settings)
    with TemporaryDirectory(prefix="sightseq-demo-") as cache, showing():
        # Read when Gradio is imported.
        os.environ |= {"GRADIO_TEMP_DIR": cache, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        page, address = start(config, settings, Path(cache))
        console.say("demo", address)
        ended = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        try:
            ended.wait()
        finally:
            page.close()


def start(config: Config, settings: Settings, cache: Path) -> tuple[Any, str]:
    """Load the models and start the page in other threads; return it, and its address."""
    gradio = require("gradio", "demo")
    trust_packages(settings.trust)
    with listen(settings.host, settings.port) as free:
        port = free.getsockname()[1]
    # Not at the top of the file: they need the packages of the extra.
    from sightseq.demo.page import CSS, build
    from sightseq.demo.session import Session

    models = {}
    for name, loaded in load_named(settings.ckpt, settings.device).items():
        if loaded.predictor.widget is None:
            raise ConfigError(f"{loaded.path}: {type(loaded.predictor).__name__} has no widget, so it has no page")
        examples = example_inputs(loaded, config) if settings.examples else []
        models[name] = (loaded.title, Session(loaded.predictor, settings.largest), examples)
    page = build(models, cache)
    page.queue(max_size=settings.max_requests, api_open=False)
    _, address, _ = page.launch(
        server_name=settings.host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        footer_links=[],
        max_file_size=int(settings.max_size * 1e6),
        css=CSS,
        theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
    )
    return page, address


def example_inputs(loaded: Loaded, config: Config) -> list[Any]:
    """Return inputs from the test data, or from generated data if it is not on this machine."""
    for changes in ({}, {"synthetic": True}):
        try:
            data = data_of(loaded.content, loaded.predictor.task, {**config, "data": changes})
            data.prepare_data()
            return list(loaded.predictor.examples(next(iter(data.test_dataloader()))))
        except DataError:
            continue
        except (CheckpointError, ConfigError):
            break
    return []
