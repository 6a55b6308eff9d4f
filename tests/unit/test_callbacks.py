"""Callbacks: seeds, EMA, metrics.csv and checkpoints."""

import csv
import math
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sightseq.core.callbacks import (
    CHECK_EVERY_STEPS,
    EMA,
    PATIENCE,
    CheckpointMetadata,
    History,
    Reseed,
    ResumeCheckpoint,
    StopOnNaN,
)
from sightseq.core.cluster import Requeue
from sightseq.core.errors import ConfigError, SightseqError


class Falling(LightningModule):
    """A model with one weight that starts at 8 and decreases by 1 per step; records its values in validation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([8.0]))
        self.validated: list[float] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.validated.append(self.weight.item())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


@pytest.mark.filterwarnings("ignore")
def test_ema_against_values_by_hand() -> None:
    model, data = Falling(), DataLoader([0.0, 0.0, 0.0])
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(accelerator="cpu", max_epochs=2, num_sanity_val_steps=0, callbacks=[EMA(0.75)], **quiet)
    trainer.fit(model, data, DataLoader([0.0]))
    average, expected = 7.0, []  # the average starts with the weight after the first step
    for step, weight in enumerate([6.0, 5.0, 4.0, 3.0, 2.0], start=2):
        decay = min(0.75, step / (9 + step))
        average = decay * average + (1 - decay) * weight
        if step % 3 == 0:
            expected.append(average)
    assert model.validated == pytest.approx(expected)
    assert model.weight.item() == pytest.approx(expected[-1])  # the weight in the checkpoint and in the test


def test_ema_does_not_average_integers() -> None:
    averages, current = [torch.tensor([3, 60])], [torch.tensor([5, 64])]
    EMA(0.9)._average(averages, current, None)
    assert averages[0].tolist() == [5, 64]


@pytest.mark.parametrize("decay", [0, 1, -0.5, 2])
def test_ema_refuses_a_decay_outside_0_to_1(decay: float) -> None:
    with pytest.raises(ValueError, match="does not lie between 0 and 1"):
        EMA(decay)


# Reseed


def draw(seed: int = 1, epoch: int = 0, batch: int = 0, rank: int = 0) -> list[float]:
    """Random numbers drawn right after the callback."""
    torch.rand(7)  # earlier random numbers must not matter
    trainer: Any = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    module: Any = SimpleNamespace(device=torch.device("cpu"))
    Reseed(seed).on_train_batch_start(trainer, module, {}, batch)
    return torch.rand(4).tolist()


def test_reseed_depends_only_on_seed_epoch_batch_and_rank() -> None:
    assert draw(3, 2, 5, 1) == draw(3, 2, 5, 1)
    places = [(1, 0, 0, 0), (2, 0, 0, 0), (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1), (1, 11, 1, 0), (1, 1, 11, 0)]
    assert len({tuple(draw(*place)) for place in places}) == len(places)


def test_reseed_seeds_the_accelerator_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed", seeds.append)
    trainer: Any = SimpleNamespace(current_epoch=2, global_rank=0)
    module: Any = SimpleNamespace(device=torch.device("cuda"))
    Reseed(1).on_train_batch_start(trainer, module, {}, 3)
    assert seeds == [torch.initial_seed()]


# StopOnNaN


def after_batch(loss: float, batch_idx: int = 0, device: str = "cpu") -> None:
    trainer: Any = SimpleNamespace(current_epoch=2, global_step=77)
    module: Any = SimpleNamespace(device=SimpleNamespace(type=device))
    batch = {"index": torch.arange(10, 18)}
    StopOnNaN().on_train_batch_end(trainer, module, {"loss": torch.tensor(loss)}, batch, batch_idx)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_the_training(loss: float) -> None:
    with pytest.raises(SightseqError) as caught:
        after_batch(loss, batch_idx=3)
    for part in (f"became {loss}", "epoch 3", "step 77", "[10, 11, 12, 13, 14]", "lower model.optimizer.lr"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_finite_losses_do_not_stop_the_training() -> None:
    after_batch(1e30)
    with pytest.raises(SightseqError):  # the same call can raise
        after_batch(math.nan)


def test_losses_on_a_gpu_are_checked_periodically() -> None:
    after_batch(math.nan, batch_idx=1, device="cuda")
    with pytest.raises(SightseqError):
        after_batch(math.nan, batch_idx=CHECK_EVERY_STEPS, device="cuda")


@pytest.mark.parametrize("outputs", [None, {}, {"text": "x"}, torch.tensor(1.0), {"generator": torch.ones(3)}])
def test_step_outputs_without_a_loss_are_accepted(outputs: Any) -> None:
    module: Any = SimpleNamespace(device=SimpleNamespace(type="cpu"))
    StopOnNaN().on_train_batch_end(SimpleNamespace(), module, outputs, {}, 0)  # type: ignore[arg-type]


def test_every_loss_of_a_step_is_checked() -> None:
    trainer: Any = SimpleNamespace(current_epoch=0, global_step=1)
    module: Any = SimpleNamespace(device=SimpleNamespace(type="cpu"))
    outputs = {"generator": torch.tensor(1.0), "critic": torch.tensor([1.0, math.nan])}
    with pytest.raises(SightseqError, match="the critic became NaN"):
        StopOnNaN().on_train_batch_end(trainer, module, outputs, {"index": torch.arange(3)}, 0)


# History


def trainer_at(epoch: int, step: int, zero: bool = True, **metrics: float) -> Any:
    return SimpleNamespace(
        current_epoch=epoch,
        global_step=step,
        is_global_zero=zero,
        callback_metrics={name.replace("_", "/"): torch.tensor(value) for name, value in metrics.items()},
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])],
    )


def read_rows() -> list[dict[str, str]]:
    with Path("metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def start_history(step: int = 0) -> History:
    history = History(Path("metrics.csv"))
    history.on_train_start(trainer_at(0, step), None)
    return history


def end_epochs(history: History, *places: tuple[int, int], **metrics: float) -> None:
    for epoch, step in places:
        history.on_train_epoch_end(trainer_at(epoch, step, **metrics), None)


def test_history_has_a_row_for_each_epoch() -> None:
    history = start_history()
    end_epochs(history, (0, 10), val_loss=0.5, train_loss=1.23456789, other=3.0)
    end_epochs(history, (1, 20), val_loss=0.25, train_loss=1.0, val_f1=0.125)
    first, second = read_rows()
    assert {**first, "seconds": ""} == {
        "epoch": "1",
        "step": "10",
        "seconds": "",
        "lr": "0.1",
        "train/loss": "1.234568",
        "val/loss": "0.5",
        "val/f1": "",
    }
    assert (second["epoch"], second["val/f1"]) == ("2", "0.125")
    assert [path.name for path in Path().glob("metrics.*")] == ["metrics.csv"]


def test_a_resumed_history_keeps_only_the_epochs_of_the_checkpoint() -> None:
    end_epochs(start_history(), (0, 10), (1, 20), (2, 30), val_loss=0.5)
    Path("metrics.csv").write_text(Path("metrics.csv").read_text().replace("0.0,", "100.0,"))
    resumed = start_history(step=20)  # the checkpoint is older than the third epoch
    end_epochs(resumed, (2, 30), (3, 40), val_loss=0.75)
    rows = read_rows()
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "10"), ("2", "20"), ("3", "30"), ("4", "40")]
    assert [row["val/loss"] for row in rows] == ["0.5", "0.5", "0.75", "0.75"]
    assert float(rows[2]["seconds"]) >= 100  # the elapsed time continues too


def test_history_keeps_digits_of_small_numbers_and_all_learning_rates() -> None:
    history, trainer = start_history(), trainer_at(0, 10, val_loss=0.000812345)
    trainer.optimizers.append(SimpleNamespace(param_groups=[{"lr": 0.2}]))
    history.on_train_epoch_end(trainer, None)
    (row,) = read_rows()
    assert (row["val/loss"], row["lr"], row["lr-2"]) == ("0.000812345", "0.1", "0.2")
    trainer.optimizers.clear()
    history.on_train_epoch_end(trainer, None)
    assert read_rows()[1]["lr"] == ""


def test_only_the_first_process_writes_history() -> None:
    history = start_history()
    history.on_train_epoch_end(trainer_at(0, 10, zero=False, val_loss=1.0), None)
    assert not Path("metrics.csv").exists()


# ResumeCheckpoint and CheckpointMetadata


@pytest.mark.parametrize("wrong", [{"minutes": -1}, {"minutes": 0}, {"steps": -5}])
def test_intervals_of_checkpoints_are_above_0(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.last\.\w+=-?\d+ is not above 0"):
        ResumeCheckpoint("checkpoints", **wrong)


NET: Any = torch.nn.Linear(2, 2)


def trainer_in_an_epoch(last: bool = False, **more: Any) -> Any:
    progress = SimpleNamespace(is_last_batch=last)
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    common = {"world_size": 1, "accumulate_grad_batches": 1, "global_step": 1, "current_epoch": 0}
    return SimpleNamespace(fit_loop=loop, **(common | more))


def steps(last: ResumeCheckpoint, *batches: int, final: int | None = None, accumulate: int = 1) -> list[int]:
    """Call the callback after each of these batches; return the batches after which it saved a checkpoint."""
    saved: list[int] = []
    for batch in batches:
        trainer = trainer_in_an_epoch(
            batch == final,
            strategy=SimpleNamespace(broadcast=lambda value: value),
            accumulate_grad_batches=accumulate,
            global_step=(batch + 1) // accumulate,
            save_checkpoint=lambda path, batch=batch: saved.append(batch),
        )
        last.on_train_batch_end(trainer, NET, None, {}, batch)
    return saved


def test_last_saves_every_n_steps_except_in_the_last_batch() -> None:
    assert steps(ResumeCheckpoint("c", minutes=None, steps=3), *range(9), final=8) == [2, 5]
    assert steps(ResumeCheckpoint("c", minutes=None, steps=None), *range(200)) == []


def test_last_does_not_save_while_gradients_are_accumulated() -> None:
    assert steps(ResumeCheckpoint("c", minutes=None, steps=2), *range(15), accumulate=3) == [5, 11]
    last = ResumeCheckpoint("c", minutes=None)
    start_and_interrupt(last)
    assert steps(last, 0, 1, accumulate=3) == []
    with pytest.raises(KeyboardInterrupt):
        steps(last, 2, accumulate=3)


def test_last_does_not_save_weights_that_are_not_finite() -> None:
    broken: Any = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(broken.bias, math.nan)
    saved: list[Path] = []
    trainer = trainer_in_an_epoch(save_checkpoint=saved.append)
    with pytest.raises(SightseqError, match="the weights became NaN or infinite in epoch 1 at step 1; lower"):
        ResumeCheckpoint("c").on_train_epoch_end(trainer, broken)
    assert not saved


def test_last_saves_when_the_last_checkpoint_is_old() -> None:
    last = ResumeCheckpoint("c", minutes=5)
    assert steps(last, *range(200)) == []
    last._saved -= 301
    assert steps(last, *range(200)) == [CHECK_EVERY_STEPS - 1]  # only once: then it is recent


def test_last_saves_at_the_end_of_every_epoch() -> None:
    saved: list[Path] = []
    trainer: Any = SimpleNamespace(save_checkpoint=saved.append, world_size=1)
    ResumeCheckpoint("folder").on_train_epoch_end(trainer, NET)
    assert saved == [Path("folder/last.ckpt")]


def start_and_interrupt(last: ResumeCheckpoint) -> None:
    """Start a training and send it SIGINT (Ctrl-C)."""
    trainer: Any = None
    last.on_train_start(trainer, trainer)
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_saves_after_the_step_and_exits() -> None:
    last = ResumeCheckpoint("c", minutes=None)
    start_and_interrupt(last)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a second Ctrl-C exits at once
    saved: list[Path] = []
    with pytest.raises(KeyboardInterrupt):
        last.on_train_batch_end(trainer_in_an_epoch(save_checkpoint=saved.append), NET, None, {}, 0)
    assert saved == [Path("c/last.ckpt")]


def test_an_interrupt_waits_for_a_short_validation_only() -> None:
    last = ResumeCheckpoint("c", minutes=None)
    trainer: Any = SimpleNamespace(world_size=1)
    last.on_validation_batch_end(trainer, None)
    start_and_interrupt(last)
    last.on_validation_batch_end(trainer, None)
    last._asked -= PATIENCE
    with pytest.raises(KeyboardInterrupt):
        last.on_validation_batch_end(trainer, None)


def test_all_processes_exit_or_none() -> None:
    last, decisions = ResumeCheckpoint("c", minutes=None), list[bool]()

    def decide(decision: bool, all: bool) -> bool:
        decisions.append(decision)
        return len(decisions) in (2, 4)  # another process received SLURM's signal, after the first check

    trainer = trainer_in_an_epoch(save_checkpoint=lambda path: None, world_size=2)
    trainer.strategy = SimpleNamespace(reduce_boolean_decision=decide, broadcast=lambda steps: 30)
    for batch in range(30):
        trainer.global_step = batch + 1
        last.on_train_batch_end(trainer, NET, None, {}, batch)
    assert decisions == [False]  # after the first step
    trainer.global_step = 31
    with pytest.raises(Requeue):
        last.on_train_batch_end(trainer, NET, None, {}, 30)
    assert decisions == [False] * 4  # whether to exit; whether a weight is not finite; whether to requeue the job


@pytest.mark.parametrize(("seconds", "wait"), [(0.001, CHECK_EVERY_STEPS), (0.1, 10), (3.0, 1)])
def test_several_processes_check_for_signals_every_second(seconds: float, wait: int) -> None:
    last, waits = ResumeCheckpoint("c", minutes=None), list[int]()
    last._checked = 0, last._saved - 10 * seconds

    def broadcast(steps: int) -> int:
        waits.append(steps)
        return steps

    trainer: Any = SimpleNamespace(world_size=2, global_step=10, strategy=SimpleNamespace(broadcast=broadcast))
    assert last._check_due(trainer)
    assert waits[0] == pytest.approx(wait, abs=2)
    assert not last._check_due(trainer)


def test_metadata_is_added_to_the_entry_of_the_task() -> None:
    checkpoint: dict[str, Any] = {"sightseq": {"task": "a.Task"}}
    CheckpointMetadata({"config": {"seed": 1}, "versions": {"torch": "2"}}).on_save_checkpoint(
        None, Falling(), checkpoint
    )
    assert checkpoint == {"sightseq": {"task": "a.Task", "config": {"seed": 1}, "versions": {"torch": "2"}}}
