"""One trained run for all tests that need one, and processes that can be killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a short training on the digits."""
    import sightseq

    folder = tmp_path_factory.mktemp("trained")
    paths = [f"paths.{name}={folder / name}" for name in ("data", "cache", "runs")]
    config = sightseq.compose("trainer.max_epochs=2", "name=trained", *paths)
    return Path(sightseq.train(config | {"run_test": True})["folder"])


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts `sightseq ARGUMENTS` with all its files below `folder`."""
    paths = {f"SIGHTSEQ_{name.upper()}": str(folder / name) for name in ("data", "cache", "runs")}
    return subprocess.Popen(
        [sys.executable, "-c", "from sightseq.cli import main; main()", *arguments],
        env={**os.environ, **paths, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
