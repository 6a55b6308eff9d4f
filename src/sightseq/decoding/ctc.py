"""Connectionist temporal classification (Graves et al., 2006): collapsed paths, greedy decoding and forced alignment.

A path has one token per frame. Its text is what remains when repeated tokens are merged and blanks, token 0, removed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BLANK = 0


class Span(NamedTuple):
    """Where a token was read.

    Attributes:
        token: its id.
        start: its first frame.
        end: the frame after its last one.
        log_probability: mean over its frames of the log-probability of the token.
    """

    token: int
    start: int
    end: int
    log_probability: float


def frames_needed(target: Tensor, lengths: Tensor) -> Tensor:
    """Return the smallest number of frames for each text [B]: equal neighbours need a blank between them.

    Args:
        target: tokens [B, L]; those beyond the lengths are ignored.
        lengths: [B].
    """
    place = torch.arange(1, max(target.shape[1], 1), device=target.device)
    repeated = (target[:, 1:] == target[:, :-1]) & (place < lengths[:, None])
    return lengths + repeated.sum(1)


def greedy(log_p: Tensor, lengths: Tensor) -> list[list[Span]]:
    """Return the text of the most probable path of each row.

    Args:
        log_p: log-probabilities [B, T, V].
        lengths: number of frames of each row [B].
    """
    values, path = (tensor.cpu() for tensor in log_p.max(2))
    rows = zip(path.tolist(), values.tolist(), lengths.tolist(), strict=True)
    return [_spans(row[:length], scores[:length]) for row, scores, length in rows]


def align(log_p: Tensor, tokens: Sequence[int]) -> list[Span] | None:
    """Return the spans of a given text on its most probable path (Viterbi); None if it needs more frames.

    Args:
        log_p: log-probabilities of one row [T, V].
        tokens: the text, without blanks.
    """
    if not len(log_p):
        return None if tokens else []
    # The states are blank, first token, blank, second token, ..., blank.
    states = np.full(2 * len(tokens) + 1, BLANK)
    states[1::2] = tokens
    skips = np.zeros(len(states), bool)  # whether the blank before a state may be left out
    skips[3::2] = states[3::2] != states[1:-2:2]
    emitted = log_p.float().cpu().numpy()[:, states]  # [T, S]
    score = np.full(len(states), -np.inf, np.float32)
    score[:2] = emitted[0, :2]
    before = np.full(len(states) + 2, -np.inf, np.float32)
    steps = np.zeros(emitted.shape, np.int8)  # from which state, as a difference
    for frame in range(1, len(emitted)):
        before[2:] = score
        ways = np.stack([score, before[1:-1], np.where(skips, before[:-2], -np.inf)])
        steps[frame] = ways.argmax(0)
        score = ways.max(0) + emitted[frame]
    last = max(len(states) - 2, 0)
    state = last + int(score[last:].argmax())
    if score[state] == -np.inf:
        return None
    path = np.zeros(len(emitted), np.int64)
    for frame in range(len(emitted) - 1, -1, -1):
        path[frame] = state
        state -= int(steps[frame, state])
    # A path visits every token, and the numbers of its states never fall.
    places = 2 * np.arange(len(tokens)) + 1
    starts, ends = np.searchsorted(path, places), np.searchsorted(path, places, "right")
    return [
        Span(token, int(start), int(end), float(emitted[start:end, place].mean()))
        for token, start, end, place in zip(tokens, starts, ends, places, strict=True)
    ]


def _spans(path: Sequence[int], scores: Sequence[float]) -> list[Span]:
    """Merge the repeated tokens of a path, and remove its blanks."""
    spans, start = [], 0
    for frame in range(1, len(path) + 1):
        if frame == len(path) or path[frame] != path[start]:
            if path[start] != BLANK:
                spans.append(Span(path[start], start, frame, sum(scores[start:frame]) / (frame - start)))
            start = frame
    return spans
