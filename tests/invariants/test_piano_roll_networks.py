"""Properties of every piano-roll network that has a config: a joint network reads higher keys only, drawn frames are
those of its logits, and given keys stay.
"""

import pytest
import torch
from torch import nn

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.loading import Batch
from sightseq.core.places import group_options
from sightseq.tasks.piano_roll.task import PianoRollTask

NETS = [option for option in group_options("model/net") if option.startswith("piano_roll/")]


def make(option: str) -> tuple[PianoRollTask, Batch]:
    """A task with large random weights, so that many keys sound, and its example."""
    spec, batch = PianoRollTask.example()
    config = compose("model=piano_roll", f"model/net={option}", "augment=none")["model"]
    torch.manual_seed(0)
    task = build(config, PianoRollTask, "model", spec=spec.to_dict())
    for parameter in task.net.parameters():
        nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1)
    return task.eval(), batch


def test_there_are_both_kinds() -> None:
    assert {make(option)[0].net.head.joint for option in NETS} == {False, True}


@pytest.mark.parametrize("option", NETS)
@torch.no_grad()
def test_no_key_reads_itself_or_a_lower_key(option: str) -> None:
    task, batch = make(option)
    target = batch["target"]
    before, _ = task(batch["input"], None, target)
    for key in (0, 37, 87):
        changed = target.clone()
        changed[:, 2, key] = 1 - changed[:, 2, key]
        after, _ = task(batch["input"], None, changed)
        different = (after - before).abs() > 1e-5
        assert not different[:, [0, 1, 3, 4, 5, 6, 7]].any()
        assert not different[:, 2, key:].any()
        assert different[:, 2, :key].any() == (task.net.head.joint and key > 0)


@pytest.mark.parametrize("option", NETS)
@torch.no_grad()
def test_drawn_frames_follow_the_logits_and_keep_given_keys(option: str) -> None:
    task, batch = make(option)
    features, _ = task.net.features(batch["input"].float())
    features = features.flatten(0, 1)
    given = torch.full((len(features), 88), -1)
    given[:, 60], given[:, 30] = 1, 0
    for fixed, free in ((None, range(88)), (given, [key for key in range(88) if key not in (30, 60)])):
        frames = task.net.head.sample(features, temperature=0.0, given=fixed)
        assert 0.01 < frames.mean() < 0.99
        logits = task.net.head(features, frames)
        assert torch.equal(frames[:, list(free)], (logits[:, list(free)] > 0).float())
        if fixed is not None:
            assert (frames[:, 60] == 1).all()
            assert (frames[:, 30] == 0).all()
