"""Prefix beam search over the outputs of CTC (Graves, 2008; Hannun et al., 2014, arXiv 1408.2873), for batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sightseq.decoding.ctc import BLANK
from sightseq.decoding.states import join_rows, select_rows
from sightseq.decoding.step import Step, run_step
from sightseq.decoding.word_list import WordList

FACTOR = 6364136223846793005  # multiplier of the hashes of texts (Knuth, MMIX)
NONE = -(2**62)  # hashes from here on stand for no text


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A language model that scores texts as they grow.

    Attributes:
        step: see `Step`; without a memory.
        tokens: the model's token of each id of the recogniser [V], -1 for those that it does not know.
        start: the token read before the first one.
    """

    step: Step
    tokens: Tensor
    start: int = 0


@dataclass(frozen=True, eq=False)
class PrefixSearch:
    """Settings of `prefix_beam_search`. A text of L tokens has the score

        log p(text | input) + model_weight * log p(text) + length_bonus * L,

    where the first probability is the sum over all paths of the text, and the second that of the language model.

    Attributes:
        size: number of texts that are kept at each frame.
        model: the language model; None for none.
        model_weight: see above.
        length_bonus: see above; positive values balance the language model's preference for short texts.
        words: the words that a text may consist of; None for any text.
        forbidden: tokens that are never chosen.
    """

    size: int = 16
    model: LanguageModel | None = None
    model_weight: float = 0.5
    length_bonus: float = 0.0
    words: WordList | None = None
    forbidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 1 or self.model_weight < 0:
            raise ValueError(f"size={self.size} must be at least 1, model_weight={self.model_weight} at least 0")


class Transcript(NamedTuple):
    """A text that was found.

    Attributes:
        tokens: its ids.
        score: see `PrefixSearch`.
        log_probability: log p(text | input) of those paths that were not pruned.
    """

    tokens: list[int]
    score: float
    log_probability: float


@torch.inference_mode()
def prefix_beam_search(log_p: Tensor, lengths: Tensor, settings: PrefixSearch) -> list[list[Transcript]]:
    """Search for the texts with the highest scores.

    Args:
        log_p: log-probabilities [B, T, V]; token 0 is the blank.
        lengths: number of frames of each row [B].
        settings: see `PrefixSearch`.

    Returns:
        For each row at most `size` texts, the best first. With a word list, incomplete words are left out; if there
        are only such texts, they are returned.
    """
    rows, frames, vocab_size = log_p.shape
    log_p = log_p.float()
    # After the end of a row, certain blanks change nothing.
    over = torch.arange(frames, device=log_p.device) >= lengths.to(log_p.device)[:, None]
    rest = log_p.new_full((vocab_size,), -torch.inf)
    rest[BLANK] = 0.0
    log_p = torch.where(over[:, :, None], rest, log_p)
    beam = _Beam(rows, settings, vocab_size, log_p.device)
    for frame in range(frames):
        beam.read(log_p[:, frame])
    return beam.transcripts()


class _Beam:
    """The K texts of each row, and their probabilities.

    Attributes:
        blank, other: log of the summed probabilities of the paths of each text that end with a blank, and of those that
            end with its last token [B, K].
        bonus: what language model and length add to the score [B, K].
        last: last token [B, K], 0 for the empty text.
        identity: hash of the text [B, K].
        node: number of the text in the tree of all texts [B, K].
        place: position in the word list [B, K].
    """

    def __init__(self, rows: int, settings: PrefixSearch, vocab_size: int, device: torch.device) -> None:
        self.settings, self.vocab_size = settings, vocab_size
        zeros = torch.zeros(rows, 1, dtype=torch.int64, device=device)
        self.last = self.identity = self.place = zeros
        self.node = torch.arange(rows, device=device)[:, None]
        self.blank, self.bonus = zeros.float(), zeros.float()
        self.other = torch.full_like(self.blank, -torch.inf)
        self._parents, self._tokens = [torch.full((rows,), -1, device=device)], [zeros[:, 0]]
        self._nodes = rows
        self._table = None if settings.words is None else settings.words.table.to(device)
        used = settings.model if settings.model_weight else None
        self._model = None if used is None else _Model(used, rows, device)

    def read(self, log_p: Tensor) -> None:
        """Read the log-probabilities of one frame [B, V]."""
        rows, size = self.last.shape
        total = torch.logaddexp(self.blank, self.other)
        of_last = log_p.gather(1, self.last).masked_fill(self.last == BLANK, -torch.inf)  # [B, K]
        blank, other = total + log_p[:, BLANK, None], self.other + of_last
        # A text grows by its last token only after a blank.
        longer = total[:, :, None] + log_p[:, None]  # [B, K, V]
        longer.scatter_(2, self.last[:, :, None], (self.blank + of_last)[:, :, None])
        longer[:, :, [BLANK, *self.settings.forbidden]] = -torch.inf
        if self._table is not None:
            longer = longer.masked_fill(self._table[self.place] < 0, -torch.inf)
        # A longer text may be in the beam already: its paths are then added to those.
        grown = _hash(self.identity[:, :, None], self.last[:, None])
        row, parent, child = ((grown == self.identity[:, None]) & (self.last != BLANK)[:, None]).nonzero(as_tuple=True)
        token = self.last[row, child]
        other[row, child] = torch.logaddexp(other[row, child], longer[row, parent, token])
        longer[row, parent, token] = -torch.inf
        gains = self._gains()
        staying = torch.logaddexp(blank, other) + self.bonus
        growing = longer + (self.bonus[:, :, None] + gains)
        scores = torch.cat([staying, growing.flatten(1)], dim=1)
        best, chosen = scores.topk(min(self.settings.size, scores.shape[1]), dim=1)  # [B, K']
        stays = chosen < size
        grows = (chosen - size).clamp(min=0)
        source = torch.where(stays, chosen, grows // self.vocab_size)
        token = torch.where(stays, BLANK, grows % self.vocab_size)
        self.other = torch.where(stays, other.gather(1, source), longer.flatten(1).gather(1, grows))
        self.blank = blank.gather(1, source).masked_fill(~stays, -torch.inf)
        added = gains.expand(rows, size, self.vocab_size).flatten(1).gather(1, grows)
        self.bonus = self.bonus.gather(1, source) + torch.where(stays, 0.0, added)
        self._move(source, token, ~stays)
        # A text without probability is none: it must not be taken for another one.
        impossible = best == -torch.inf
        self.last = self.last.masked_fill(impossible, BLANK)
        self.identity = torch.where(impossible, NONE + torch.arange(best.shape[1], device=best.device), self.identity)

    def transcripts(self) -> list[list[Transcript]]:
        """Return the texts of each row, the best first."""
        log_p = torch.logaddexp(self.blank, self.other)
        scores = log_p + self.bonus
        if self.settings.words is not None:
            complete = self.settings.words.complete.to(scores.device)[self.place] & (scores > -torch.inf)
            scores = scores.masked_fill(~complete & complete.any(1, keepdim=True), -torch.inf)
        scores, order = scores.sort(dim=1, descending=True)
        parents, tokens = torch.cat(self._parents).tolist(), torch.cat(self._tokens).tolist()
        log_p, nodes = log_p.gather(1, order), self.node.gather(1, order)
        found = []
        for row in zip(nodes.tolist(), scores.tolist(), log_p.tolist(), strict=True):
            kept = [one for one in zip(*row, strict=True) if one[1] > -torch.inf]
            found.append([Transcript(_path(node, parents, tokens), *values) for node, *values in kept])
        return found

    def _gains(self) -> Tensor:
        """Return what each token would add to the score, [B, K, V] or [1, 1, 1]."""
        bonus = torch.full((1, 1, 1), self.settings.length_bonus, device=self.last.device)
        return bonus if self._model is None else bonus + self.settings.model_weight * self._model.next

    def _move(self, source: Tensor, token: Tensor, grows: Tensor) -> None:
        """Replace the texts by those at `source` [B, K], to which `token` is added where `grows`."""
        self.identity = self.identity.gather(1, source)
        self.identity = torch.where(grows, _hash(self.identity, token), self.identity)
        self.last = torch.where(grows, token, self.last.gather(1, source))
        self.place = self.place.gather(1, source)
        if self._table is not None:
            self.place = torch.where(grows, self._table[self.place, token], self.place).clamp(min=0)
        self.node = self.node.gather(1, source)
        new = grows.nonzero(as_tuple=True)
        self._parents.append(self.node[new])
        self._tokens.append(token[new])
        self.node[new] = self._nodes + torch.arange(len(new[0]), device=token.device)
        self._nodes += len(new[0])
        if self._model is not None:
            self._model.move(source, token, grows)


class _Model:
    """A language model after each of the K texts of B rows.

    Attributes:
        next: its log-probabilities of the ids that may follow [B, K, V].
    """

    def __init__(self, model: LanguageModel, rows: int, device: torch.device) -> None:
        self.step, self.tokens = model.step, model.tokens.to(device)
        logits, self.state = run_step(self.step, torch.full((rows, 1), model.start, device=device), None)
        self.next = self._of_ids(logits)[:, None]

    def move(self, source: Tensor, token: Tensor, grows: Tensor) -> None:
        """Replace the texts by those at `source` [B, K'], which read `token` [B, K'] where `grows`."""
        rows, size, vocab_size = self.next.shape
        flat = (source + size * torch.arange(rows, device=source.device)[:, None]).flatten()
        after, state = self.next.flatten(0, 1)[flat], select_rows(self.state, flat)
        changed = grows.flatten().nonzero()[:, 0]
        if len(changed):
            read = self.tokens[token.flatten()[changed]].clamp(min=0)
            logits, new = run_step(self.step, read[:, None], select_rows(state, changed))
            after[changed] = self._of_ids(logits)
            order = torch.arange(len(flat), device=flat.device)
            order[changed] = len(flat) + torch.arange(len(changed), device=flat.device)
            state = select_rows(join_rows(state, new), order)
        self.next, self.state = after.view(rows, -1, vocab_size), state

    def _of_ids(self, logits: Tensor) -> Tensor:
        """Return the log-probabilities of the recogniser's ids [N, V] after the last token."""
        log_p = logits[:, -1].float().log_softmax(1)[:, self.tokens.clamp(min=0)]
        return log_p.masked_fill(self.tokens < 0, -torch.inf)


def _hash(identity: Tensor, token: Tensor) -> Tensor:
    """Return the hashes of texts to which a token was added; 64-bit integers overflow."""
    return identity * FACTOR + token + 1


def _path(node: int, parents: Sequence[int], tokens: Sequence[int]) -> list[int]:
    path = []
    while parents[node] >= 0:
        path.append(tokens[node])
        node = parents[node]
    return path[::-1]
