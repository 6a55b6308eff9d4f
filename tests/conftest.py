"""Every test runs in an empty folder of its own, and sees no data but what it makes there."""

from pathlib import Path
from typing import Any

import pytest
import torch

torch.set_num_threads(1)
collect_ignore = ["extension"]  # a package of its own, with tests of its own: see smoke/test_fresh_environment.py


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "cache", "runs"):
        monkeypatch.setenv(f"SIGHTSEQ_{name.upper()}", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)


def small(config: dict[str, Any]) -> dict[str, Any]:
    """A composed config whose photographs and own networks are so small that a test takes a second or two."""
    if "image_size" in config["data"]:
        config["data"] |= {"image_size": 40, "margin": min(config["data"]["margin"], 8)}
    net = config["model"]["net"]
    for name, most in (("channels", 16), ("hidden", 256)):
        if name in net:
            net[name] = [min(width, most) for width in net[name]]
    if "embedding" in net:
        net["embedding"] = min(net["embedding"], 256)
    return config
