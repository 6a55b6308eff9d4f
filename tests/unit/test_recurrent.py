"""Recurrent layers and text classifiers, against torch's layers and by hand."""

from typing import Any

import pytest
import torch
from torch import nn

from sightseq.nets.recurrent import Embedding, Recurrent, drop_channels, reverse
from sightseq.nets.text import OneHotCNN, RecurrentClassifier, TextCNN

TOKENS, LENGTHS = torch.tensor([[3, 4, 5, 6, 0], [7, 8, 0, 0, 0], [1, 2, 3, 4, 5]]), torch.tensor([4, 2, 5])


def test_reverse_by_hand() -> None:
    x = torch.tensor([[1, 2, 3, 0], [1, 2, 0, 0]])[..., None]
    assert reverse(x, torch.tensor([3, 2]))[..., 0].tolist() == [[3, 2, 1, 0], [2, 1, 0, 0]]
    assert reverse(x, None)[..., 0].tolist() == [[0, 3, 2, 1], [0, 0, 2, 1]]
    assert torch.equal(reverse(reverse(x, torch.tensor([3, 2])), torch.tensor([3, 2])), x)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_both_directions_equal_packed_sequences(cell: Any) -> None:
    torch.manual_seed(0)
    net = Recurrent(10, embedding=6, hidden=[4, 3], cell=cell, bidirectional=True).eval()
    outputs, state = net.read(TOKENS, LENGTHS)
    assert outputs.shape == (3, 5, 6)
    assert state == []
    x = net.embedding(TOKENS)
    for depth in range(2):
        forward, backward = net.layers[depth], net.reverse_layers[depth]
        both = type(forward)(x.shape[2], forward.hidden_size, batch_first=True, bidirectional=True)
        both.load_state_dict(
            {**forward.state_dict(), **{f"{name}_reverse": value for name, value in backward.state_dict().items()}}
        )
        packed = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        x, _ = nn.utils.rnn.pad_packed_sequence(both(packed)[0], batch_first=True)
    real = torch.arange(5) < LENGTHS[:, None]
    torch.testing.assert_close(outputs[real], x[real])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_carrying_the_state_equals_one_long_pass(cell: Any) -> None:
    torch.manual_seed(0)
    net = Recurrent(10, embedding=6, hidden=[4, 3], cell=cell).eval()
    whole, end = net.read(TOKENS)
    state, parts = None, []
    for start, stop in ((0, 2), (2, 3), (3, 5)):
        part, state = net.read(TOKENS[:, start:stop], state=state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    torch.testing.assert_close(state, end)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_weight_dropout_applies_to_the_state_to_state_weights(cell: Any) -> None:
    torch.manual_seed(0)
    net = Recurrent(10, embedding=6, hidden=[4], cell=cell, weight_dropout=1.0)
    plain = Recurrent(10, embedding=6, hidden=[4], cell=cell)
    plain.load_state_dict(net.state_dict())
    nn.init.zeros_(plain.layers[0].weight_hh_l0)
    torch.testing.assert_close(net.train().read(TOKENS)[0], plain.read(TOKENS)[0])
    assert not torch.allclose(net.eval().read(TOKENS)[0], plain.read(TOKENS)[0])
    _, state = net.train().read(TOKENS)
    torch.testing.assert_close(net.read(TOKENS, state=state)[1], plain.read(TOKENS, state=state)[1])


def test_dropped_weights_get_gradients() -> None:
    net = Recurrent(10, embedding=6, hidden=[4], weight_dropout=0.5).train()
    net.read(TOKENS)[0].square().sum().backward()
    assert net.layers[0].weight_hh_l0.grad.abs().sum() > 0


def test_token_dropout_drops_all_occurrences_of_a_token() -> None:
    torch.manual_seed(0)
    found = Embedding(20, 8, token_dropout=0.5).train()(torch.arange(20).repeat(3, 1))
    dropped = (found == 0).all(2)
    assert 0 < dropped[0].sum() < 20
    assert torch.equal(dropped[0], dropped[1])
    assert torch.equal((found == 0).any(2), dropped)


@pytest.mark.parametrize("which", ["input_dropout", "output_dropout"])
def test_dropout_masks_are_the_same_for_all_positions(which: str) -> None:
    torch.manual_seed(0)
    net = Recurrent(10, embedding=6, hidden=[50], **{which: 0.5}).train()
    if which == "output_dropout":
        outputs, _ = net.read(TOKENS)
        dropped = outputs == 0
        assert 0.3 < dropped.float().mean() < 0.7
        assert torch.equal(dropped.all(1), dropped.any(1))
        assert not torch.equal(dropped[0], dropped[1])
    first, second = net.read(TOKENS)[0], net.read(TOKENS)[0]
    assert not torch.equal(first, second)
    assert torch.equal(net.eval().read(TOKENS)[0], net.read(TOKENS)[0])


def pooled(pooling: str, bidirectional: bool = False) -> tuple[torch.Tensor, torch.Tensor, RecurrentClassifier]:
    """The input of the head, the outputs of the recurrent layers, and the network."""
    torch.manual_seed(0)
    net = RecurrentClassifier(10, 2, pooling=[pooling], embedding=6, hidden=[4], bidirectional=bidirectional).eval()
    outputs, _ = net.read(TOKENS, LENGTHS)
    net.head = nn.Identity()
    return net(TOKENS, LENGTHS), outputs, net


def test_last_pooling_takes_the_end_of_each_direction() -> None:
    found, outputs, _ = pooled("last")
    torch.testing.assert_close(found, torch.stack([outputs[0, 3], outputs[1, 1], outputs[2, 4]]))
    found, outputs, _ = pooled("last", bidirectional=True)
    torch.testing.assert_close(found[:, :4], torch.stack([outputs[0, 3, :4], outputs[1, 1, :4], outputs[2, 4, :4]]))
    torch.testing.assert_close(found[:, 4:], outputs[:, 0, 4:])


def test_mean_max_and_attention_by_hand() -> None:
    for row, length in enumerate(LENGTHS.tolist()):
        found, outputs, _ = pooled("mean")
        torch.testing.assert_close(found[row], outputs[row, :length].mean(0))
        found, outputs, _ = pooled("max")
        torch.testing.assert_close(found[row], outputs[row, :length].amax(0))
        found, outputs, net = pooled("attention")
        weights = net.attention(outputs[row, :length]).softmax(0)
        torch.testing.assert_close(found[row], (weights * outputs[row, :length]).sum(0))


def test_convolutions_by_hand() -> None:
    torch.manual_seed(0)
    net = TextCNN(10, 2, embedding=3, filters=4, widths=[2]).eval()
    (convolution,) = net.convolutions
    text = nn.functional.pad(net.embedding(TOKENS[1, :2]), (0, 0, 1, 1))  # padding, 7, 8, padding
    windows = torch.stack([text[start : start + 2].T.flatten() for start in range(3)])
    outputs = windows @ convolution.weight.flatten(1).T + convolution.bias
    net.head = nn.Identity()
    torch.testing.assert_close(net(TOKENS, LENGTHS)[1], outputs.amax(0).relu())


def test_convolutions_over_words_equal_those_over_one_hot_vectors() -> None:
    torch.manual_seed(0)
    net = OneHotCNN(10, 2, filters=4, widths=[2, 3]).eval()
    nn.init.normal_(net.bias)
    net.head = nn.Identity()
    tables = net.embedding.weight.split(4, dim=1)  # [10, 4] for each position of each width
    for row, length in enumerate(LENGTHS.tolist()):
        words = nn.functional.one_hot(TOKENS[row, :length], 10).float().T
        found = []
        for width, places in ((2, tables[:2]), (3, tables[2:])):
            kernel = torch.stack([place.T for place in places], dim=2)
            found.append(nn.functional.conv1d(words, kernel, padding=width).amax(1))  # also an all-padding window
        torch.testing.assert_close(net(TOKENS, LENGTHS)[row], (torch.cat(found) + net.bias).relu())


def test_the_course_network_has_the_size_of_the_original() -> None:
    net = RecurrentClassifier(10_000, 2, embedding=32, hidden=[64], one_logit=True)
    # 10,000 x 32, then 4 gates of 64 x (32 + 64) with torch's two biases each, then 64 + 1
    assert sum(p.numel() for p in net.parameters()) == 320_000 + 4 * 64 * (32 + 64 + 2) + 65
    assert net(TOKENS, LENGTHS).shape == (3, 1)


@pytest.mark.parametrize("arguments", [{"hidden": []}, {"pooling": []}])
def test_empty_networks_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is empty"):
        RecurrentClassifier(10, 2, **arguments)


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 4, 7)])
def test_channels_are_dropped_in_all_positions(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.ones(shape)
    dropped = drop_channels(x, 0.5)
    assert (dropped == dropped[:, :1]).all()
    assert 0 < (dropped == 0).float().mean() < 1
    assert set(dropped.unique().tolist()) == {0, 2}
    assert not (dropped == dropped[..., :1]).all()
    assert drop_channels(x, 0.0) is x
