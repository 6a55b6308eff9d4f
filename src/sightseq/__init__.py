"""Classic CNN and RNN projects on PyTorch Lightning and Hydra.

From Python:
    config = sightseq.compose("experiment=digits", "trainer.max_epochs=5")
    results = sightseq.train(config)
    model = sightseq.load("runs/digits/.../checkpoints/best.ckpt")
    model.predict(["image.png"])

Importing this package imports nothing heavy; the functions import what they need.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

__all__ = ["compose", "load", "train"]


def compose(*overrides: str) -> dict[str, Any]:
    """The config that `sightseq train OVERRIDES` would run, as a plain dictionary.

    Raises:
        ConfigError: an unknown group, option or key.
    """
    from sightseq.composition import compose

    return compose(*overrides)


def train(config: dict[str, Any]) -> dict[str, Any]:
    """Trains as `sightseq train` does, in this process, into a new run directory; returns what results.json holds.

    `results["folder"]` is the run directory.
    """
    from sightseq.core import rundir
    from sightseq.core.logfile import logged
    from sightseq.run import execute

    folder = rundir.create(config, "sightseq.train(...)")
    with rundir.filling(folder), logged(folder):
        return {**execute(config, folder), "folder": str(folder)}


def load(path: str | Path, device: str = "auto", trust: Iterable[str] = ()) -> "Predictor":
    """The model in a checkpoint, ready to `predict`: the predictor of its task.

    Args:
        path: a checkpoint, a run directory, or an experiment's folder: the newest finished run in it.
        device: "cpu", "cuda", "mps", or "auto": the fastest that is there.
        trust: further packages whose classes the checkpoint may name.

    Raises:
        CheckpointError: the file is no checkpoint of sightseq, or asks for a class that is not trusted.
    """
    from sightseq.predict import load

    return load(path, device, trust)
