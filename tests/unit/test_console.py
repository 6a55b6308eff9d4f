"""Output on a terminal of 80 columns: names, numbers and commands are never cut."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from rich.console import Console
from rich.progress import Progress, TextColumn

from sightseq.catalogue import print_catalogue
from sightseq.console import describe, ending, say
from sightseq.core.places import experiments
from sightseq.core.progress import TrainingProgressBar

SCORES = {"accuracy": 0.98765, "f1": 0.98, "loss": 0.12345}
RESULTS: dict[str, Any] = {
    "experiment": "digits",
    "network": "RecurrentLanguageModel",
    "headline": "accuracy",
    "columns": ["accuracy", "f1", "loss"],
    "metrics": {
        "accuracy": {"title": "accuracy", "higher_is_better": True, "percent": True},
        "f1": {"title": "F1", "higher_is_better": True, "percent": True},
        "loss": {"title": "loss", "higher_is_better": False},
    },
    "val": SCORES,
    "test": SCORES,
    "baselines": {
        "nearest_neighbours_of_pixels": {"val": SCORES, "test": SCORES},
        "SVM": {"error": "ValueError: one class"},
    },
    "train": {"accuracy": 1.0, "loss": 0.5},
    "data": {"synthetic": False},
    "seconds": {"total": 12.0, "fit": 10.0},
    "sweep": None,
}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """A console of 80 columns; returns a function that reads the printed lines."""
    monkeypatch.setattr("sightseq.console.console", lambda: Console(width=80, markup=False, soft_wrap=True))
    return lambda: capsys.readouterr().out.splitlines()


def test_results_keep_names_and_numbers(narrow: Callable[[], list[str]]) -> None:
    ending(RESULTS, Path("runs/digits/x"), Path("runs/digits/x/report.html"))
    lines = narrow()
    table = lines[: lines.index("", 1)]
    assert max(map(len, table)) <= 80
    (row,) = [line.split() for line in table if line.startswith("nearest")]
    assert row == ["nearest_neighbours_of_pixels", "98.77%", "98.00%", "98.77%", "98.00%"]  # the loss has no column
    (failed,) = [line.split() for line in table if line.startswith("SVM")]
    assert failed == ["SVM", "failed"]
    assert any("SVM failed: ValueError: one class" in line for line in lines)
    (training,) = [line for line in lines if line.startswith("training ")]
    assert "accuracy 100.00%, loss 0.500 in the last epoch" in training
    assert not any("synthetic" in line for line in lines)


def test_the_ending_shows_the_links_of_the_trackers(narrow: Callable[[], list[str]]) -> None:
    offline = {"offline": "no account", "folders": ["runs/my digits/wandb/offline-run-1"]}
    for found, shown_link in (
        ({"url": "https://w/r"}, "https://w/r"),
        (offline, "wandb sync 'runs/my digits/wandb/offline-run-1'"),
    ):
        ending(RESULTS | {"trackers": {"wandb": found}}, Path("runs/digits/x"), Path("runs/digits/x/report.html"))
        assert any(line.endswith(shown_link) for line in narrow())


def test_results_on_synthetic_data_are_marked(narrow: Callable[[], list[str]]) -> None:
    ending(RESULTS | {"data": {"synthetic": True}}, Path("runs/digits/x"), Path("runs/digits/x/report.html"))
    assert any(line.startswith("data") and "synthetic" in line for line in narrow())


def test_a_notebook_shows_label_and_text_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("rich.jupyter.display", lambda _, text: shown.append(text))
    monkeypatch.setattr("sightseq.console.console", lambda: Console(force_jupyter=True, color_system=None))
    say("report", "runs/[1]/report.html")
    assert shown == ["report    runs/[1]/report.html\n"]


def test_list_has_a_line_for_each_experiment(narrow: Callable[[], list[str]]) -> None:
    print_catalogue([])
    lines = narrow()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[1:-2]] == list(experiments())


def test_data_are_described_by_their_spec() -> None:
    data = SimpleNamespace(
        name="beans",
        synthetic=True,
        sample_unit="samples",
        streams={},
        skipped=[],
        remarks=["left out: 2 beans"],
        dataset=lambda split: range(5000),
        spec=SimpleNamespace(summary=lambda: {"points": 12000, "unit": "metres"}),
    )
    assert describe(cast(Any, data)) == (
        "beans (synthetic): 5,000 to train, 5,000 to validate, 5,000 to test; 12,000 points; unit metres; "
        "left out: 2 beans"
    )


def test_the_progress_bar_keeps_loss_score_and_rate() -> None:
    bar = TrainingProgressBar()
    console = Console(file=io.StringIO(), width=80)
    bar._bar = Progress(TextColumn("{task.fields[scores]}"), console=console)
    bar._job = bar._bar.add_task("", total=100, scores="")
    found = {"val/accuracy": torch.tensor(0.5), "val/loss": torch.tensor(1.25)}
    trainer = cast(
        Any,
        SimpleNamespace(
            num_training_batches=10,
            max_epochs=10,
            current_epoch=0,
            world_size=1,
            callback_metrics=found,
            datamodule=None,
        ),
    )
    task = cast(Any, SimpleNamespace(headline="accuracy", size=lambda batch: 7))
    bar.on_train_epoch_start(trainer, task)
    bar._shown = -1e9
    bar.on_train_batch_end(trainer, task, {"loss": torch.tensor(2.5)}, {"target": torch.zeros(32)}, 0)
    assert bar._bar.tasks[0].fields["scores"].startswith("loss 2.5000  ")
    assert bar._bar.tasks[0].fields["scores"].endswith(" samples/s")
    assert bar._seen == 7  # counted by task.size
    bar.on_train_batch_end(trainer, task, {"loss": torch.tensor(2.5)}, {}, 1)
    bar._shown = -1e9
    bar.on_train_batch_end(trainer, task, {"loss": torch.tensor(2.5)}, {}, 2)
    assert bar._seen == 21
    bar.on_train_epoch_end(trainer, task)
    shown = bar._bar.tasks[0].fields["scores"]
    assert shown.startswith("loss 2.5000  val accuracy 0.5000")
    assert len(shown) <= 50
    console.width = 200
    bar.on_train_epoch_end(trainer, task)
    assert bar._bar.tasks[0].fields["scores"].endswith("val loss 1.2500")
