"""Piano-roll networks: joint heads by hand and by brute force, equivariance to transposition, dropout, drawing."""

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sightseq.nets.piano_roll import Clock, RecurrentPianoRoll, Repetition, TiedPianoRoll
from sightseq.nets.piano_roll_heads import NADE, Independent, Intervals, TiedNADE, draw

SMALL: dict[str, Any] = {"context": 4, "hidden": [5], "reach": 3, "waves": 2}


def nets(keys: int) -> list[nn.Module]:
    torch.manual_seed(0)
    made = [
        RecurrentPianoRoll(keys, hidden=[6, 5]),
        RecurrentPianoRoll(keys, hidden=[6], nade=4, periods=[2, 4]),
        TiedPianoRoll(keys, **SMALL),
        TiedPianoRoll(keys, nade=6, periods=[4], lags=[1, 3], **SMALL),
    ]
    for net in made:
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.7)
    return [net.eval() for net in made]


def all_frames(keys: int) -> Tensor:
    return torch.tensor(list(product([0.0, 1.0], repeat=keys)))


@pytest.mark.parametrize("number", range(4))
@torch.no_grad()
def test_probabilities_of_all_frames_sum_to_one(number: int) -> None:
    net = nets(6)[number]
    frames = all_frames(6)  # [64, 6]
    past = torch.randint(0, 2, (1, 3, 6)).float()
    features, _ = net.features(past)
    logits = net.head(features[:, -1].expand(len(frames), *features.shape[2:]), frames)
    log_chance = -nn.functional.binary_cross_entropy_with_logits(logits, frames, reduction="none").sum(1)
    assert log_chance.exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("number", [1, 3])
@torch.no_grad()
def test_a_joint_network_reads_higher_keys_only(number: int) -> None:
    net, (past, target) = nets(7)[number], torch.randint(0, 2, (2, 3, 4, 7)).float()
    before, _ = net(past, None, target)
    for key in range(7):
        changed = target.clone()
        changed[:, 1, key] = 1 - changed[:, 1, key]
        after, _ = net(past, None, changed)
        same = (after == before).all(0)  # [T, K]
        torch.testing.assert_close(after[:, 1, key:], before[:, 1, key:])
        assert same[[0, 2, 3]].all()
        assert not same[1, :key].any()


@pytest.mark.parametrize("number", range(4))
@torch.no_grad()
def test_drawn_frames_have_the_probabilities_of_the_logits(number: int) -> None:
    net = nets(3)[number]
    features, _ = net.features(torch.ones(1, 2, 3))
    frames = all_frames(3)
    feature = features[:, -1]
    logits = net.head(feature.expand(8, *feature.shape[1:]), frames)
    expected = (-nn.functional.binary_cross_entropy_with_logits(logits, frames, reduction="none").sum(1)).exp()
    rows = feature.expand(20_000, *feature.shape[1:])
    drawn = net.head.sample(rows, 1.0, torch.Generator().manual_seed(0))
    found = torch.bincount((drawn @ torch.tensor([4.0, 2, 1])).long(), minlength=8) / len(rows)
    torch.testing.assert_close(found, expected, atol=0.015, rtol=0)


@pytest.mark.parametrize("number", range(4))
@torch.no_grad()
def test_given_keys_are_kept_and_the_rest_is_greedy(number: int) -> None:
    net = nets(6)[number]
    features, _ = net.features(torch.randint(0, 2, (5, 3, 6)).float())
    feature = features[:, -1]
    given = torch.full((5, 6), -1)
    given[:, 4], given[:, 1] = 1, 0
    frames = net.head.sample(feature, temperature=0.0, given=given)
    assert (frames[:, 4] == 1).all()
    assert (frames[:, 1] == 0).all()
    logits = net.head(feature, frames)
    free = [0, 2, 3, 5]
    assert torch.equal(frames[:, free], (logits[:, free] > 0).float())


@torch.no_grad()
def test_nade_by_hand() -> None:
    head = NADE(2, 3, 1)
    for name, values in (("weight", [[1.0], [2], [3]]), ("output", [[1.0], [-1], [2]])):
        getattr(head, name).copy_(torch.tensor(values))
    for layer, bias in ((head.hidden_bias, [0.5]), (head.visible_bias, [0.1, 0.2, 0.3])):
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor(bias))
    logits = head(torch.zeros(1, 2), torch.tensor([[1.0, 0, 1]]))
    hidden = torch.tensor([3.5, 3.5, 0.5]).sigmoid()  # the highest key sounds, the middle one does not
    torch.testing.assert_close(logits[0], torch.tensor([0.1, 0.2, 0.3]) + hidden * torch.tensor([1.0, -1, 2]))


@torch.no_grad()
def test_intervals_by_hand() -> None:
    layer = Intervals(15, 1, reach=1)
    layer.near.copy_(torch.tensor([[1.0], [10], [100]]))  # a semitone below, the same key, a semitone above
    layer.octaves.zero_()
    layer.octaves[2] = 1000  # two semitones above, ten below, fourteen above
    layer.sides.copy_(torch.tensor([[0.5], [0.25]]))  # any higher key, any lower key
    found = layer(torch.eye(15)[7])[:, 0]  # key 7 alone sounds
    expected = torch.tensor([0.5] * 8 + [0.25] * 7)
    for key, weight in ((8, 1), (7, 10), (6, 100), (5, 1000)):
        expected[key] += weight
    torch.testing.assert_close(found, expected)
    assert layer(torch.eye(15)[14])[0, 0] == 1000.5
    above = Intervals(15, 1, reach=1, above=True)
    assert above(torch.eye(15)[7])[7:].abs().sum() == 0
    torch.testing.assert_close(above.weight()[7], above.weight(7))


@pytest.mark.parametrize("nade", [0, 6])
@torch.no_grad()
def test_a_tied_network_is_equivariant_to_transposition(nade: int) -> None:
    net = nets(40)[3 if nade else 2]
    net.pitch.weight.zero_()
    past, target = torch.zeros(2, 2, 5, 40)
    past[..., [18, 21, 25]], target[..., [17, 21, 26]] = 1, 1
    logits, _ = net(past, None, target)
    moved, _ = net(past.roll(4, -1), None, target.roll(4, -1))
    torch.testing.assert_close(moved[..., 4:], logits[..., :-4])


@torch.no_grad()
def test_pitch_classes_are_read_on_demand() -> None:
    torch.manual_seed(0)
    net = TiedPianoRoll(40, pitch_class=True, **SMALL)
    nn.init.normal_(net.pitch.weight)
    net.pitch.weight[:, :2] = 0  # the waves
    logits, _ = net(torch.zeros(1, 2, 40))
    torch.testing.assert_close(logits[..., 12:], logits[..., :-12])
    assert (logits[..., 1:] != logits[..., :-1]).all()


@torch.no_grad()
def test_pitch_and_position_are_read() -> None:
    net = nets(40)[3]
    past = torch.zeros(1, 6, 40)
    logits, _ = net(past)
    assert (logits[..., 1:] != logits[..., :-1]).all()
    still = Clock([4, 8])
    waves = still(torch.tensor([[[3.0], [7.0]]]), 2)
    torch.testing.assert_close(waves[0, 1, [0, 2]], torch.tensor([0.0, 1.0]))  # frame 4 of a period of 4
    torch.testing.assert_close(waves[0, :, [0, 2]], waves[1, :, [0, 2]], atol=1e-6, rtol=0)
    assert Clock([])(torch.zeros(1, 2, 1), 3).shape == (2, 3, 0)


@torch.no_grad()
def test_repetition_by_hand() -> None:
    layer = Repetition([2, 4], window=2)
    assert layer.history == 6
    roll = torch.eye(3)[[0, 1, 2, 0, 1, 0, 1, 0, 1, 0]][None]  # the keys 0 and 1 in turn from frame 3
    keys, weights = layer(roll)  # the predicted frames are 7, 8, 9 and 10
    # The last two frames before frame 7 (5 and 6) are 0, 1; those two frames earlier are 0, 1; those four earlier 1, 2.
    torch.testing.assert_close(weights[0, 0], torch.tensor([0.0, -2.0]).exp())
    torch.testing.assert_close(weights[0, 2], torch.tensor([0.0, -0.0]).exp())
    assert keys[0, 0, :, 0].tolist() == [1, 0, 0]  # frame 5
    torch.testing.assert_close(keys[0, 0, :, 1], math.exp(-2) * torch.tensor([1.0, 0, 0]))  # frame 3
    assert keys[0, 3, :, 0].tolist() == [0, 1, 0]  # frame 8


@pytest.mark.parametrize("number", range(4))
@torch.no_grad()
def test_continuing_from_the_state_equals_reading_at_once(number: int) -> None:
    net, past = nets(6)[number], torch.randint(0, 2, (3, 7, 6)).float()
    whole, end = net(past)
    state, steps = None, []
    for frame in past.unbind(1):
        logits, state = net(frame[:, None], state)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole)
    torch.testing.assert_close(state, end)


def test_dropout_only_in_training() -> None:
    torch.manual_seed(0)
    for net in (RecurrentPianoRoll(4, hidden=[3], dropout=0.5), TiedPianoRoll(4, dropout=0.5, **SMALL)):
        frames = torch.ones(5, 6, 4)
        assert not torch.equal(net(frames)[0], net(frames)[0])
        net.eval()
        assert torch.equal(net(frames)[0], net(frames)[0])


def test_at_temperature_zero_the_more_probable_value_is_taken() -> None:
    logits = torch.tensor([[-0.1, 0.1, 3.0]])
    assert draw(logits, 0.0, None).tolist() == [[0, 1, 1]]
    hot = draw(logits.expand(10_000, 3), 10.0, torch.Generator().manual_seed(0)).mean(0)
    torch.testing.assert_close(hot, (logits[0] / 10).sigmoid(), atol=0.02, rtol=0)


@pytest.mark.parametrize("cls", [RecurrentPianoRoll, TiedPianoRoll])
def test_empty_layers_are_refused(cls: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="hidden is empty"):
        cls(88, hidden=[])


def test_lags_are_at_least_one_frame() -> None:
    with pytest.raises(ValueError, match="lags"):
        TiedPianoRoll(88, lags=[0])


def test_the_course_network_has_the_course_layers() -> None:
    net = RecurrentPianoRoll(88)
    assert [layer.hidden_size for layer in net.layers] == [128, 128]
    assert isinstance(net.head, Independent)
    assert isinstance(TiedPianoRoll(88, nade=4).head, TiedNADE)
    # LSTM: 4 gates of inputs, states and two biases
    first, second = 4 * 128 * (88 + 128 + 2), 4 * 128 * (128 + 128 + 2)
    assert sum(weight.numel() for weight in net.parameters()) == first + second + 129 * 88


@pytest.mark.parametrize("number", range(4))
def test_averaging_the_weights_averages_no_integers(number: int) -> None:
    """EMA averages buffers too; integers would be rounded down at each step."""
    assert all(buffer.is_floating_point() for buffer in nets(6)[number].buffers())
