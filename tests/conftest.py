"""Every test runs in an empty folder of its own, and sees no data but what it makes there."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "cache", "runs"):
        monkeypatch.setenv(f"SIGHTSEQ_{name.upper()}", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
