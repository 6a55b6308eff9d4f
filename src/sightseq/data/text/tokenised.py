"""What all datasets of texts have in common: the tokenizer, fitted on the training split or another model's."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import Ragged, RaggedWriter
from sightseq.core.datamodule import DataModule, digest
from sightseq.core.spec import Spec
from sightseq.text.tokenizer import EOS_ID, Tokenizer, Unit, fit

PIECE = 2**17  # characters, or bytes, of texts that are tokenised at a time


class Texts(Ragged):
    """Texts [N] as the bytes of their UTF-8; `texts[rows]` are those, as an array of strings."""

    @classmethod
    def like(cls, column: Ragged) -> "Texts":
        """The texts of a column of bytes."""
        return cls(column.values, column.ends)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.object_]:
        return np.array([self.row(row).tobytes().decode() for row in rows], object)


class TokenisedData(DataModule):
    """Texts that are read as tokens. A model that is tested or begun with brings its own tokenizer.

    Args:
        unit: "words", "whitespace", "subwords" or "characters": see `text.tokenizer.fit`.
        vocab_size: how many of them.
        lowercase: do not tell capitals apart.
        min_frequency: of words; one that is rarer in training is `<unk>`, or else a model would never have seen that.
        common: see `DataModule`.
    """

    encoding: ClassVar[frozenset[str]] = frozenset({"unit", "vocab_size", "lowercase", "min_frequency"})

    def __init__(
        self,
        *,
        unit: Unit = "words",
        vocab_size: int = 10_000,
        lowercase: bool = False,
        min_frequency: int = 2,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.unit, self.vocab_size, self.lowercase, self.min_frequency = unit, vocab_size, lowercase, min_frequency
        self._tokenizer: str | None = None  # another model's

    def adopt(self, spec: Spec) -> None:
        """The tokenizer of a model of texts."""
        self._tokenizer = getattr(spec, "tokenizer", None)

    def spec_key(self) -> dict[str, Any]:
        """What the tokenizer depends on besides the training texts."""
        return {"tokenizer": self._tokenizer or [self.unit, self.vocab_size, self.lowercase, self.min_frequency]}

    def tokenizer_of(self, texts: Iterable[str]) -> Tokenizer:
        """The adopted tokenizer, or one that is fitted on these texts."""
        if self._tokenizer:
            return Tokenizer(self._tokenizer)
        return fit(texts, self.unit, self.vocab_size, self.lowercase, self.min_frequency)

    def token_folder(self, folder: Path, tokenizer: Tokenizer) -> Path:
        """Where the tokens of what `process` wrote to `folder` are kept."""
        return folder.with_name(f"{folder.name}-tokens-{digest(tokenizer.json)}")


def save_tokens(folder: Path, tokenizer: Tokenizer, texts: Texts, last: NDArray[np.bool_] | None = None) -> None:
    """Saves the tokens of texts, as the column `tokens`, never many of them in memory.

    Args:
        folder: is made.
        tokenizer: of the texts.
        texts: in their order.
        last: after which of them the token 0 ends a document; [N].
    """
    folder.mkdir()
    writer = RaggedWriter(folder / "tokens.npy", np.uint16 if tokenizer.vocab_size <= 2**16 else np.int32)
    rows, size = np.arange(len(texts)), int(texts.ends[-1])
    for chunk in np.split(rows, np.searchsorted(texts.ends, np.arange(PIECE, size, PIECE))):
        for row, token_ids in zip(chunk, tokenizer.encode_all(list(texts[chunk])), strict=True):
            if last is not None and last[row]:
                token_ids.append(EOS_ID)
            writer.append(np.array(token_ids, writer.dtype))
    writer.close()
