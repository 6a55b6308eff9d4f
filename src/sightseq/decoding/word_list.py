"""Word lists as tries: which tokens may follow a text that consists of known words."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


class WordList:
    """Texts of known words, separated by single spaces.

    Attributes:
        table: next position in the trie for each position and token [positions, V]; -1 where no word continues so.
            Position 0 is the start of a word.
        complete: whether a text may end at a position [positions]; at the start of a word it may.

    Args:
        words: tokens of each word; empty ones are ignored.
        vocab_size: number of tokens V.
        space: the token between words; None: a text is a single word.

    Raises:
        ValueError: there is no word.
    """

    def __init__(self, words: Iterable[Sequence[int]], vocab_size: int, space: int | None) -> None:
        children: list[dict[int, int]] = [{}]
        ends = set()
        for word in words:
            place = 0
            for token in word:
                if token not in children[place]:
                    children[place][token] = len(children)
                    children.append({})
                place = children[place][token]
            if place:
                ends.add(place)
        if not ends:
            raise ValueError("the word list is empty")
        self.complete = torch.zeros(len(children), dtype=torch.bool)
        self.complete[[0, *ends]] = True
        self.table: Tensor = torch.full((len(children), vocab_size), -1)
        places = [(place, token, after) for place, row in enumerate(children) for token, after in row.items()]
        first, tokens, after = torch.tensor(places).T
        self.table[first, tokens] = after
        if space is not None:
            self.table[list(ends), space] = 0
