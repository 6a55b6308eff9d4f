"""Fixtures and helpers of all tests: each test runs in its own empty folder and sees only the data it creates."""

import copy
import gc
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

from sightseq.composition import compose
from sightseq.core import blocks

torch.set_num_threads(1)
blocks.DPI = 50  # the figures of reports: drawing 200 pixels per inch takes longer than most trainings of the tests
collect_ignore = ["extension"]  # a separate package with its own tests: see smoke/test_fresh_environment.py


# Tests that share something expensive: a server of processes, a trained run, an environment.
TOGETHER = {
    "tests/invariants/test_distributed.py": "processes",
    "tests/invariants/test_faults.py": "processes",
    "tests/invariants/test_fuzz.py": "processes",
    "tests/invariants/test_resume.py": "processes",
    "tests/smoke/test_commands.py": "processes",
    "tests/smoke/test_fresh_environment.py": "environment",
}


class Scheduling(LoadScopeScheduling):
    """Gives the tests of each group in `TOGETHER` to one worker, and every other test to the next free one."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(nodeid.partition("::")[0], nodeid)


@pytest.hookimpl(optionalhook=True)  # there is no such hook with `-p no:xdist`
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Replace `--dist loadgroup`, which ignores its marks under pytest 9."""
    return Scheduling(config, log)


def pytest_collection_finish() -> None:
    """Exempt what the imports have created from garbage collection, which otherwise takes a sixth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "cache", "runs"):
        monkeypatch.setenv(f"SIGHTSEQ_{name.upper()}", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings write no report: drawing its figures takes longer than a tiny training."""
    monkeypatch.setattr("sightseq.core.report.write_report", lambda folder, *_: folder / "report.html")


def composed(*overrides: str) -> dict[str, Any]:
    """Return the config of `sightseq train OVERRIDES`, composed once for all tests of this process."""
    return copy.deepcopy(_composed(*overrides))


@cache
def _composed(*overrides: str) -> dict[str, Any]:
    return compose(*overrides)


LARGEST = {"channels": 16, "hidden": 128, "encoder": 64, "decoder": 64, "embedding": 128, "depth": 5}


def small(config: dict[str, Any]) -> dict[str, Any]:
    """Shrink the images and the networks of a composed config so that a test takes one or two seconds."""
    if "image_size" in config["data"]:
        config["data"]["image_size"] = 40
    if "margin" in config["data"]:
        config["data"]["margin"] = min(config["data"]["margin"], 8)
    net = config["model"]["net"]
    for name, most in LARGEST.items():
        if isinstance(net.get(name), list):
            net[name] = [min(size, most) for size in net[name]]
        elif isinstance(net.get(name), int):
            net[name] = min(net[name], most)
    return config
