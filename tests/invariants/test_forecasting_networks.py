"""No network that forecasts sees what follows the forecast origin, known covariates apart."""

import pytest
import torch

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.places import group_options
from sightseq.core.task import Task

from .conftest import task_classes

MODELS = {cls.net_kind: (model, cls) for model, cls in task_classes().items()}
NETS = [option for option in group_options("model/net") if option.startswith("forecasting/")]


@pytest.mark.parametrize("normalisation", ["window", "last", "none"])
@pytest.mark.parametrize("option", NETS)
def test_replacing_the_future_changes_no_forecast(option: str, normalisation: str) -> None:
    model, cls = MODELS["forecasting"]
    spec, batch = cls.example()
    changes = [f"model={model}", f"model/net={option}", f"model.normalisation={normalisation}", "augment=none"]
    torch.manual_seed(0)
    task = build(compose(*changes)["model"], Task, "model", spec=spec.to_dict()).eval()
    task.offsets.normal_()  # as after a validation
    # The target is only for the loss; the network is called with `input` and `known` alone.
    other = {name: torch.flip(column, [0]) for name, column in batch.items()}
    future = batch | {name: other[name] for name in batch if name not in ("input", "known", "index")}
    future["target"] = -3 * other["target"] + 100
    with torch.no_grad():
        found, changed = (task.step(one, "test").values for one in (batch, future))
        for name in ("prediction", "quantiles"):
            assert torch.equal(found[name], changed[name])
        assert torch.equal(task.predict_step(batch), found["quantiles"])
