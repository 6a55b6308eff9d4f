"""A training that was killed and resumed ends with the same weights, to the last bit."""

import csv
from pathlib import Path

import pytest
import torch

from .conftest import start

COMMON = (
    "train",
    "resume=auto",
    "callbacks=ema",
    "callbacks.last.steps=4",
    "trainer.max_epochs=3",
    "baseline=none",
    "logger=wandb",
    "trust=[killer]",
)
EXPERIMENTS = {
    # Fine-tuning whose head learns alone in epoch 0, dropout, mixed images, EMA and worker processes, all at once.
    # 808 images make 13 batches an epoch.
    "digits": (
        "augment=photos_mix",
        "model=fine_tuning",
        "model.net.dropout=0.3",
        "data.batch_size=64",
        "data.workers=1",
    ),
    # The state of LSTMs, carried from batch to batch, and all kinds of dropout.
    "python_docs": (
        "data.synthetic=true",
        "model/net=language/awd_lstm",
        "model.net.embedding=8",
        "model.net.hidden=[16,8]",
        "data.batch_size=4",
        "data.bptt=10",
        "trainer.limit_train_batches=13",
    ),
}


def killer(folder: Path, places: str) -> str:
    return f"+callbacks.kill={{_target_:killer.Kill,places:[{places}],marks:'{folder}'}}"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (run,) = folder.glob("runs/*/*")
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {**content["state_dict"], **{f"raw.{k}": v for k, v in content["current_model_state"].items()}}


def history(folder: Path) -> list[dict[str, str]]:
    (run,) = folder.glob("runs/*/*")
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_resumed_equals_uninterrupted(experiment: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    overrides = (*COMMON, f"experiment={experiment}", *EXPERIMENTS[experiment])
    reference = start(whole, *overrides, killer(whole, ""))
    # Within epoch 0 after its first checkpoint; then in epoch 1, before that epoch has one: from an epoch's end.
    arguments = (*overrides, killer(killed, "'0:10','1:2'"))
    outputs = []
    for status in (-9, -9, 0):
        process = start(killed, *arguments)
        outputs.append(process.communicate()[0])
        assert process.returncode == status, outputs[-1]
    assert "goes on from" in outputs[1]
    assert "goes on from" in outputs[2]
    assert reference.wait() == 0, reference.stdout.read()
    expected, found = weights(whole), weights(killed)
    assert expected.keys() == found.keys()
    different = [name for name in expected if not torch.equal(expected[name], found[name])]
    assert not different
    assert history(whole) == history(killed)
    # W&B sees one run, with one id, whenever it was interrupted.
    (run,) = killed.glob("runs/*/*")
    files = list(run.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 3
    assert {file.name for file in files} == {f"run-{run.name}.wandb"}
