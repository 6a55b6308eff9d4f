"""The base class of tasks: the output of `decode` is scored in validation and test, and never in training."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

import sightseq
from sightseq.core.loading import Batch
from sightseq.core.scores import Score
from sightseq.core.task import Task
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.language_modeling.task import LanguageModelingTask, TopKAccuracy


class Decoding(ImageClassificationTask):
    """Decodes a rank for each image; counts the calls of `decode`."""

    asked = 0

    def decode(self, batch: Batch, stage: str) -> Mapping[str, Tensor]:
        Decoding.asked += 1
        return {"rank": torch.zeros(len(batch["index"]), dtype=torch.long)}

    def scores(self, stage: str) -> Mapping[str, Score]:
        found = {"decoded": Score(TopKAccuracy(1), "decoded", ("rank", "target"), percent=True)}
        return {**super().scores(stage), **({} if stage == "train" else found)}


def test_decoded_outputs_are_scored_outside_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.core.build._trusted", {"sightseq", "torch", "torchmetrics", "lightning", "tests"})
    config: dict[str, Any] = sightseq.compose(
        *("data.synthetic=true", "trainer.max_epochs=1", "baseline=none", "callbacks=default", "augment=none"),
        *("model/net=image/convnet", "model.net.channels=[4]", f"model._target_={__name__}.Decoding"),
    )
    results = sightseq.train(config | {"run_test": True})
    assert results["val"]["decoded"] == results["test"]["decoded"] == 1
    assert "decoded" not in results["train"]
    assert Decoding.asked == 3  # validation after the epoch, validation of the best weights, test


@pytest.mark.parametrize("kind", [ImageClassificationTask, LanguageModelingTask])
def test_size_does_not_count_padding(kind: type[Task]) -> None:
    spec, batch = kind.example()
    net = {"_target_": "torch.nn.Identity"}
    task = kind(spec=spec.to_dict(), net=net)
    whole = task.size(batch)
    half = {name: value[: len(value) // 2] for name, value in batch.items()}
    assert 0 < task.size(half) < whole
    batch["index"][0], batch["target"][0] = -1, -1
    assert task.size(batch) == whole - whole // len(batch["index"])
