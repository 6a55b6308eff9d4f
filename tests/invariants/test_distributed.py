"""Two processes learn what one does, and score every sample once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import sightseq
from sightseq.core.checkpoint import read_checkpoint

# No BatchNorm, no dropout, no augmentation: then only the sums of gradients matter. 15 samples a step divide
# neither the 808 to train (the last step has unequal counts) nor the 899 to test.
OVERRIDES = (
    "augment=none",
    "callbacks=default",
    "baseline=none",
    "precision=32",
    "model/net=image/convnet",
    "optimizer=sgd",
    "scheduler=cosine",
    "model.optimizer.fused=false",
    "trainer.max_epochs=1",
    "data.eval_batch_size=100",
)


def overrides(folder: Path, processes: int) -> list[str]:
    return [
        *OVERRIDES,
        *(f"paths.{name}={folder / name}" for name in ("data", "cache", "runs")),
        "trainer.accelerator=cpu",
        f"trainer.devices={processes}",
        f"data.batch_size={30 // processes}",
    ]


def outcome(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights, and the results."""
    (run,) = (folder / "runs" / "digits").iterdir()
    content = read_checkpoint(run / "checkpoints" / "last.ckpt")
    return content["state_dict"], json.loads((run / "results.json").read_text())


def test_two_processes_equal_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from sightseq.cli import main; main()", "train", *overrides(tmp_path / "two", 2)]
    two = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sightseq.train(sightseq.compose(*overrides(tmp_path / "one", 1)) | {"run_test": True})
    output = two.communicate(timeout=300)[0]
    assert two.returncode == 0, output
    (weights, results), (others, other_results) = outcome(tmp_path / "one"), outcome(tmp_path / "two")
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, atol=1e-5, rtol=0, msg=lambda m, name=name: f"{name}: {m}")
    for stage in ("val", "test"):
        assert other_results[stage] == pytest.approx(results[stage], abs=1e-5)
    supports = [sum(row["support"] for row in r["details"]["per_class"].values()) for r in (results, other_results)]
    assert supports == [899, 899]
