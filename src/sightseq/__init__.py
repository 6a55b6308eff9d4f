"""Classic CNN and RNN projects on PyTorch Lightning and Hydra.

Use from Python:
    config = sightseq.compose("experiment=digits", "trainer.max_epochs=5")
    results = sightseq.train(config)
    model = sightseq.load("runs/digits/.../checkpoints/best.ckpt")
    model.predict(["image.png"])

Importing this package is fast: each function imports what it needs when it is called.
"""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

__all__ = ["compose", "load", "train"]


def compose(*overrides: str) -> dict[str, Any]:
    """Return the config of `sightseq train OVERRIDES` as a plain dictionary.

    Raises:
        ConfigError: a group, option or key is unknown.
    """
    from sightseq.composition import compose

    return compose(*overrides)


def train(config: dict[str, Any]) -> dict[str, Any]:
    """Train in this process, like `sightseq train`, into a new run directory; return the content of results.json.

    The returned dictionary also has the key `folder`: the run directory.
    """
    from sightseq.core import rundir
    from sightseq.core.logfile import log_to_file
    from sightseq.run import execute

    config = copy.deepcopy(config)  # a search writes what it finds into it
    folder = rundir.create(config, "sightseq.train(...)")
    with rundir.locked_run(folder), log_to_file(folder):
        return {**execute(config, folder), "folder": str(folder)}


def load(path: str | Path, device: str = "auto", trust: Iterable[str] = ()) -> "Predictor":
    """Load a trained model from a checkpoint; return the predictor of its task, ready to `predict`.

    Args:
        path: a checkpoint, a run directory, or an experiment's folder (its newest finished run is used).
        device: "cpu", "cuda", "mps", or "auto": the fastest available.
        trust: additional packages whose classes the checkpoint may name.

    Raises:
        CheckpointError: the file is not a sightseq checkpoint, or names a class that is not trusted.
    """
    from sightseq.predict import load

    return load(path, device, trust)
