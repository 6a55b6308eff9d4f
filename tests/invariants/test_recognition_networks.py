"""Causal recognisers, by discovery: a part is read as in the whole sequence, and no later frame is seen."""

from typing import Any

import pytest
import torch

from sightseq.catalogue import read
from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.places import group_options
from sightseq.core.task import Task

from .conftest import task_classes

MODELS = {
    cls.net_kind: (model, cls) for model, cls in reversed(task_classes().items()) if cls.net_kind == "recognition"
}
NETS = {option: read(file) for option, file in group_options("model/net").items() if option.startswith("recognition/")}
CAUSAL = [option for option, net in NETS.items() if net.get("causal")]


def test_there_is_a_causal_network() -> None:
    assert "recognition/streaming" in CAUSAL


@pytest.mark.parametrize("option", CAUSAL)
@torch.no_grad()
def test_a_causal_network_reads_a_stream(option: str) -> None:
    model, cls = MODELS["recognition"]
    spec, batch = cls.example()
    torch.manual_seed(0)
    task: Any = build(
        compose(f"model={model}", f"model/net={option}", "augment=none")["model"], Task, "model", spec=spec.to_dict()
    )
    net = task.eval().net
    features, _ = task.features(batch)
    length = features.shape[3] // net.reduction * net.reduction
    whole, _ = net(features[..., :length], torch.full((len(features),), length))
    state, parts = None, []
    for part in features[..., :length].split(net.reduction, dim=3):
        logits, state = net.stream(part, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    changed = features[..., :length].clone()
    changed[..., -net.reduction :] += 1
    other, _ = net(changed, torch.full((len(features),), length))
    assert torch.equal(other[:, :-1], whole[:, :-1])
    assert not torch.equal(other[:, -1], whole[:, -1])
