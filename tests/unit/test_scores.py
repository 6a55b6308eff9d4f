"""Scores: the loss is averaged by its count, and the direction of each metric is known."""

import pytest
import torch
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

from sightseq.core.errors import ConfigError
from sightseq.core.naming import ScoreInfo
from sightseq.core.scores import MeanLoss, Score


def test_the_direction_comes_from_the_metric() -> None:
    accuracy = Score(MulticlassAccuracy(3), "accuracy", percent=True)
    assert accuracy.info == ScoreInfo("accuracy", higher_is_better=True, percent=True)
    assert not Score(MulticlassCalibrationError(3), "calibration error").info.higher_is_better
    assert not Score(MeanLoss(), "loss").info.higher_is_better


def test_an_unknown_direction_is_an_error() -> None:
    with pytest.raises(
        ConfigError, match=r"MeanMetric \(distance\) does not define its direction: set higher_is_better"
    ):
        _ = Score(MeanMetric(), "distance").info


def test_the_loss_is_averaged_by_its_count() -> None:
    loss = MeanLoss()
    for total, count in ((6.0, 3), (1.0, 1), (0.0, 0)):
        loss.update(torch.tensor(total), torch.tensor(count))
    assert loss.compute().item() == pytest.approx(7 / 4)
