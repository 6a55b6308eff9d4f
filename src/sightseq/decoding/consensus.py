"""Minimum Bayes risk decoding: of the hypotheses of an example, the one that is most similar to all of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sightseq.decoding.hypotheses import Hypothesis


def rank_by_consensus(hypotheses: Sequence[Hypothesis], similarity: Tensor, temperature: float) -> list[Hypothesis]:
    """Sort the hypotheses of one example by their expected similarity to the true text, the highest first.

    The hypotheses stand for the true text, each with its probability among them to the power of 1 / `temperature`
    (Kumar and Byrne, 2004; Eikema and Aziz, 2020, arXiv 2005.10283).

    Args:
        hypotheses: K hypotheses.
        similarity: [K, K], of each text (row) to each text as the reference (column); larger is more similar.
        temperature: larger gives the less probable hypotheses more weight. The most probable hypotheses of a beam
            differ in few words only.
    """
    log_p = torch.tensor([one.log_probability for one in hypotheses], dtype=similarity.dtype)
    expected = similarity @ (log_p / temperature).softmax(0)
    return [hypotheses[place] for place in expected.argsort(descending=True, stable=True).tolist()]
