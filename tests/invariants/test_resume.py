"""A training that is killed and resumed ends with the same weights, to the last bit."""

import csv
import json
import signal
from pathlib import Path

import pytest

from .conftest import only_run, same, start, weights

COMMON = ("callbacks=[default,ema]", "callbacks.last.steps=4", "trainer.max_epochs=3")
EXPERIMENTS = {
    # Fine-tuning with a head-only epoch 0, dropout, mixed images, EMA and worker processes, all at once.
    # 808 images make 13 batches per epoch.
    "digits": (
        "logger=wandb",
        "augment=flip_affine_erase_mix",
        "model=fine_tuning",
        "model.net.channels=[8,8]",
        "model.net.dropout=0.3",
        "data.batch_size=64",
        "data.workers=1",
    ),
    # LSTMs whose state is carried from batch to batch, and all kinds of dropout.
    "python_docs": (
        "data.synthetic=true",
        "model/net=language/awd_lstm",
        "model.net.embedding=8",
        "model.net.hidden=[16,8]",
        "data.batch_size=4",
        "data.bptt=10",
        "trainer.limit_train_batches=13",
    ),
    # Features of a frozen encoder with random weights, computed once, of two views of each photo; attention.
    "flickr8k": (
        "data.synthetic=true",
        "data.image_size=64",
        "model/net=captioning/small_images",
        "model.net.encoder.channels=[8,8,8,8]",
        "model.net.embedding=8",
        "model.net.hidden=[16]",
        "model.flips=true",
        "data.batch_size=4",
        "trainer.limit_train_batches=13",
    ),
    # Parts of pieces of unequal length, transposed at random.
    "jsb_joint": (
        "data.synthetic=true",
        "data.crop=8",
        "data.batch_size=2",
        "augment=transpose_rolls",
        "model.net.context=8",
        "model.net.hidden=[8]",
        "trainer.limit_train_batches=13",
    ),
}


def kill_override(folder: Path, places: str) -> str:
    return f"+callbacks.kill={{_target_:tests.invariants.victims.Kill,places:[{places}],marks:'{folder}'}}"


def history(folder: Path) -> list[dict[str, str]]:
    with (only_run(folder) / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


DEFAULT = ("digits", "python_docs")  # images, and carried state; the others are slow tests
PARAMETERS = [pytest.param(name, marks=() if name in DEFAULT else pytest.mark.slow) for name in EXPERIMENTS]


@pytest.mark.parametrize("experiment", PARAMETERS)
def test_resumed_equals_uninterrupted(experiment: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    overrides = (*COMMON, f"experiment={experiment}", *EXPERIMENTS[experiment])
    reference = start(whole, *overrides, kill_override(whole, ""))
    # Killed in epoch 0 after its first checkpoint, then in epoch 1 before its first: resumes from the end of epoch 0.
    for status in (-signal.SIGKILL, -signal.SIGKILL, 0):
        process = start(killed, *overrides, kill_override(killed, "'0:10','1:2'"))
        process.join()
        assert process.exitcode == status
    reference.join()
    assert reference.exitcode == 0
    assert same(weights(whole), weights(killed))
    assert history(whole) == history(killed)
    run = only_run(killed)
    assert (run / "log.txt").read_text().count("Restored all states") == 2
    seconds = json.loads((run / "results.json").read_text())["seconds"]
    assert seconds["total"] >= seconds["fit"] > 0  # both with the time before the interruptions
    if experiment != "digits":
        return
    # For W&B, the interrupted and resumed training is one run with one id.
    files = list(run.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 3
    assert {file.name for file in files} == {f"run-{run.name}.wandb"}
