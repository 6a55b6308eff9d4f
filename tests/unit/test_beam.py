"""Beam search: golden numbers on automata, and comparison with an exhaustive and with a naive search."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from torch import Tensor

from sightseq.decoding.beam import BeamSearch, beam_search
from sightseq.decoding.hypotheses import Hypothesis

EOS, A, B, C = range(4)


def texts(found: list[Hypothesis]) -> list[list[int]]:
    return [hypothesis.tokens for hypothesis in found]


class Automaton:
    """Probabilities of the next token that depend on the example, the position and the last two tokens.

    The state holds the token before the last one and the position [1, N, 2], and as attention weights one of several
    rows, chosen by the last two tokens. The memory holds the tables of each example.
    """

    def __init__(self, examples: int, vocab_size: int = 4, sources: int = 3, seed: int = 0, sharp: float = 1.5) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (examples, vocab_size, vocab_size)
        tables = sharp * torch.randn(*shape, vocab_size, generator=generator)
        weights = torch.randn(*shape, sources, generator=generator).softmax(-1)
        self.drift = 0.5 * torch.randn(50, vocab_size, generator=generator)  # no two texts are equally probable
        mask = torch.ones(examples, sources, dtype=torch.bool)
        self.memory = {"tables": [(tables, weights)], "mask": mask}
        self.start = {"read": torch.zeros(1, examples, 2), "attention": torch.zeros(examples, sources)}
        self.rows: list[int] = []  # rows of each step

    def __call__(self, tokens: Tensor, state: dict[str, Tensor], memory: Any) -> tuple[Tensor, dict[str, Tensor]]:
        assert tokens.shape[1] == 1
        self.rows.append(len(tokens))
        ((tables, weights),) = memory["tables"]
        example = torch.arange(len(tables)).repeat_interleave(len(tokens) // len(tables))
        before, position = state["read"][0].long().unbind(1)
        place = example, before, tokens[:, 0]
        read = torch.stack([tokens[:, 0], position + 1], 1)[None].float()
        return (tables[place] + self.drift[position])[:, None], {"read": read, "attention": weights[place]}

    def log_p(self, example: int, tokens: Sequence[int]) -> Tensor:
        """The log-probabilities of the token after these [vocab_size]."""
        ((tables, _),) = self.memory["tables"]
        padded = [EOS, EOS, *tokens]
        logits: Tensor = tables[example][padded[-2], padded[-1]] + self.drift[len(tokens)]
        return logits.log_softmax(0)

    def search(
        self, settings: BeamSearch, examples: Sequence[int] | None = None, **more: Any
    ) -> list[list[Hypothesis]]:
        self.rows.clear()
        chosen = torch.arange(self.start["read"].shape[1]) if examples is None else torch.tensor(examples)
        ((tables, weights),) = self.memory["tables"]
        memory = {"tables": [(tables[chosen], weights[chosen])], "mask": self.memory["mask"][chosen]}
        state = {"read": self.start["read"][:, chosen], "attention": self.start["attention"][chosen]}
        return beam_search(self, state, memory, len(chosen), settings, **more)


def excluded(tokens: tuple[int, ...], token: int, settings: BeamSearch, prefix: Sequence[int]) -> bool:
    """Whether a token may not follow these."""
    if len(tokens) < len(prefix):
        return token != prefix[len(tokens)]
    n = settings.no_repeat_ngram
    ngrams = [tokens[place : place + n] for place in range(len(tokens) - n + 1)] if n else []
    return (
        (token == EOS and len(tokens) < settings.min_length)
        or token in settings.forbidden
        or (token != EOS and (*tokens, token)[-n:] in ngrams)
    )


def naive(
    automaton: Automaton, example: int, settings: BeamSearch, limit: int, prefix: Sequence[int] = ()
) -> list[tuple[float, float, tuple[int, ...]]]:
    """Search until the beam is empty, without a stop rule: (score, log-probability, tokens with the end), sorted."""
    ((_, weights),) = automaton.memory["tables"]
    mask = automaton.memory["mask"][example]
    beam: list[tuple[float, tuple[int, ...], Tensor]] = [(0.0, (), torch.zeros(len(mask)))]
    finished = []
    while beam:
        extensions = []
        for total, tokens, coverage in beam:
            covered = coverage + weights[example][[EOS, EOS, *tokens][-2], [EOS, *tokens][-1]]
            for token, log_p in enumerate(automaton.log_p(example, tokens).tolist()):
                if not excluded(tokens, token, settings, prefix):
                    extensions.append((total + log_p, (*tokens, token), covered))
        extensions.sort(key=lambda extension: -extension[0])
        beam = []
        for total, tokens, coverage in extensions[: settings.size]:
            if tokens[-1] == EOS or len(tokens) == limit:
                term = coverage[mask].clamp(max=1).log().sum().item() if settings.coverage_penalty else 0.0
                score = total / len(tokens) ** settings.length_penalty + settings.coverage_penalty * term
                finished.append((score, total, tokens))
            else:
                beam.append((total, tokens, coverage))
    return sorted(finished, key=lambda found: -found[0])[: settings.size]


def check(found: list[Hypothesis], expected: list[tuple[float, float, tuple[int, ...]]]) -> None:
    assert [[*hypothesis.tokens, *[EOS] * hypothesis.ended] for hypothesis in found] == [
        list(tokens) for *_, tokens in expected
    ]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, *_ in expected], abs=1e-4)
    assert [hypothesis.log_probability for hypothesis in found] == pytest.approx(
        [total for _, total, _ in expected], abs=1e-4
    )


# By hand

# Greedy takes A (0.5), after which everything is improbable; B is followed by the end almost surely.
BY_HAND = torch.tensor(
    [
        [0.05, 0.5, 0.45, 0.0],  # the start
        [0.3, 0.3, 0.4, 0.0],  # after A
        [0.9, 0.1, 0.0, 0.0],  # after B
        [1.0, 0.0, 0.0, 0.0],
    ]
).log()


def by_hand(tokens: Tensor, state: None) -> tuple[Tensor, None]:
    return BY_HAND[tokens], state


def test_golden_numbers_by_hand() -> None:
    (found,) = beam_search(by_hand, None, None, 1, BeamSearch(size=1, max_length=9))
    assert texts(found) == [[A, B]]
    assert found[0].log_probability == pytest.approx(math.log(0.5 * 0.4 * 0.9))
    (found,) = beam_search(by_hand, None, None, 1, BeamSearch(size=2, max_length=9, length_penalty=0))
    assert texts(found) == [[B], [A, B]]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([math.log(0.405), math.log(0.18)])
    (found,) = beam_search(by_hand, None, None, 1, BeamSearch(size=3, max_length=9, length_penalty=1))
    # At the first position the end is the third best; then B <eos> 0.405, A B 0.2 and A <eos> 0.15 or A A 0.15.
    assert found[0].tokens == [B]
    assert found[0].score == pytest.approx(math.log(0.405) / 2)
    assert all(hypothesis.ended for hypothesis in found)


def test_a_larger_length_penalty_prefers_longer_texts() -> None:
    lengths = []
    for penalty in (0.0, 1.0, 2.0):
        (found,) = beam_search(by_hand, None, None, 1, BeamSearch(size=50, max_length=6, length_penalty=penalty))
        lengths.append(len(found[0].tokens))
    assert lengths[0] == 1
    assert lengths == sorted(lengths)
    assert lengths[2] > 1


def test_a_text_is_cut_off_at_the_maximum_length() -> None:
    endless = torch.tensor([-50.0, 0.0, -1.0, -1.0])

    def step(tokens: Tensor, state: None) -> tuple[Tensor, None]:
        return endless.expand(*tokens.shape, 4), state

    (found,) = beam_search(step, None, None, 1, BeamSearch(size=2, max_length=3))
    assert found[0].tokens == [A, A, A]
    assert not found[0].ended
    settings = BeamSearch(size=2, max_length=torch.tensor([1, 4]))
    assert [len(found[0].tokens) for found in beam_search(step, None, None, 2, settings)] == [1, 4]


# Compared with other searches


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
def test_size_1_is_greedy(penalty: float) -> None:
    automaton = Automaton(20, vocab_size=6)
    found = automaton.search(BeamSearch(size=1, max_length=8, length_penalty=penalty))
    for example, (hypothesis,) in enumerate(found):
        tokens: list[int] = []
        while len(tokens) < 8 and EOS not in tokens:
            tokens.append(int(automaton.log_p(example, tokens).argmax()))
        assert [*hypothesis.tokens, *[EOS] * hypothesis.ended] == tokens


VARIANTS = [
    {},
    {"length_penalty": 0.0},
    {"length_penalty": 2.0},
    {"coverage_penalty": 0.5},
    {"coverage_penalty": 2.0, "length_penalty": 0.6},
    {"min_length": 3},
    {"min_length": 2, "forbidden": (B,)},
    {"no_repeat_ngram": 1},
    {"no_repeat_ngram": 2},
    {"no_repeat_ngram": 3, "min_length": 2},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_full_beam_finds_the_best_of_all_texts(variant: dict[str, Any]) -> None:
    automaton = Automaton(4)
    settings = BeamSearch(size=4**5, max_length=5, **variant)
    for example, found in enumerate(automaton.search(settings)):
        everything = naive(automaton, example, replace(settings, size=10**9), 5)
        if not variant:  # each text of up to 4 tokens with its end, and all of 5 tokens
            assert len(everything) == sum(1 for n in range(6) for _ in product((A, B, C), repeat=n))
        check(found, everything)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_stop_rule_loses_nothing(variant: dict[str, Any], size: int) -> None:
    automaton = Automaton(12, vocab_size=5, seed=size)
    settings = BeamSearch(size=size, max_length=12, **variant)
    for example, found in enumerate(automaton.search(settings)):
        assert len(found) <= size
        check(found, naive(automaton, example, settings, 12))


def test_maximum_lengths_and_prefixes_of_each_example() -> None:
    automaton = Automaton(6, vocab_size=5)
    limits, prefixes = torch.tensor([3, 9, 4, 12, 5, 4]), [[A], [B, B, A], [], [C, A], [B, EOS], [A, A, B, C]]
    settings = BeamSearch(size=4, max_length=limits, min_length=2, no_repeat_ngram=2)
    for example, found in enumerate(automaton.search(settings, prefix=prefixes)):
        check(found, naive(automaton, example, settings, int(limits[example]), prefixes[example]))
        for hypothesis in found:
            tokens = [*hypothesis.tokens, EOS]
            assert tokens[: len(prefixes[example])] == prefixes[example]


def test_a_prefix_overrides_the_constraints() -> None:
    settings = BeamSearch(size=2, max_length=6, forbidden=(A,), no_repeat_ngram=1)
    ((hypothesis, *_),) = Automaton(1).search(settings, prefix=[[A, A]])
    assert hypothesis.tokens[:2] == [A, A]
    assert A not in hypothesis.tokens[2:]


def test_constraints_that_leave_no_token_end_the_text() -> None:
    settings = BeamSearch(size=2, max_length=9, min_length=8, no_repeat_ngram=1)
    (found,) = Automaton(1).search(settings)
    assert {frozenset(hypothesis.tokens) for hypothesis in found} == {frozenset([A, B, C])}


# Batches, rows and steps


def test_examples_of_a_batch_are_searched_as_if_alone() -> None:
    automaton = Automaton(8, vocab_size=6)
    settings = BeamSearch(size=3, max_length=12, coverage_penalty=0.3, no_repeat_ngram=3)
    together = automaton.search(settings, attention=True)
    for example, found in enumerate(together):
        (alone,) = automaton.search(settings, [example], attention=True)
        assert texts(found) == texts(alone)
        assert [one.score for one in found] == pytest.approx([one.score for one in alone])
        for one, other in zip(found, alone, strict=True):
            assert one.attention is not None
            assert other.attention is not None
            torch.testing.assert_close(one.attention, other.attention)


def test_finished_examples_leave_and_each_token_is_one_step() -> None:
    automaton = Automaton(10, vocab_size=6)
    settings = BeamSearch(size=3, max_length=15, length_penalty=0)
    alone = []
    for example in range(10):
        automaton.search(settings, [example])
        assert automaton.rows == [1] + [3] * (len(automaton.rows) - 1)
        alone.append(len(automaton.rows))
    automaton.search(settings)
    assert len(set(alone)) > 2
    assert automaton.rows == [sum(n > place for n in alone) * (3 if place else 1) for place in range(max(alone))]


def test_the_state_is_reordered_only_when_the_order_changes() -> None:
    reused = []
    last: list[Tensor] = []

    def step(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        reused.append(bool(last) and state is last[-1])
        last.append(state + 1)
        return torch.tensor([-9.0, 1.0, 0.0, 0.0]).expand(len(tokens), 1, 4), last[-1]

    beam_search(step, torch.zeros(1, 2, 1), None, 2, BeamSearch(size=1, max_length=6))
    assert reused == [False] + [True] * 5
    reused.clear()
    beam_search(step, torch.zeros(1, 2, 1), None, 2, BeamSearch(size=2, max_length=6))
    assert not any(reused)  # the most probable extensions are all of the first hypothesis


def test_a_prefix_is_read_with_one_row_per_example() -> None:
    automaton = Automaton(2)
    automaton.search(BeamSearch(size=3, max_length=9, min_length=9), prefix=[[A, B, C], [B, A]])
    assert automaton.rows[:4] == [2, 2, 2, 6]


def test_the_start_may_be_given() -> None:
    ((hypothesis,), _) = beam_search(by_hand, None, None, 2, BeamSearch(size=1), start=torch.tensor([B, A]))
    assert hypothesis.tokens == []
    assert hypothesis.log_probability == pytest.approx(math.log(0.9))


# Attention


def test_attention_is_that_of_each_token_and_the_end() -> None:
    automaton = Automaton(5, vocab_size=5)
    ((_, weights),) = automaton.memory["tables"]
    for example, found in enumerate(automaton.search(BeamSearch(size=3, max_length=7), attention=True)):
        for hypothesis in found:
            read = [EOS, EOS, *hypothesis.tokens][: len(hypothesis.tokens) + hypothesis.ended + 1]
            expected = [weights[example][pair] for pair in pairwise(read)]
            assert hypothesis.attention is not None
            torch.testing.assert_close(hypothesis.attention, torch.stack(expected))
    assert automaton.search(BeamSearch(size=3, max_length=7))[0][0].attention is None


def test_padding_of_the_source_does_not_count_as_uncovered() -> None:
    automaton = Automaton(3, sources=4)
    ((_, weights),) = automaton.memory["tables"]
    settings = BeamSearch(size=3, max_length=6, coverage_penalty=1)
    weights[..., -1] = 0
    automaton.memory["mask"][:, -1] = False
    for example, found in enumerate(automaton.search(settings)):
        check(found, naive(automaton, example, settings, 6))


# Mistakes


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"max_length": 0},
        {"max_length": torch.tensor([3, 0])},
        {"min_length": -1},
        {"length_penalty": -0.5},
        {"coverage_penalty": -1},
        {"no_repeat_ngram": -1},
        {"forbidden": (0,)},
    ],
    ids=str,
)
def test_invalid_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BeamSearch(**wrong)


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(ValueError, match="'attention'"):
        beam_search(by_hand, None, None, 1, BeamSearch(), attention=True)
    with pytest.raises(ValueError, match="prefix"):
        beam_search(by_hand, None, None, 2, BeamSearch(), prefix=[[A]])
    with pytest.raises(ValueError, match="prefix"):
        beam_search(by_hand, None, None, 1, BeamSearch(max_length=1), prefix=[[A, B]])

    def broken(tokens: Tensor, state: None) -> tuple[Tensor, None]:
        return torch.full((*tokens.shape, 4), torch.nan), state

    with pytest.raises(ValueError, match="no text for example 0"):
        beam_search(broken, None, None, 2, BeamSearch(size=2, max_length=4))


def test_an_empty_batch_has_no_texts() -> None:
    assert beam_search(by_hand, None, None, 0, BeamSearch()) == []
