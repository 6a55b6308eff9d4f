"""Base of all datasets of labelled texts: caches, tokenises and batches them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sightseq.core.arrays import ArrayDataset, Ragged, save_split
from sightseq.core.errors import ConfigError
from sightseq.core.files import atomic_folder
from sightseq.core.loading import Batch
from sightseq.core.splits import Rows
from sightseq.data.labelled import LabelledData
from sightseq.data.plain import PlainTexts
from sightseq.data.text.tokenised import Texts, TokenisedData, save_tokens
from sightseq.text.batch import pad
from sightseq.text.spec import TextSpec
from sightseq.text.tokenizer import Tokenizer

CHUNK = 10_000  # texts decoded at a time


class TextDataset(ArrayDataset):
    """Tokenised texts of one split.

    A batch has `input` int64 [B, T], padded with 0, and `length` int64 [B], at least 1: an empty text is one 0.

    Args:
        arrays: `input`, the texts themselves, and `target`, each [N].
        rows, source: see `ArrayDataset`.
        tokens: token ids of the N texts.
        max_tokens: a longer text is truncated in the middle.
    """

    def __init__(self, arrays: Mapping[str, Any], rows: Rows, source: str, tokens: Ragged, max_tokens: int) -> None:
        super().__init__(arrays, rows, source)
        self.tokens, self.max_tokens = tokens, max_tokens
        self.lengths = torch.from_numpy(tokens.lengths[rows].clip(1, max_tokens))

    def plain(self) -> PlainTexts:
        """See `ArrayDataset.plain`."""
        tokens = self.tokens
        return PlainTexts(tokens.values, tokens.ends, self.arrays["target"], self.rows, self.max_tokens)

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these indices: see `ArrayDataset.batch`."""
        places = indices.clamp(min=0).numpy()
        rows = self.rows[places]
        batch = pad([self.tokens.row(row) for row in rows], self.max_tokens)
        batch["target"] = torch.from_numpy(self.arrays["target"][rows])
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return batch


class TextData(TokenisedData, LabelledData):
    """Texts with one label each: `input` int64 [B, T], token ids padded with 0, and `length` int64 [B].

    A subclass's `process` saves each split with `save_texts`.

    Args:
        max_tokens: a longer text is truncated in the middle, as opinions are stated at the beginning or the end.
        common: see `TokenisedData`, `LabelledData` and `DataModule`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = TokenisedData.encoding_arguments | {"max_tokens"}
    example_spec: TextSpec = TextSpec("", 100, ("a", "b"))

    def __init__(self, *, max_tokens: int = 400, **common: Any) -> None:
        super().__init__(**common)
        if max_tokens < 2:
            raise ConfigError(f"data.max_tokens={max_tokens}: must be at least 2, one from each end")
        self.max_tokens = max_tokens

    def spec_key(self) -> dict[str, Any]:
        """Options that change the spec."""
        return {**super().spec_key(), "max_tokens": self.max_tokens}

    def read_split(self, folder: Path) -> dict[str, Any]:
        """Return `input`, the texts, and `target`, each [N]."""
        arrays = super().read_split(folder)
        return {**arrays, "input": Texts.like(arrays["input"])}

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> TextSpec:
        """Fit the tokenizer on the training texts, or take the adopted one; count the classes."""
        texts: Any = train.arrays["input"]
        chunks = np.array_split(train.rows, -(-len(train.rows) // CHUNK))
        train_texts: Iterable[str] = (text for rows in chunks for text in texts[rows])
        tokenizer = self.get_tokenizer(train_texts)
        classes = tuple(about["classes"])
        counts = np.bincount(train.arrays["target"][train.rows], minlength=len(classes))
        return TextSpec(tokenizer.json, tokenizer.vocab_size, classes, tuple(counts.tolist()), self.max_tokens)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Tokenise the texts of all splits, once, into the cache."""
        spec: Any = self.spec
        tokenizer = Tokenizer(spec.tokenizer)
        sources: dict[str, Any] = {dataset.source: dataset.arrays["input"] for dataset in datasets.values()}
        place = self.token_folder(folder, tokenizer)
        with atomic_folder(place) as building:
            if building is not None:
                for source, texts in sources.items():
                    save_tokens(building / source, tokenizer, texts)
        tokens = {source: super(TextData, self).read_split(place / source)["tokens"] for source in sources}
        return {
            split: TextDataset(d.arrays, d.rows, d.source, tokens[d.source], spec.max_tokens)
            for split, d in datasets.items()
        }


def save_texts(folder: Path, split: str, texts: Sequence[str], targets: Sequence[int]) -> None:
    """Save one of the publisher's splits: texts and their labels."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    data = Ragged(np.frombuffer(b"".join(encoded), np.uint8), ends)
    save_split(folder, split, input=data, target=np.array(targets, np.int64))


def synthetic_reviews(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Random reviews of 5 to 40 words, and their labels: 1 where good words outnumber bad ones. Quick to learn."""
    generator = np.random.default_rng(seed)
    words = {
        0: ["awful", "boring", "dull", "terrible"],
        1: ["brilliant", "charming", "great", "wonderful"],
    }
    neutral = ["the", "film", "actors", "story", "was", "and", "a", "scene", "of", "music", "long", "director"]
    labels = [number % 2 for number in range(count)]
    texts = []
    for label in labels:
        body = list(generator.choice(neutral, generator.integers(3, 36)))
        for word in [*generator.choice(words[label], 2), *generator.choice(words[1 - label], generator.integers(2))]:
            body.insert(int(generator.integers(len(body) + 1)), str(word))
        texts.append(" ".join(body).capitalize() + ".")
    return texts, labels
