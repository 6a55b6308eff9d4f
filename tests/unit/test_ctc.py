"""Decoding of CTC, compared with the enumeration of all paths."""

import itertools
import math
from collections import defaultdict

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sightseq.decoding.ctc import Span, align, frames_needed, greedy
from sightseq.decoding.ctc_beam import LanguageModel, PrefixSearch, prefix_beam_search
from sightseq.decoding.word_list import WordList
from sightseq.tasks.recognition.task import ctc_loss

CASES = [(frames, size, seed) for frames, size in ((1, 3), (2, 2), (4, 3), (5, 4)) for seed in range(3)]


def random_log_p(frames: int, size: int, seed: int = 0, rows: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(rows, frames, size, generator=generator)).log_softmax(2)


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    merged = [token for place, token in enumerate(path) if place == 0 or path[place - 1] != token]
    return tuple(token for token in merged if token)


def enumerate_texts(log_p: Tensor) -> dict[tuple[int, ...], float]:
    """The log-probability of every text, summed over all paths [T, V]."""
    paths = defaultdict(list)
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        paths[collapse(path)].append(float(sum(log_p[frame, token] for frame, token in enumerate(path))))
    return {text: float(torch.tensor(values).logsumexp(0)) for text, values in paths.items()}


def best_path(log_p: Tensor, text: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    paths = [path for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)) if collapse(path) == text]
    return max((float(sum(log_p[frame, token] for frame, token in enumerate(path))), path) for path in paths)


def spans_of(path: tuple[int, ...]) -> list[tuple[int, int, int]]:
    runs, start = [], 0
    for token, run in itertools.groupby(path):
        length = len(list(run))
        runs.append((token, start, start + length))
        start += length
    return [run for run in runs if run[0]]


def ids(spans: list[Span]) -> list[int]:
    return [span.token for span in spans]


@pytest.mark.parametrize(("frames", "size", "seed"), CASES)
def test_the_loss_is_the_sum_over_all_paths(frames: int, size: int, seed: int) -> None:
    log_p = random_log_p(frames, size, seed)
    texts = enumerate_texts(log_p[0])
    assert sum(map(math.exp, texts.values())) == pytest.approx(1, abs=1e-5)
    for text, expected in texts.items():
        target, length = torch.tensor([[*text, 0]]), torch.tensor([len(text)])
        found = ctc_loss(log_p, torch.tensor([frames]), target, length)
        assert float(found) == pytest.approx(-expected, abs=1e-4)
        assert int(frames_needed(target, length)) <= frames


def test_impossible_texts_have_no_loss_and_no_gradient() -> None:
    log_p = random_log_p(3, 4, rows=4).requires_grad_()
    target = torch.tensor([[1, 1, 2], [1, 2, 3], [2, 2, 0], [0, 0, 0]])
    lengths = torch.tensor([3, 3, 2, 0])
    assert frames_needed(target, lengths).tolist() == [4, 3, 3, 0]
    losses = ctc_loss(log_p, torch.tensor([3, 3, 2, 3]), target, lengths)
    assert (losses == 0).tolist() == [True, False, True, False]
    assert losses[3].item() == pytest.approx(
        -float(log_p[3, :, 0].detach().sum()), abs=1e-5
    )  # the empty text: only blanks
    (gradient,) = torch.autograd.grad(losses.sum(), log_p)
    assert gradient.isfinite().all()
    assert gradient[[0, 2]].abs().sum() == 0


def test_frames_of_texts_without_tokens() -> None:
    assert frames_needed(torch.zeros(2, 0, dtype=torch.int64), torch.tensor([0, 0])).tolist() == [0, 0]


def test_greedy_by_hand() -> None:
    path = [0, 2, 2, 0, 2, 1, 1, 3, 0]
    log_p = F.one_hot(torch.tensor([path, path]), 4).float().mul(5).log_softmax(2)
    first, second = greedy(log_p, torch.tensor([9, 3]))
    assert [span[:3] for span in first] == [(2, 1, 3), (2, 4, 5), (1, 5, 7), (3, 7, 8)]
    assert [span[:3] for span in second] == [(2, 1, 3)]
    assert first[0].log_probability == pytest.approx(float(log_p[0, 1, 2]), abs=1e-6)
    assert greedy(log_p, torch.tensor([0, 1])) == [[], []]


@pytest.mark.parametrize(("frames", "size", "seed"), CASES)
def test_alignment_is_the_best_of_all_paths(frames: int, size: int, seed: int) -> None:
    (log_p,) = random_log_p(frames, size, seed)
    for text in enumerate_texts(log_p):
        score, path = best_path(log_p, text)
        spans = align(log_p, text)
        assert spans is not None
        assert [span[:3] for span in spans] == spans_of(path)
        blanks = [frame for frame, token in enumerate(path) if not token]
        total = sum(span.log_probability * (span.end - span.start) for span in spans) + float(log_p[blanks, 0].sum())
        assert total == pytest.approx(score, abs=1e-4)


def test_alignment_of_a_text_with_more_states_than_an_int8_counts() -> None:
    text = [1 + number % 3 for number in range(150)]
    path = torch.tensor([token for one in text for token in (0, one)])
    log_p = torch.full((300, 4), 0.01).scatter(1, path[:, None], 0.97).log()
    spans = align(log_p, text)
    assert spans is not None
    assert [(one.token, one.start, one.end) for one in spans] == [(n, 2 * k + 1, 2 * k + 2) for k, n in enumerate(text)]


def test_alignment_of_texts_that_do_not_fit() -> None:
    (log_p,) = random_log_p(3, 4)
    assert align(log_p, [1, 1, 2]) is None  # a blank is needed between equal tokens
    assert align(log_p, [1, 2, 3, 1]) is None
    assert align(log_p, []) == []
    assert align(log_p[:0], []) == []
    assert align(log_p[:0], [1]) is None


@pytest.mark.parametrize(("frames", "size", "seed"), CASES)
def test_a_wide_beam_finds_the_texts_of_the_enumeration(frames: int, size: int, seed: int) -> None:
    log_p = random_log_p(frames, size, seed)
    expected = sorted(enumerate_texts(log_p[0]).items(), key=lambda pair: -pair[1])
    (found,) = prefix_beam_search(log_p, torch.tensor([frames]), PrefixSearch(2000))
    assert [tuple(one.tokens) for one in found] == [text for text, _ in expected]
    assert [one.log_probability for one in found] == pytest.approx([score for _, score in expected], abs=1e-4)


def test_a_narrow_beam_keeps_the_probability_of_its_texts() -> None:
    log_p = random_log_p(5, 4, seed=7)
    texts = enumerate_texts(log_p[0])
    for size in (1, 2, 4, 8):
        (found,) = prefix_beam_search(log_p, torch.tensor([5]), PrefixSearch(size))
        assert len(found) == size
        assert len({tuple(one.tokens) for one in found}) == size
        assert all(one.log_probability <= texts[tuple(one.tokens)] + 1e-4 for one in found)
    assert tuple(found[0].tokens) == max(texts, key=lambda text: texts[text])


def test_rows_of_a_batch_are_independent_and_end_at_their_length() -> None:
    log_p, lengths = random_log_p(5, 3, rows=4), torch.tensor([5, 1, 3, 0])
    together = prefix_beam_search(log_p, lengths, PrefixSearch(6))
    for row, length in enumerate(lengths.tolist()):
        (alone,) = prefix_beam_search(log_p[row : row + 1, :length], torch.tensor([length]), PrefixSearch(6))
        assert [one.tokens for one in alone] == [one.tokens for one in together[row]][: len(alone)]
        assert [one.score for one in alone] == pytest.approx([o.score for o in together[row]][: len(alone)], abs=1e-5)
    assert together[3][0].tokens == []


class Bigrams:
    """A language model whose state is the number of tokens read, and whose logits depend on the last token."""

    def __init__(self, size: int) -> None:
        self.logits = torch.randn(size, size, generator=torch.Generator().manual_seed(3))

    def __call__(self, tokens: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        read = torch.zeros(len(tokens), 1) if state is None else state
        assert tokens.shape[1] == 1
        assert len(read) == len(tokens)
        return self.logits[tokens] + 0.1 * read[:, None], read + 1

    def log_p(self, tokens: list[int]) -> float:
        pairs = itertools.pairwise([0, *tokens])
        return float(sum(self.logits[first].log_softmax(0)[second] for first, second in pairs))


@pytest.mark.parametrize("seed", range(4))
def test_language_model_and_length_bonus_by_enumeration(seed: int) -> None:
    log_p = random_log_p(4, 4, seed)
    known = torch.tensor([-1, 2, 3, 4])  # the model's token of each id
    model = Bigrams(5)
    settings = PrefixSearch(500, LanguageModel(model, known), model_weight=0.7, length_bonus=0.3)
    expected = {
        text: score + 0.7 * model.log_p(known[list(text)].tolist()) + 0.3 * len(text)
        for text, score in enumerate_texts(log_p[0]).items()
    }
    (found,) = prefix_beam_search(log_p, torch.tensor([4]), settings)
    assert {tuple(one.tokens): one.score for one in found} == pytest.approx(expected, abs=1e-4)
    assert tuple(found[0].tokens) == max(expected, key=lambda text: expected[text])


def test_tokens_that_the_model_does_not_know_are_not_written() -> None:
    log_p = random_log_p(4, 4)
    settings = PrefixSearch(500, LanguageModel(Bigrams(5), torch.tensor([-1, 2, -1, 4])))
    (found,) = prefix_beam_search(log_p, torch.tensor([4]), settings)
    assert {token for one in found for token in one.tokens} == {1, 3}


def test_word_lists_by_enumeration() -> None:
    log_p = random_log_p(5, 4, seed=2)  # token 3 is the space
    words = [(1,), (1, 2), (2, 2)]
    texts = enumerate_texts(log_p[0])

    def allowed(text: tuple[int, ...]) -> bool:
        parts = [tuple(group) for space, group in itertools.groupby(text, lambda token: token == 3) if not space]
        single = "3, 3" not in str(text) and text[:1] != (3,)
        return single and all(part in words for part in parts)

    expected = {text: score for text, score in texts.items() if allowed(text)}
    (found,) = prefix_beam_search(log_p, torch.tensor([5]), PrefixSearch(2000, words=WordList(words, 4, space=3)))
    assert {tuple(one.tokens): one.score for one in found} == pytest.approx(expected, abs=1e-4)
    (found,) = prefix_beam_search(log_p, torch.tensor([5]), PrefixSearch(2000, words=WordList(words, 4, space=None)))
    assert {tuple(one.tokens) for one in found} == {(), *words}


def test_forbidden_tokens_and_wrong_settings() -> None:
    log_p = random_log_p(4, 4)
    (found,) = prefix_beam_search(log_p, torch.tensor([4]), PrefixSearch(50, forbidden=(1,)))
    assert {token for one in found for token in one.tokens} == {2, 3}
    with pytest.raises(ValueError, match="size=0"):
        PrefixSearch(0)
    with pytest.raises(ValueError, match="empty"):
        WordList([()], 4, 3)
