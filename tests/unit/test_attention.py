"""Attention by hand, and what the decoder does with its options."""

import pytest
import torch

from sightseq.nets.attention import Attention
from sightseq.nets.decoder import Decoder
from sightseq.nets.translation import EncoderDecoder

QUERIES, VALUES = torch.randn(2, 3, 8), torch.randn(2, 5, 6)
MASK = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])


def test_multiplicative_scores() -> None:
    attention = Attention(8, 6)
    context, weights = attention(QUERIES, attention.key(VALUES), VALUES, MASK)
    for example, length in ((0, 5), (1, 2)):
        values = VALUES[example, :length]
        expected = (QUERIES[example] @ (values @ attention.key.weight.T).T / 8**0.5).softmax(1)
        torch.testing.assert_close(weights[example, :, :length], expected)
        torch.testing.assert_close(context[example], expected @ values)
        assert (weights[example, :, length:] == 0).all()


def test_additive_scores() -> None:
    attention = Attention(8, 6, "additive")
    context, weights = attention(QUERIES, attention.key(VALUES), VALUES, MASK)
    for position in range(3):
        features = torch.tanh(attention.query(QUERIES[0, position]) + attention.key(VALUES[0]))
        expected = (features @ attention.score).softmax(0)
        torch.testing.assert_close(weights[0, position], expected)
        torch.testing.assert_close(context[0, position], expected @ VALUES[0])


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_heads_attend_independently(kind: str) -> None:
    attention = Attention(8, 6, kind, heads=2)
    keys = attention.key(VALUES)
    context, _ = attention(QUERIES, keys, VALUES, MASK)
    changed = keys.clone()
    changed[..., 4:] += torch.randn(2, 5, 4)  # keys of the second head
    other, other_weights = attention(QUERIES, changed, VALUES, MASK)
    torch.testing.assert_close(other[..., :3], context[..., :3])
    assert not torch.allclose(other[..., 3:], context[..., 3:])
    torch.testing.assert_close(other_weights.sum(2), torch.ones(2, 3))
    with pytest.raises(ValueError, match="heads=3 must divide"):
        Attention(8, 6, kind, heads=3)


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_several_rows_share_the_memory_of_an_example(kind: str) -> None:
    attention = Attention(8, 6, kind)
    rows = torch.randn(6, 1, 8)  # three hypotheses of two examples
    context, weights = attention(rows, attention.key(VALUES), VALUES, MASK)
    repeated = [tensor.repeat_interleave(3, 0) for tensor in (VALUES, MASK)]
    expected = attention(rows, attention.key(repeated[0]), *repeated)
    torch.testing.assert_close((context, weights), expected)


def network(**arguments: object) -> EncoderDecoder:
    torch.manual_seed(0)
    sizes = {"embedding": 8, "encoder": [4], "decoder": [6]}
    return EncoderDecoder(**{"source_vocab_size": 9, "target_vocab_size": 9, **sizes, **arguments})


def test_embeddings_are_shared_only_with_a_joint_vocabulary() -> None:
    net = network(joint=True)
    assert net.encoder.embedding is net.decoder.embedding
    assert net.decoder.head.weight is net.decoder.embedding.weight
    assert network(joint=False).encoder.embedding is not network(joint=False).decoder.embedding
    apart = network(joint=True, shared=False, tied=False)
    assert apart.encoder.embedding is not apart.decoder.embedding
    assert apart.decoder.head.weight is not apart.decoder.embedding.weight


@pytest.mark.parametrize("input_feeding", [False, True])
def test_one_dropout_mask_for_all_positions(input_feeding: bool) -> None:
    net = network(output_dropout=0.5, input_feeding=input_feeding).train()
    memory, state = net.encode(torch.randint(9, (3, 5)), torch.tensor([5, 4, 2]))
    features, _, _ = net.features(torch.randint(9, (3, 7)), state, memory)
    dropped = features == 0
    assert (dropped == dropped[:, :1]).all()
    assert 0 < dropped.float().mean() < 1


def test_attention_after_every_layer_is_read_by_the_next_one() -> None:
    net = network(decoder=[6, 6], every_layer=True).eval()
    memory, state = net.encode(torch.randint(9, (1, 5)), torch.tensor([5]))
    assert len(memory["keys"]) == 2
    tokens = torch.randint(9, (1, 3))
    before, _, _ = net.features(tokens, state, memory)
    changed = {**memory, "keys": [torch.randn_like(memory["keys"][0]), memory["keys"][1]]}
    assert not torch.allclose(net.features(tokens, state, changed)[0], before)


def test_without_attention_the_source_is_in_the_initial_state() -> None:
    net = network(attention=None, bidirectional=False).eval()
    source, tokens = torch.randint(9, (2, 5)), torch.zeros(2, 3, dtype=torch.int64)
    memory, _ = net.encode(source, torch.tensor([5, 3]))
    assert memory == {}
    logits = net(source, torch.tensor([5, 3]), tokens)
    assert not torch.allclose(logits[0], logits[1])
    source[1, 3:] = 0
    torch.testing.assert_close(net(source, torch.tensor([5, 3]), tokens), logits)


def test_refused_options() -> None:
    with pytest.raises(TypeError, match="bidirectional"):
        Decoder(9, 8, bidirectional=True)
    with pytest.raises(ValueError, match="weight_dropout=0"):
        Decoder(9, 8, input_feeding=True, weight_dropout=0.2)


def test_input_feeding_passes_the_output_on() -> None:
    net = network(input_feeding=True).eval()
    memory, state = net.encode(torch.randint(9, (2, 5)), torch.tensor([5, 4]))
    tokens = torch.randint(9, (2, 1))
    features, after, _ = net.features(tokens, state, memory)
    torch.testing.assert_close(after["feed"], features[:, 0])
    other = {**state, "feed": torch.ones_like(state["feed"])}
    assert not torch.allclose(net.features(tokens, other, memory)[0], features)
