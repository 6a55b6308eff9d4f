"""Two processes learn what one does, and score every sample once."""

import json
from pathlib import Path

import pytest
import torch

from .conftest import start

# No BatchNorm, no dropout, no augmentation: then only the sums of gradients matter. 15 samples a step divide
# neither the 808 to train (the last step has unequal counts) nor the 899 to test.
OVERRIDES = (
    "train",
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


def test_two_processes_equal_one(tmp_path: Path) -> None:
    found = []
    for folder, world in ((tmp_path / "one", 1), (tmp_path / "two", 2)):
        folder.mkdir()
        more = ("trainer.accelerator=cpu", f"trainer.devices={world}", f"data.batch_size={30 // world}")
        process = start(folder, *OVERRIDES, *more)
        output = process.communicate(timeout=300)[0]
        assert process.returncode == 0, output
        (run,) = (folder / "runs" / "digits").iterdir()
        weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        found.append((weights, json.loads((run / "results.json").read_text())))
    (weights, results), (others, other_results) = found
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, atol=1e-5, rtol=0, msg=lambda m, name=name: f"{name}: {m}")
    for stage in ("val", "test"):
        assert other_results[stage] == pytest.approx(results[stage], abs=1e-5)
    supports = [sum(row["support"] for row in r["details"]["per_class"].values()) for r in (results, other_results)]
    assert supports == [899, 899]
