"""Classification of sequences: task, networks, votes of windows, report, baselines and prediction."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sightseq.core.arrays import Ragged
from sightseq.core.blocks import FigureBlock
from sightseq.core.errors import ConfigError, InputError
from sightseq.core.loading import Batch
from sightseq.nets.sequence import DeepConvLSTM, SequenceResNet
from sightseq.series.features import Standardise
from sightseq.series.statistics import statistics
from sightseq.tasks.classification.baseline_sequences import SequenceWarping, StatisticsForest
from sightseq.tasks.classification.predict_sequences import SequencePredictor
from sightseq.tasks.classification.predict_windows import timeline
from sightseq.tasks.classification.sequence_saliency import step_weights
from sightseq.tasks.classification.sequences import SequenceClassificationTask
from sightseq.tasks.classification.voting import VotingAccuracy

NET = {"_target_": "sightseq.nets.sequence.SequenceLSTM", "hidden": [4]}
NAN = float("nan")


def make(net: dict[str, Any] = NET, **arguments: Any) -> SequenceClassificationTask:
    torch.manual_seed(0)
    spec, _ = SequenceClassificationTask.example()
    return SequenceClassificationTask(spec=spec.to_dict(), net=net, **arguments).eval()


def example() -> Batch:
    return SequenceClassificationTask.example()[1]


# The task


def test_networks_get_the_number_of_features() -> None:
    assert make().net.layers[0].input_size == 4  # two channels, and whether they are missing
    features = {"_target_": "sightseq.series.features.Standardise", "mask": False, "differences": 2.0}
    assert make(features=features).net.layers[0].input_size == 4
    points = {"_target_": "sightseq.series.keypoints.KeyPoints", "body": ["acc", "acc"], "mask": False}
    assert make(features=points).net.layers[0].input_size == 2


def test_votes_of_windows_by_hand() -> None:
    metric = VotingAccuracy()
    # Recording 7 of class 0: 0.9, then 0.4; recording 3 of class 1: 0.6 for class 0. The last row is padding.
    metric.update(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), torch.tensor([0, 1]), torch.tensor([7, 3]))
    metric.update(torch.tensor([[0.4, 0.6], [0.0, 1.0]]), torch.tensor([0, -1]), torch.tensor([7, 3]))
    assert metric.compute() == 0.5
    metric.update(torch.tensor([[0.0, 1.0]]), torch.tensor([1]), torch.tensor([3]))
    assert metric.compute() == 1.0


def test_recordings_are_scored_if_they_have_several_windows() -> None:
    assert "voted" in make().scores("val")
    spec, _ = SequenceClassificationTask.example()
    whole = {**spec.to_dict(), "stride": None}
    assert "voted" not in SequenceClassificationTask(spec=whole, net=NET).scores("val")


def test_only_augmentations_of_sequences_are_accepted() -> None:
    with pytest.raises(ConfigError, match="TimeShift is not an augmentation of sequences"):
        make(augment={"shift": {"_target_": "sightseq.audio.augment.TimeShift", "rate": 8000}})


def test_report_shows_the_sequences_and_their_important_steps() -> None:
    task, batch = make(), example()
    rows = {**batch, "probabilities": task.predict_step(batch)}
    block = task.explanation(rows)
    assert isinstance(block, FigureBlock)
    assert len(block.figure.axes) == 6
    assert [len(cell.child_axes) for cell in block.figure.axes] == [1] * 6  # the bands of importance
    shown = task.plot_batch(batch)
    assert [cell.get_title(loc="left") for cell in shown.axes[:3]] == ["slow", "middle", "fast"]
    lines = shown.axes[2].lines
    assert len(lines[-1].get_xdata()) == 8  # without padding, at 20 Hz
    np.testing.assert_allclose(lines[-1].get_xdata()[:2], [0.025, 0.075])


class Third(nn.Module):
    """Its first logit is the value of the third step."""

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return torch.stack([features[:, 2, 0], torch.zeros(len(features))], dim=1)


def test_importance_is_where_the_evidence_is() -> None:
    features = torch.ones(2, 9, 3)
    heat = step_weights(Third(), features, torch.tensor([9, 4]), torch.tensor([0, 0]))
    assert heat.shape == (2, 9)
    assert heat[0].nonzero().flatten().tolist() == [1, 2, 3]  # neighbours are averaged
    assert step_weights(Third(), features, torch.tensor([9, 2]), torch.tensor([0, 0]))[1, 2:].sum() == 0
    assert step_weights(Third(), features, torch.tensor([9, 9]), torch.tensor([1, 1])).sum() == 0  # evidence against it


# Networks


def test_deep_conv_lstm_reads_each_channel_with_the_same_filters() -> None:
    net = DeepConvLSTM(3, 2, filters=4, strides=[2, 1], hidden=[5], bidirectional=True, pooling=["attention"])
    assert net.convolutions[0].weight.shape == (4, 1, 5, 1)
    assert net.layers[0].input_size == 12
    assert net(torch.randn(2, 7, 3), torch.tensor([7, 1])).shape == (2, 2)


@pytest.mark.parametrize(
    ("net", "arguments"),
    [(DeepConvLSTM, {"kernel_size": 4}), (DeepConvLSTM, {"pooling": []}), (SequenceResNet, {"channels": []})],
)
def test_wrong_settings_are_refused(net: type[nn.Module], arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be odd|empty"):
        net(3, 2, **arguments)


# Baselines


def test_statistics_by_hand() -> None:
    values = np.array([[0.0, 1.0], [2.0, NAN], [0.0, 3.0], [2.0, 2.0]])
    found = statistics(values).reshape(-1)
    pairs = found[:-1].reshape(-1, 2)  # the last one is the correlation of the channels
    names = ["mean", "std", "min", "q1", "median", "q3", "max", "crossings", "missing"]
    first = dict(zip(names, pairs[:, 0].tolist(), strict=False))
    assert first == {
        **{"mean": 1.0, "std": 1.0, "min": 0.0, "q1": 0.0, "median": 1.0, "q3": 2.0, "max": 2.0},
        **{"crossings": 1.0, "missing": 0.0},
    }
    assert pairs[names.index("missing"), 1] == 0.25
    assert pairs[0, 1] == 2.0
    assert np.isfinite(statistics(np.full((1, 2), NAN))).all()


@pytest.mark.parametrize("baseline", [StatisticsForest(trees=20), SequenceWarping(frames=20)])
def test_baselines_learn_frequencies(baseline: Any) -> None:
    spec, _ = SequenceClassificationTask.example()
    generator = np.random.default_rng(0)
    labels = np.arange(30) % 3
    rows = []
    for label in labels:
        time = np.arange(25) / 20
        rows.append(np.sin(2 * np.pi * (1 + 2 * label) * time[:, None]) + generator.normal(0, 0.1, (25, 2)))
    rows[4][3] = NAN
    inputs = Ragged.of([row.astype(np.float32) for row in rows])
    baseline.spec = spec
    features = baseline.features(inputs)
    baseline.fit({"input": features[:20], "target": labels[:20]})
    assert (baseline.predict({"input": features[20:]}) == labels[20:]).all()


# Prediction


def wave(steps: int) -> np.ndarray:
    return np.sin(np.arange(steps)[:, None] / [3, 4]).astype(np.float32)


def test_windows_of_a_long_recording_vote() -> None:
    task = make()
    predictor = SequencePredictor(task, "cpu")
    values = wave(75)
    (row,) = predictor.predict([values], top=2)
    # Windows of 30 steps, 15 apart, at 20 Hz.
    assert [(entry["start"], entry["end"]) for entry in row["timeline"]] == [
        *[(0.0, 1.5), (0.75, 2.25), (1.5, 3.0), (2.25, 3.75)]
    ]
    parts = torch.stack([torch.from_numpy(values[start : start + 30]) for start in (0, 15, 30, 45)])
    mean = task.predict_step({"input": parts, "length": torch.tensor([30] * 4)}).mean(0)
    assert row["probability"] == pytest.approx(float(mean.max()), abs=1e-5)
    assert row["label"] == task.spec.classes[int(mean.argmax())]
    assert len(row["top"]) == 2
    entries = [{"start": 0, "end": 2, "label": "a"}, {"start": 1, "end": 3.5, "label": "a"}]
    assert timeline([*entries, {"start": 2.5, "end": 4, "label": "b"}]) == "0 .. 3.5 a; 2.5 .. 4 b"


def test_tables_and_arrays_give_the_same_prediction() -> None:
    predictor, values = SequencePredictor(make(), "cpu"), wave(20)
    values[4, 1] = NAN
    rows = [f"{n / 20},{x},{'' if np.isnan(y) else y},note" for n, (x, y) in enumerate(values.tolist())]
    Path("a.csv").write_text("\n".join(["when,acc_x,acc_y,text", *rows[::-1]]) + "\n")  # in the wrong order
    np.save("a.npy", values)
    np.save("b.npy", np.stack([values, values]))
    expected = predictor.predict([values])[0]["probability"]
    options = predictor.options({"time": "when"})
    bad: list[InputError] = []
    found = [row for _, row in predictor.rows(["a.csv", "a.npy", "b.npy"], options, bad)]
    assert not bad
    assert [row["file"] for row in found] == ["a.csv", "a.npy", "b.npy, sequence 1", "b.npy, sequence 2"]
    assert [row["probability"] for row in found] == pytest.approx([expected] * 4, abs=1e-5)
    assert json.loads(json.dumps(found)) == found
    assert predictor.cells(found[0])["timeline"] == f"0 .. 1 {found[0]['label']}"


def test_bad_inputs_are_refused() -> None:
    predictor = SequencePredictor(make(), "cpu")
    Path("a.csv").write_text("acc_x,z\n1,2\n")
    Path("a.png").write_text("1 2\n")
    np.save("a.npy", wave(5)[:, :1])
    Path("broken.npy").write_text("no")
    bad: list[InputError] = []
    options = predictor.options({})
    assert not list(predictor.rows(["a.csv", "a.png", "a.npy", "broken.npy", "none"], options, bad))
    messages = sorted(str(error) for error in bad)
    assert len(messages) == 5
    for text in (
        "no column 'acc_y'",
        "a.png is no sequence",
        "the shape [5, 1]",
        "broken.npy cannot be read",
        "none is no",
    ):
        assert any(text in message for message in messages), text
    with pytest.raises(InputError, match="infinite"):
        predictor.predict([np.full((3, 2), np.inf)])


def test_zeros_are_missing_if_the_data_says_so() -> None:
    spec, _ = SequenceClassificationTask.example()
    task = SequenceClassificationTask(spec={**spec.to_dict(), "zero_missing": True}, net=NET)
    (part,) = SequencePredictor(task, "cpu").read(np.array([[0.0, 1.0]]))
    assert np.isnan(part.values).tolist() == [[True, False]]
    assert isinstance(task.features, Standardise)
