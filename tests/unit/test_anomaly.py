"""Detection of anomalies: errors, threshold, scores, baselines, report and prediction."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightseq.core.arrays import ArrayDataset, Ragged
from sightseq.core.errors import ConfigError, InputError
from sightseq.core.loading import PAD_INDEX
from sightseq.nets.anomaly import LSTMAutoencoder
from sightseq.tasks.anomaly.baseline import Detector, Isolation, PrincipalComponents, ZScores
from sightseq.tasks.anomaly.graph import AnomalyGraph
from sightseq.tasks.anomaly.predict import AnomalyPredictor, events
from sightseq.tasks.anomaly.scores import event_f1, ranking_scores
from sightseq.tasks.anomaly.task import AnomalyTask

NET = {"_target_": "sightseq.nets.anomaly.LSTMAutoencoder", "hidden": [8], "code": 4}


def make(**arguments: Any) -> AnomalyTask:
    torch.manual_seed(0)
    return AnomalyTask(**{"spec": AnomalyTask.example()[0].to_dict(), "net": NET, **arguments}).eval()


class Zeros(torch.nn.Module):
    """Reconstructs 0, the mean: the error of a window is the mean square of its values."""

    def forward(self, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(vectors)


# Task and network


def test_errors_are_means_of_known_values() -> None:
    task = make()
    task.net = Zeros()
    values = torch.tensor([[[1.0, 3.0], [torch.nan, 2.0], [9.0, 9.0]], [[2.0, 0.0], [0.0, 0.0], [0.0, 4.0]]])
    steps = task(values, torch.tensor([2, 3]))
    torch.testing.assert_close(steps, torch.tensor([[5.0, 4.0, 0.0], [2.0, 0.0, 8.0]]))
    batch = {"input": values, "length": torch.tensor([2, 3])}
    torch.testing.assert_close(task.errors(batch), torch.tensor([4.5, 10 / 3]))


@torch.no_grad()
def test_only_normal_windows_are_learned() -> None:
    task, (_, batch) = make(), AnomalyTask.example()
    output = task.step(batch, "train")
    assert int(output.count) == 4
    errors = task.errors(batch)
    torch.testing.assert_close(output.loss_sum, errors[batch["target"] == 1].sum())


def test_the_threshold_is_a_quantile_of_the_training_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    task, (_, batch) = make(quantile=0.5), AnomalyTask.example()
    monkeypatch.setattr(task, "_log", lambda stage: None)
    task.scoreboard.update("val", task.step(batch, "val"))
    task.on_validation_epoch_end()  # such as the sanity check, before any training
    assert task.threshold == torch.inf
    train = {name: tensor[batch["target"] == 1] for name, tensor in batch.items()}
    task.scoreboard.update("train", task.step(train, "train"))
    task.on_validation_epoch_end()
    errors = task.errors(train).detach().sort().values
    assert float(task.threshold) == pytest.approx(float(errors[1:3].mean()))
    assert "threshold" in task.state_dict()
    assert task.details("val") == {"threshold": float(task.threshold)}


def test_the_decoder_reads_the_code_alone() -> None:
    torch.manual_seed(0)
    net = LSTMAutoencoder(2, hidden=(6, 5), code=3)
    vectors = torch.randn(2, 7, 2)
    with torch.no_grad():
        found = net(vectors, torch.tensor([7, 4]))
        torch.testing.assert_close(found[1:, :4], net(vectors[1:, :4], torch.tensor([4])))
        assert not found[1, 4:].any()
        net.code.weight.zero_()
        one, other = net(vectors, torch.tensor([7, 7]))
    torch.testing.assert_close(one, other)


def test_refused_options() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        make(quantile=1.0)
    spec = replace(AnomalyTask.example()[0], counts=(2, 4))
    with pytest.raises(ConfigError, match=r"data\.anomalies=\[normal\]"):
        make(spec=spec.to_dict())


# Scores


def test_ranking() -> None:
    scores = ranking_scores(np.array([0.1, 0.4, 0.3, 0.2]), np.array([0, 1, 0, 1]))
    assert scores["auroc"] == pytest.approx(3 / 4)  # of four pairs, 0.2 below 0.3 is the wrong one
    assert scores["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert np.isnan(ranking_scores(np.array([0.1]), np.array([0]))["auroc"])


def test_an_event_is_found_if_any_of_its_windows_is() -> None:
    windows = (np.array([0.1, 0.9, 0.1, 0.8, 0.1]), np.array([1, 1, 1, 0, 0]), np.array([7, 7, 8, 9, 10]))
    assert event_f1(*windows, 0.5) == pytest.approx(0.5)  # one found, one missed, one false alarm
    assert event_f1(*windows, 0.85) == pytest.approx(2 / 3)
    assert event_f1(*windows, 1.0) == 0


def test_scores_do_not_depend_on_batches_or_filler() -> None:
    task, (_, batch) = make(), AnomalyTask.example()
    task.threshold.fill_(0.5)
    task.scoreboard.update("test", task.step(batch, "test"))
    whole = task.scoreboard.compute("test")
    task.scoreboard.metrics("test").reset()
    for part in (slice(3, 6), slice(0, 3)):
        task.scoreboard.update("test", task.step({name: tensor[part] for name, tensor in batch.items()}, "test"))
    filler = {**batch, "index": torch.full((6,), PAD_INDEX)}
    task.scoreboard.update("test", task.step(filler, "test"))
    parts = task.scoreboard.compute("test")
    assert set(whole) == {"loss", "auroc", "average_precision", "event_f1"}
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value)


def test_report() -> None:
    task, (_, batch) = make(), AnomalyTask.example()
    task.threshold.fill_(0.5)
    output = task.step(batch, "test")
    task.scoreboard.update("test", output)
    task.collect_examples(batch, output)
    errors, worst = task.blocks("test")
    assert errors.title == "Error of each window"
    (axes,) = errors.figure.axes  # type: ignore[attr-defined]  # a FigureBlock
    drawn = {line.get_label(): len(line.get_xdata()) for line in axes.lines}
    assert drawn == {"normal": 4, "anomaly": 2, "threshold": 2}
    titles = [axes.get_title(loc="left") for axes in worst.figure.axes]  # type: ignore[attr-defined]  # a FigureBlock
    assert len(titles) == 6
    assert titles[0].endswith(f"error {float(output.values['error'].max()):.3g}")


# Baselines


@pytest.mark.parametrize("baseline", [ZScores(), Isolation(trees=20), PrincipalComponents(components=2)])
def test_baselines_find_what_is_unlike_the_training(baseline: Detector) -> None:
    generator = np.random.default_rng(0)
    count = 60
    target = (np.arange(count) % 6 != 0).astype(np.int64)  # every sixth one is an anomaly, class 0
    level = generator.normal(0, 0.3, (count, 1, 2)) + generator.normal(0, 0.1, (count, 8, 2))
    values = np.where(target[:, None, None], level, generator.normal(0, 3, (count, 8, 2))).astype(np.float32)
    arrays = {"input": Ragged.of(list(values)), "target": target, "recording": np.arange(count)}
    dataset = ArrayDataset({**arrays, "index": np.arange(count)}, np.arange(count), "train")
    baseline.spec = AnomalyTask.example()[0]
    read = baseline.read(dataset)
    baseline.fit(read)
    scores = baseline.score(read)
    assert scores["auroc"] > 0.95
    assert scores["average_precision"] > 0.95
    assert scores["event_f1"] > 0.9


# Prediction


def test_prediction_of_arrays_and_tables(tmp_path: Path) -> None:
    task = make()
    task.net = Zeros()
    task.threshold.fill_(2.0)
    predictor = AnomalyPredictor(task, "cpu")
    values = np.zeros((12, 2), np.float32)
    values[10:] = 4  # the last two steps: 16 each
    (row,) = predictor.predict([values], output=tmp_path / "errors.png")
    assert row["timeline"] == [{"start": 0, "end": 0.8, "error": 0}, {"start": 0.4, "end": 1.2, "error": 4}]
    assert row["events"] == [{"start": 0.4, "end": 1.2, "error": 4}]  # 10 steps per second
    assert (row["windows"], row["error"]) == (2, 4)
    assert (tmp_path / "errors.png").stat().st_size > 1000
    lines = ["time,acc_x,acc_y", *(f"{0.1 * step:.1f},{x},{y}" for step, (x, y) in enumerate(values.tolist()))]
    (tmp_path / "wrist.csv").write_text("\n".join(lines) + "\n")
    bad: list[InputError] = []
    options = predictor.options({"time": "time"})
    ((_, read),) = predictor.rows([str(tmp_path / "wrist.csv"), "missing.csv"], options, bad)
    assert read["timeline"] == row["timeline"]
    assert predictor.cells(read)["unusual"] == "0.4 .. 1.2 (error 4)"
    assert len(bad) == 1
    with pytest.raises(InputError, match="acc_x, acc_y"):
        predictor.predict([np.zeros((5, 3))])
    with pytest.raises(ConfigError, match="there are 2 sequences"):
        predictor.predict([values, values], output=tmp_path / "errors.png")


def test_neighbours_above_the_threshold_are_one_event() -> None:
    errors = [0.1, 3.0, 5.0, 0.2, 4.0]
    timeline = [{"start": start, "end": start + 2, "error": error} for start, error in enumerate(errors)]
    assert events(timeline, 1.0) == [{"start": 1, "end": 4, "error": 5.0}, {"start": 4, "end": 6, "error": 4.0}]
    assert events(timeline, 9.0) == []


# Export


def test_graph_gives_the_errors() -> None:
    task, (_, batch) = make(), AnomalyTask.example()
    graph = AnomalyGraph(task).eval()
    ((errors, anomalies),) = graph.read(graph.call, [batch])
    np.testing.assert_allclose(errors, task.errors(batch).detach(), rtol=1e-6)
    assert anomalies.tolist() == [False, False, True, False, False, True]
    assert graph.score(graph.call, [batch, batch]) == pytest.approx(ranking_scores(errors, anomalies)["auroc"])
    task.threshold.fill_(1.25)
    assert graph.metadata()["threshold"] == "1.25"
