"""Interpolated n-grams as a step function: values by hand, and the state."""

import pytest
import torch

from sightseq.decoding.ngram import NGramStep
from sightseq.decoding.states import select_rows

TEXTS = [[1, 2, 1], [1, 2, 2, 1]]


def test_bigrams_by_hand() -> None:
    model = NGramStep(TEXTS, vocab_size=4, n=2)
    log_p, _ = model(torch.tensor([[0, 1, 2, 3]]))
    # Counts of 0, 1, 2, 3 after any token: 2, 4, 3, 0; 1 is added to each.
    unigram = torch.tensor([3.0, 5.0, 4.0, 1.0]) / 13
    after_start = (torch.tensor([0.0, 2.0, 0.0, 0.0]) + 1 * unigram) / 3
    after_one = (torch.tensor([2.0, 0.0, 2.0, 0.0]) + 2 * unigram) / 6
    after_two = (torch.tensor([0.0, 2.0, 1.0, 0.0]) + 2 * unigram) / 5
    torch.testing.assert_close(log_p[0].exp(), torch.stack([after_start, after_one, after_two, unigram]))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_probabilities_sum_to_one_and_the_state_continues(n: int) -> None:
    model = NGramStep(TEXTS, vocab_size=4, n=n)
    tokens = torch.tensor([[0, 1, 2, 1, 0], [0, 3, 3, 2, 1]])
    whole, end = model(tokens)
    torch.testing.assert_close(whole.exp().sum(2), torch.ones(2, 5))
    state, steps = None, []
    for token in tokens.T:
        step, state = model(token[:, None], state)
        steps.append(step)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole)
    assert torch.equal(state, end)
    assert end.shape == (2, n - 1)
    if n > 1:
        assert torch.equal(select_rows(end, torch.tensor([1, 1]))[0], end[1])


def test_longer_contexts_predict_better() -> None:
    texts = [[1, 2, 3] * 20, [3, 2, 1] * 20]
    losses = []
    for n in (1, 2, 3):
        log_p, _ = NGramStep(texts, 4, n)(torch.tensor([[0, *texts[0]]]))
        losses.append(-float(log_p[0, :-1].gather(1, torch.tensor(texts[0])[:, None]).mean()))
    assert losses[0] > losses[1] > losses[2]
    with pytest.raises(ValueError, match="n=0"):
        NGramStep(texts, 4, 0)
