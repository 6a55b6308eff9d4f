"""Training with two processes equals training with one; every sample is scored once."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch

import sightseq
from sightseq.core import rundir
from sightseq.core.checkpoint import read_checkpoint
from tests.unit.test_classification import make, random_batch

from . import victims
from .conftest import SERVER

# Without BatchNorm, dropout and augmentation, only the sums of gradients matter.
COMMON = (
    "callbacks=default",
    "baseline=none",
    "precision=32",
    "optimizer=sgd",
    "scheduler=cosine",
    "model.optimizer.fused=false",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
)
# Neither 808 (training) nor 899 (test) samples are a multiple of the batch size: the last step has unequal counts.
IMAGES = ("experiment=digits", "augment=none", "model/net=image/convnet")
# Both cases have the same streams, divided among the processes; the last window of a stream is shorter.
STREAMS = ("experiment=python_docs", "data.synthetic=true", "data.bptt=10", "model/net=language/lstm_course")
# The encoder is frozen: one of the processes computes its features for both.
CAPTIONS = (
    *("experiment=flickr8k", "data.synthetic=true", "data.image_size=64", "model/net=captioning/small_images"),
    *(
        "model.net.encoder.channels=[8,8,8,8]",
        "model.net.hidden=[16]",
        "model.net.output_dropout=0",
        "model.flips=false",
    ),
)


def overrides(experiment: Sequence[str], processes: int) -> list[str]:
    return [
        *experiment,
        *COMMON,
        f"trainer={'ddp_cpu' if processes > 1 else 'default'}",
        f"data.batch_size={30 // processes}",
        "data.eval_batch_size=10",
    ]


def outcome(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights and the results of the only run below `folder`."""
    (run,) = (folder / "runs").glob("[!.]*/*")
    content = read_checkpoint(run / "checkpoints" / "last.ckpt")
    return content["state_dict"], json.loads((run / "results.json").read_text())


def train_by_command(folder: Path, arguments: list[str]) -> None:
    """Train as a user does: Lightning starts the second process."""
    config = sightseq.compose(*arguments, *victims.paths(folder)) | {"run_test": True}
    run = rundir.create(config, "sightseq train")
    done = subprocess.run([sys.executable, "-m", "sightseq.run", run], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def train_by_torchrun(folder: Path, arguments: list[str]) -> None:
    """Train with `torchrun -m sightseq train`: both processes compose the config and share one run directory."""
    join(SERVER.Process(target=victims.torchrun, args=(folder, arguments)))


def train_by_srun(folder: Path, arguments: list[str]) -> None:
    """Train in two processes with the variables that `srun sightseq train` sets."""
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    job = {"SLURM_JOB_ID": "4242", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "train", "SLURM_NNODES": "1"}
    job |= {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NODEID": "0"}
    job |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    ranks = [job | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in "01"]
    join(*(SERVER.Process(target=victims.type_command, args=(folder, arguments, rank)) for rank in ranks))


def join(*processes: ForkServerProcess) -> None:
    """Start processes, and wait for them."""
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    ("experiment", "train"),
    [
        pytest.param(IMAGES, train_by_torchrun, id="images"),
        pytest.param(STREAMS, train_by_command, id="streams", marks=pytest.mark.slow),
        pytest.param(CAPTIONS, train_by_srun, id="captions", marks=pytest.mark.slow),
    ],
)
def test_two_processes_equal_one(
    experiment: Sequence[str], train: Callable[[Path, list[str]], None], tmp_path: Path
) -> None:
    single = sightseq.compose(*overrides(experiment, 1), *victims.paths(tmp_path / "one"))
    sightseq.train(single | {"run_test": True})
    train(tmp_path / "two", overrides(experiment, 2))
    (weights, results), (others, other_results) = outcome(tmp_path / "one"), outcome(tmp_path / "two")
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, atol=1e-5, rtol=0, msg=lambda m, name=name: f"{name}: {m}")
    assert other_results["val"] == pytest.approx(results["val"], rel=1e-5, abs=1e-5)
    assert other_results["test"] == pytest.approx(results["test"], rel=1e-5, abs=1e-5)
    if experiment != IMAGES:
        return
    supports = [sum(row["support"] for row in r["details"]["per_class"].values()) for r in (results, other_results)]
    assert supports == [899, 899]


def test_two_processes_share_scores_and_examples(tmp_path: Path) -> None:
    """The figures and samples of a report, and the training scores of a resumed run, cover both processes."""
    processes = [SERVER.Process(target=victims.score_half, args=(tmp_path, rank)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    task, batch = make(), random_batch(300)
    for stage in ("train", "val"):
        output = task.step(batch, stage)
        task.scoreboard.update(stage, output)
    task.collect_examples(batch, output)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["in the figure"] == second["in the figure"] == 300
    assert first["shown"] == second["shown"] == task._random.rows()["index"].tolist()
    assert (first["count"], second["count"]) == (300, 0)  # rank 0 restores the sum over all ranks
    assert first["accuracy"] == pytest.approx(task.scoreboard.metrics("train")["accuracy"].compute().item())
