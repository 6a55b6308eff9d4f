"""Consensus of hypotheses: minimum Bayes risk."""

import math

import pytest
import torch

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.task import Task
from sightseq.decoding.beam import BeamSearch
from sightseq.decoding.consensus import rank_by_consensus
from sightseq.decoding.hypotheses import Hypothesis
from sightseq.tasks.translation.task import TranslationTask
from sightseq.text.quality import chrf
from sightseq.text.similarity import chrf_matrix
from tests.conftest import small


def hypothesis(token: int, probability: float) -> Hypothesis:
    return Hypothesis([token], 0.0, math.log(probability), True)


def test_the_most_similar_hypothesis_is_first() -> None:
    # The first is the most probable, but the other two agree. Square roots of the probabilities: 7, 6, 6.
    several = [hypothesis(0, 0.49), hypothesis(1, 0.36), hypothesis(2, 0.36)]
    similarity = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.8, 1.0]])
    # Expected, times 19: 7, 6 + 3, 4.8 + 6.
    assert [one.tokens for one in rank_by_consensus(several, similarity, 2)] == [[2], [1], [0]]
    # At a high temperature all count the same: 1, 1.5, 1.8 thirds. At a low one only the first does.
    assert [one.tokens for one in rank_by_consensus(several, similarity, 1e9)] == [[2], [1], [0]]
    assert rank_by_consensus(several, similarity, 1e-9)[0].tokens == [0]
    assert rank_by_consensus(several, torch.eye(3), 2) == several


def test_the_matrix_has_chrf_of_all_pairs() -> None:
    texts = ["a cat sat", "the cat sat", "ab", "", "aaaa aaaa", "بلی", "the cat sat"]
    matrix = chrf_matrix(texts)
    for row, text in enumerate(texts):
        for column, reference in enumerate(texts):
            assert 100 * matrix[row, column].item() == pytest.approx(chrf([text], [reference]))


def test_a_task_ranks_its_hypotheses_by_consensus() -> None:
    spec, batch = TranslationTask.example()
    config = small(compose("model=translation", "model/net=translation/recurrent", "augment=none"))["model"]
    torch.manual_seed(0)
    task = build(config, Task, "model", spec=spec.to_dict()).eval()
    assert isinstance(task, TranslationTask)
    settings = BeamSearch(8, 5)
    found = task.search(batch, settings)
    task.consensus = 3
    ranked = task.search(batch, settings)
    for before, after in zip(found, ranked, strict=True):
        texts = [task.tokenizer.decode(one.tokens) for one in before]
        assert after == rank_by_consensus(before, chrf_matrix(texts), 3)
        assert after != before
