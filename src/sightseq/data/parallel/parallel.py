"""Base of all datasets of sentence pairs: caches, tokenises and batches them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset, Ragged, save_split
from sightseq.core.datamodule import digest
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.files import atomic_folder
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.spec import Spec
from sightseq.core.splits import Rows
from sightseq.data.plain import PlainPairs
from sightseq.data.text.tokenised import Texts, TokenisedData, pad_tokens, save_tokens
from sightseq.text.tokenizer import Tokenizer, Unit
from sightseq.text.tokens_spec import Tokens
from sightseq.text.translation_spec import TranslationSpec

CHUNK = 10_000  # texts decoded at a time
SIDES = {"input": "source", "target": "target"}  # columns of texts, and the languages that they are in


class TranslationDataset(ArrayDataset):
    """Tokenised sentence pairs of one split.

    A batch has `input` int64 [B, S], source tokens padded with 0; `length` int64 [B], their number; `target` int64
    [B, T], target tokens padded with -1; and `index`. Both end with EOS. Texts of more than `max_tokens` tokens are
    truncated before their EOS.

    With `references`, a batch also has the texts as UTF-8 bytes padded with 0, whole and before tokenisation:
    `reference` uint8 [B, R] (the target) and `source_text` uint8 [B, Q], with `reference_length` and
    `source_text_length` int64 [B]. A translation is scored against these, not against decoded tokens.

    Args:
        arrays: `input` and `target`, the texts of the N pairs.
        rows, source: see `ArrayDataset`.
        tokens: token ids of the N sources and of the N targets, each with its EOS.
        max_tokens: longest source and target, in tokens.
        references: whether batches contain the texts.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        rows: Rows,
        source: str,
        tokens: tuple[Ragged, Ragged],
        max_tokens: tuple[int, int],
        references: bool,
    ) -> None:
        super().__init__(arrays, rows, source)
        self.tokens, self.max_tokens, self.references = tokens, max_tokens, references
        sources, targets = (side.lengths[rows].clip(max=most) for side, most in zip(tokens, max_tokens, strict=True))
        # With batches of a similar larger length, 91 % of the tokens of Multi30k are no padding; with the sum, 83 %.
        self.lengths = torch.from_numpy(np.maximum(sources, targets))

    def plain(self) -> Any:
        """See `ArrayDataset.plain`."""
        (source, target), (longest, other) = self.tokens, self.max_tokens
        if longest != other:
            return self
        return PlainPairs(source.values, source.ends, target.values, target.ends, self.rows, longest)

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these indices: see `TranslationDataset`; the index -1 is a padding row."""
        rows = self.rows[indices.clamp(min=0).numpy()]
        source, length = pad_tokens(self.tokens[0], rows, self.max_tokens[0], 0)
        target, _ = pad_tokens(self.tokens[1], rows, self.max_tokens[1], PAD_INDEX)
        batch = {"input": source, "length": length, "target": target}
        if self.references:
            for name, column in (("reference", "target"), ("source_text", "input")):
                values, lengths = self.arrays[column].padded(rows)
                batch |= {name: torch.from_numpy(values), f"{name}_length": torch.from_numpy(lengths)}
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return batch


class ParallelData(TokenisedData):
    """Pairs of sentences in two languages.

    A subclass's `process` saves each split with `save_pairs`. Training pairs with more than `max_tokens` tokens on a
    side are left out and counted.

    Args:
        source: code of the language that is translated from, such as "de".
        target: code of the language that is translated to.
        joint: fit one vocabulary on both languages; `vocab_size` is then the size of this one.
        max_tokens: longest text of either side in tokens, including its EOS. In validation and test longer sources
            are truncated, and of longer targets only the beginning counts for the loss; references stay whole.
        unit, vocab_size, lowercase, min_frequency: see `text.tokenizer.fit`.
        common: see `TokenisedData` and `DataModule`.
    """

    sample_unit = "pairs"
    encoding_arguments: ClassVar[frozenset[str]] = TokenisedData.encoding_arguments | {"joint", "max_tokens"}
    example_spec: TranslationSpec = TranslationSpec(Tokens("", 100, "en"), Tokens("", 100, "fr"))

    def __init__(
        self,
        *,
        source: str,
        target: str,
        joint: bool = False,
        max_tokens: int = 100,
        unit: Unit = "subwords",
        vocab_size: int = 8000,
        min_frequency: int = 1,
        **common: Any,
    ) -> None:
        super().__init__(unit=unit, vocab_size=vocab_size, min_frequency=min_frequency, **common)
        if source == target:
            raise ConfigError(f"data.source and data.target are both {source}; name two languages")
        if max_tokens < 2:
            raise ConfigError(f"data.max_tokens={max_tokens}: must be at least 2, one token and EOS")
        self.languages = (source, target)
        self.joint, self.max_tokens = joint, max_tokens
        self._adopted: TranslationSpec | None = None
        if joint:  # the spec that checks the model must be of the same kind
            self.example_spec = TranslationSpec(Tokens("", 100, source), Tokens("", 100, target), joint=True)

    def adopt(self, spec: Spec) -> None:
        """Adopt the tokenizers of a translation model's spec."""
        if isinstance(spec, TranslationSpec):
            self._adopted = spec

    def cache_key(self) -> dict[str, Any]:
        """Options that change what is read from the files."""
        return {"languages": self.languages}

    def spec_key(self) -> dict[str, Any]:
        """Options that change the tokenizers, or the adopted ones."""
        if self._adopted is not None:
            return {"spec": self._adopted.to_dict()}
        return {**super().spec_key(), "joint": self.joint, "max_tokens": self.max_tokens}

    def read_split(self, folder: Path) -> dict[str, Any]:
        """Return `input` and `target`, the texts of the N pairs, and what else `save_pairs` has saved."""
        arrays = super().read_split(folder)
        return arrays | {column: Texts.like(arrays[column]) for column in SIDES}

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """Return the publisher's splits."""
        return {split: (split, np.arange(len(arrays["input"]))) for split, arrays in splits.items()}

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> TranslationSpec:
        """Fit the tokenizers on the training texts, or take the adopted ones."""
        source, target = about.get("languages", self.languages)
        if (old := self._adopted) is not None:
            return replace(
                old, source=replace(old.source, language=source), target=replace(old.target, language=target)
            )
        if self.joint:
            first = second = self.get_tokenizer(chain(*(_texts(train, column) for column in SIDES)))
        else:
            first, second = (self.get_tokenizer(_texts(train, column)) for column in SIDES)
        return TranslationSpec(
            Tokens(first.json, first.vocab_size, source, self.max_tokens),
            Tokens(second.json, second.vocab_size, target, self.max_tokens),
            self.joint,
        )

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Tokenise both sides of all splits, once, into the cache; leave out training pairs that are too long."""
        spec: Any = self.spec
        sides: dict[str, Tokens] = {column: getattr(spec, side) for column, side in SIDES.items()}
        arrays = {dataset.source: dataset.arrays for dataset in datasets.values()}
        place = folder.with_name(f"{folder.name}-tokens-{digest([side.tokenizer for side in sides.values()])}")
        with atomic_folder(place) as building:
            if building is not None:
                for source, columns in arrays.items():
                    for column, side in sides.items():
                        texts: Any = columns[column]
                        last = np.ones(len(texts), np.bool_)  # each text ends with EOS
                        save_tokens(building / f"{source}-{column}", Tokenizer(side.tokenizer), texts, last)
        most = (spec.source.max_tokens, spec.target.max_tokens)
        encoded: dict[str, ArrayDataset] = {}
        for split, dataset in datasets.items():
            folders = [place / f"{dataset.source}-{column}" for column in SIDES]
            source, target = (super(ParallelData, self).read_split(side)["tokens"] for side in folders)
            rows = dataset.rows
            if split == "train":
                rows = self._short(rows, np.stack([source.lengths, target.lengths], 1), most)
            encoded[split] = TranslationDataset(
                dataset.arrays, rows, dataset.source, (source, target), most, references=split != "train"
            )
        return encoded

    def _short(self, rows: Rows, lengths: NDArray[np.int64], most: tuple[int, int]) -> Rows:
        """Return the rows with at most `most` tokens on each side, and count the others as skipped."""
        fits = (lengths[rows] <= most).all(1)
        self.skipped = [
            *self.skipped,
            *(f"training pair {row + 1} with {lengths[row].max():,} tokens (data.max_tokens)" for row in rows[~fits]),
        ]
        if not fits.any():
            raise DataError(f"{self.name}: all training pairs have more than data.max_tokens={max(most)} tokens")
        return rows[fits]


def save_pairs(folder: Path, split: str, pairs: Sequence[tuple[str, str]], **columns: NDArray[Any]) -> None:
    """Save one of the publisher's splits: (source, target) texts, and further columns [N]."""
    texts: dict[str, Ragged] = {}
    for side, column in enumerate(SIDES):
        encoded = [pair[side].encode() for pair in pairs]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        texts[column] = Ragged(np.frombuffer(b"".join(encoded), np.uint8), ends)
    save_split(folder, split, **texts, **columns)


def _texts(dataset: ArrayDataset, column: str) -> Iterator[str]:
    """Yield the texts of a split, decoding some at a time."""
    chunks: Iterable[Rows] = np.array_split(dataset.rows, -(-len(dataset.rows) // CHUNK))
    return (text for rows in chunks for text in dataset.arrays[column][rows])
