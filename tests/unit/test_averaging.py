"""Stochastic weight averaging, early stopping and time limits: what they compute, and that they resume exactly."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

import sightseq
from sightseq import run
from sightseq.core import rundir
from sightseq.core.averaging import SWA, mean_with
from sightseq.core.checkpoint import read_checkpoint
from sightseq.core.errors import ConfigError

from .test_callbacks import Falling
from .test_trainer import TINY

pytestmark = pytest.mark.usefixtures("no_report")
SHORT = [one for one in TINY if not one.startswith("callbacks=")] + ["trust=[tests]", "data.batch_size=32"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("start", "fraction", "expected"),
    [
        (0.5, None, [5, 2, -1, -2.5]),
        (3, None, [5, 2, -1, -2.5]),
        (0.5, 0.5, [5, 2, 0.5, -0.25]),
        (0.9, None, [5, 2, -1, -4]),
    ],
)
def test_swa_against_values_by_hand(start: float, fraction: float | None, expected: list[float]) -> None:
    """The weight falls from 8 by 1 in each of the three steps of an epoch, or by `fraction` in an averaged epoch."""
    model = Falling()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(
        accelerator="cpu", max_epochs=4, num_sanity_val_steps=0, callbacks=[SWA(start, fraction)], **quiet
    )
    trainer.fit(model, DataLoader([0.0, 0.0, 0.0]), DataLoader([0.0]))
    assert model.validated == pytest.approx(expected)
    assert model.weight.item() == pytest.approx(expected[-1])


def test_swa_does_not_average_integers() -> None:
    averages, current = [torch.tensor([3, 60])], [torch.tensor([5, 64])]
    mean_with(averages, current, 1)
    assert averages[0].tolist() == [5, 64]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("callbacks.swa.start=1.5", "neither a fraction below 1 nor the number of an epoch"),
        ("callbacks.swa.start=5", "the training has only 4 epochs"),
        ("callbacks.swa.lr_fraction=0", "is not above 0; null keeps the schedule"),
        ("callbacks=[default,swa,ema]", "ema and swa both average the weights"),
    ],
)
def test_swa_refuses(typed: str, words: str) -> None:
    choice = [] if typed.startswith("callbacks=") else ["callbacks=[default,swa]"]
    with pytest.raises(ConfigError, match=words):
        sightseq.train(sightseq.compose(*SHORT, *choice, typed, "trainer.max_epochs=4") | {"run_test": False})


class Interrupt(Callback):
    """Presses Ctrl-C in a training that is not resumed.

    Args:
        epoch: counted from 0.
        batch: counted from 0.
    """

    def __init__(self, epoch: int, batch: int) -> None:
        self.place = epoch, batch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.ckpt_path is None and (trainer.current_epoch, batch_idx) == self.place:
            raise KeyboardInterrupt


def train(*overrides: str) -> Path:
    """Run a training, and resume it if it is interrupted; return its run directory."""
    folder = rundir.create(sightseq.compose(*SHORT, *overrides) | {"run_test": False}, "sightseq train")
    try:
        run.execute(rundir.read_config(folder), folder)
    except KeyboardInterrupt:
        assert (folder / "checkpoints" / "last.ckpt").exists()
        run.execute(rundir.read_config(folder), folder)
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_swa_resumes_exactly() -> None:
    settings = ("callbacks=[default,swa]", "callbacks.swa.start=0.4", "callbacks.last.steps=1", "trainer.max_epochs=5")
    folders = [
        train(
            *settings, f"+callbacks.stop={{_target_:tests.unit.test_averaging.Interrupt,epoch:{epoch},batch:{batch}}}"
        )
        for epoch, batch in ((9, 0), (1, 2), (3, 0), (4, 2))  # the first one is not interrupted
    ]
    assert [row["lr"] for row in rows(folders[0])[2:]] == ["0.0025"] * 3
    whole, *others = [read_checkpoint(folder / "checkpoints" / "last.ckpt") for folder in folders]
    assert whole["averaging_state"]["n_averaged"] == 3
    for folder, content in zip(folders[1:], others, strict=True):
        assert rows(folder) == rows(folders[0])
        for key in ("state_dict", "current_model_state"):
            assert all(torch.equal(value, content[key][name]) for name, value in whole[key].items())
        best, expected = (read_checkpoint(one / "checkpoints" / "best.ckpt") for one in (folder, folders[0]))
        assert best["epoch"] == expected["epoch"]
        assert all(torch.equal(value, best["state_dict"][name]) for name, value in expected["state_dict"].items())


def repeat(folder: Path) -> dict[str, Any]:
    """Execute a run whose process was killed after its last checkpoint; return its results."""
    (folder / "results.json").unlink()
    run.execute(rundir.read_config(folder), folder)
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def test_early_stopping_stops_and_remembers_it(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("callbacks=[default,early_stopping]", "callbacks.early_stopping.patience=2", "trainer.max_epochs=6")
    folder = train(*settings, "scheduler=none", "optimizer=sgd", "model.optimizer.lr=1e-12")
    before = rows(folder)
    assert len(before) == 3  # the first validation is the best; the next two are not better
    assert "did not improve in the last 2 records" in capsys.readouterr().out
    assert repeat(folder)["epochs"] == 3
    assert rows(folder) == before


def test_a_time_limit_stops_and_remembers_it() -> None:
    settings = ("callbacks=default", "trainer.max_epochs=null", "trainer.max_time='00:00:00:01'", "scheduler=none")
    folder = train(*settings)
    epochs = rows(folder)
    assert repeat(folder)["epochs"] == len(epochs)
    assert rows(folder) == epochs


def test_top_k_keeps_three_checkpoints() -> None:
    folder = train("callbacks=[default,top_k]", "trainer.max_epochs=5")
    names = {path.name for path in (folder / "checkpoints").iterdir()} - {"last.ckpt", "best.ckpt"}
    assert len(names) == 3
    best = read_checkpoint(folder / "checkpoints" / "best.ckpt")["epoch"]
    assert any(f"epoch={best}-" in name for name in names)
