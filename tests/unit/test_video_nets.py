"""Networks that classify videos: ConvLSTM by hand, votes, streams, and what padding does in training."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sightseq.nets.feature_map import ConvFeatures
from sightseq.nets.recurrent import RecurrentLayers
from sightseq.nets.video import LRCN, AttentionLSTM, CausalNetwork, FrameNetwork, MeanPooling
from sightseq.nets.video_conv import ConvLSTM, ConvLSTMLayer, R2Plus1D, SpaceTime

CLASSES = 3


def encoder() -> ConvFeatures:
    return ConvFeatures(1, (8, 8), (4, 6))  # maps of 6 x 2 x 2


def make(cls: type[FrameNetwork], **arguments: Any) -> Any:
    torch.manual_seed(0)
    return cls(CLASSES, encoder=encoder(), **arguments).eval()  # type: ignore[call-arg]  # of the networks, not of nn.Module


def clips() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 5, 1, 8, 8, generator=generator), torch.tensor([5, 2, 3])


# ConvLSTM


def test_conv_lstm_by_hand() -> None:
    torch.manual_seed(0)
    layer = ConvLSTMLayer(2, 3, (4, 5))
    nn.init.normal_(layer.peepholes)
    maps = torch.randn(2, 3, 2, 4, 5)
    h = c = torch.zeros(2, 3, 4, 5)
    outputs, (last_h, last_c) = layer(maps, h, c)
    w_x, w_h, bias = layer.project.weight.split(3), layer.recurrent.weight.split(3), layer.project.bias.split(3)
    peep = layer.peepholes
    for step in range(3):  # equation 3 of Shi et al., 2015, gate by gate

        def convolved(gate: int, step: int = step, h: torch.Tensor = h) -> torch.Tensor:
            return F.conv2d(maps[:, step], w_x[gate], bias[gate], padding=1) + F.conv2d(h, w_h[gate], padding=1)

        i = torch.sigmoid(convolved(0) + peep[0] * c)
        f = torch.sigmoid(convolved(1) + peep[1] * c)
        c = f * c + i * torch.tanh(convolved(2))
        o = torch.sigmoid(convolved(3) + peep[2] * c)
        h = o * torch.tanh(c)
        torch.testing.assert_close(outputs[:, step], h)
    torch.testing.assert_close((last_h, last_c), (h, c))


def test_conv_lstm_of_one_position_is_an_lstm() -> None:
    torch.manual_seed(0)
    layer, lstm = ConvLSTMLayer(2, 3, (1, 1), kernel=1), nn.LSTM(2, 3, batch_first=True)
    with torch.no_grad():  # torch's order of the gates is the same: input, forget, new, output
        layer.project.weight.copy_(lstm.weight_ih_l0[..., None, None])
        layer.recurrent.weight.copy_(lstm.weight_hh_l0[..., None, None])
        layer.project.bias.copy_(lstm.bias_ih_l0 + lstm.bias_hh_l0)
    x = torch.randn(2, 4, 2)
    zero = torch.zeros(2, 3, 1, 1)
    outputs, _ = layer(x[..., None, None], zero, zero)
    torch.testing.assert_close(outputs[..., 0, 0], lstm(x)[0])


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="must be odd"):
        ConvLSTMLayer(2, 3, (4, 4), kernel=2)


# Reading in time


@pytest.mark.parametrize(
    ("vote", "expected"),
    [
        ("last", [[0.0, 3.0, 0.0], [2.0, 0.0, 0.0]]),
        ("logits", [[1.0, 1.0, 0.0], [2.0, 0.0, 0.0]]),
    ],
)
def test_votes_by_hand(vote: str, expected: list[list[float]]) -> None:
    net = make(LRCN, vote=vote)
    logits = torch.tensor([[[3.0, 0, 0], [0, 0, 0], [0, 3, 0]], [[2, 0, 0], [9, 9, 9], [9, 9, 9]]])
    torch.testing.assert_close(net.combine(logits, torch.tensor([3, 1])), torch.tensor(expected))


def test_mean_probabilities_by_hand() -> None:
    net = make(LRCN, vote="probabilities")
    logits = torch.tensor([[[3.0, 0, 0], [0, 1, 0], [7, 7, 8]]])
    mean = (logits[0, 0].softmax(0) + logits[0, 1].softmax(0)) / 2
    torch.testing.assert_close(net.combine(logits, torch.tensor([2])).exp()[0], mean)


@pytest.mark.parametrize("cls", [LRCN, ConvLSTM])
def test_a_stream_gives_the_logits_of_the_whole_clip(cls: type[CausalNetwork]) -> None:
    net = make(cls, hidden=[4, 3], vote="last")
    whole, lengths = clips()
    features = net.features(whole, lengths)
    state, logits = net.begin(features), []
    for frame in features.unbind(1):
        found, state = net.stream(frame[:, None], state)
        logits.append(found[:, 0])
    torch.testing.assert_close(net(whole, lengths), torch.stack(logits, 1)[torch.arange(3), lengths - 1])


def test_attention_pooling_ignores_padding_and_weights_sum_to_one() -> None:
    net = make(AttentionLSTM, hidden=[4])
    whole, lengths = clips()
    alone = torch.cat(
        [net(whole[row : row + 1, :length], torch.tensor([length])) for row, length in enumerate([5, 2, 3])]
    )
    torch.testing.assert_close(net(whole, lengths), alone)
    nn.init.zeros_(net.reader.attention.weight)  # equal weights: the mean of the outputs
    outputs, _ = net.reader.read(net.features(whole, lengths), lengths)
    mean = torch.stack([outputs[row, :length].mean(0) for row, length in enumerate([5, 2, 3])])
    torch.testing.assert_close(net(whole, lengths), net.reader.head(mean))


def test_mean_pooling_does_not_know_the_order() -> None:
    net = make(MeanPooling)
    whole, _ = clips()
    lengths = torch.tensor([5, 5, 5])
    torch.testing.assert_close(net(whole.flip(1), lengths), net(whole, lengths))
    assert not torch.allclose(make(LRCN)(whole.flip(1), lengths), make(LRCN)(whole, lengths))


def test_flattened_maps_keep_positions() -> None:
    assert make(LRCN, pool="flatten").width == 6 * 2 * 2
    assert make(LRCN, pool="mean").width == 6
    assert make(ConvLSTM).width == 6


def test_training_does_not_encode_padding() -> None:
    whole, lengths = clips()
    nets = [make(LRCN).train() for _ in range(2)]
    other = whole.clone()
    other[1, 2:] = 100  # padding
    outputs = [net(one, lengths) for net, one in zip(nets, (whole, other), strict=True)]
    torch.testing.assert_close(*outputs)
    statistics = [net.encoder.layers[1].running_mean for net in nets]
    torch.testing.assert_close(*statistics)
    features = nets[0].features(whole, lengths)
    assert (features[1, 2:] == 0).all()


def test_recurrent_layers_read_vectors() -> None:
    layers = RecurrentLayers(4, hidden=[5])
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(layers.read(x)[0], layers.layers[0](x)[0])
    assert not list(layers.embedding.parameters())


# R(2+1)D


def test_split_convolutions_have_as_many_weights_as_whole_ones() -> None:
    layer = SpaceTime(64, 64, 1, 1)
    weights = layer.space.weight.numel() + layer.time.weight.numel()
    assert layer.space.out_channels == 144  # as in the paper
    assert weights == pytest.approx(27 * 64 * 64, rel=0.01)


def test_r2plus1d_halves_frames_and_ignores_padding() -> None:
    torch.manual_seed(0)
    net = R2Plus1D(1, CLASSES, channels=(4, 4, 4), stem_stride=1).eval()
    whole, lengths = clips()
    shapes = []
    for block in net.blocks:
        block.register_forward_hook(lambda block, inputs, outputs: shapes.append(outputs[0].shape[1]))
    alone = torch.cat(
        [net(whole[row : row + 1, :length], torch.tensor([length])) for row, length in enumerate([5, 2, 3])]
    )
    assert shapes[:3] == [5, 3, 2]
    torch.testing.assert_close(net(whole, lengths), alone, rtol=1e-4, atol=1e-5)
