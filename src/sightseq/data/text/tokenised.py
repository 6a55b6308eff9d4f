"""Base of all text datasets: the tokenizer, fitted on the training split or taken from another model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import Ragged, RaggedWriter
from sightseq.core.datamodule import DataModule, digest
from sightseq.core.spec import Spec
from sightseq.text.tokenizer import EOS_ID, Tokenizer, Unit, fit

PIECE = 2**17  # characters, or bytes, of text per call of the tokenizer


class Texts(Ragged):
    """Texts [N] stored as UTF-8 bytes; `texts[rows]` is an array of strings."""

    @classmethod
    def like(cls, column: Ragged) -> "Texts":
        """View a column of bytes as texts."""
        return cls(column.values, column.ends)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.object_]:
        return np.array([self.row(row).tobytes().decode() for row in rows], object)


class TokenisedData(DataModule):
    """Texts that are read as tokens. A model that is tested or fine-tuned brings its own tokenizer.

    Args:
        unit: "words", "whitespace", "subwords" or "characters": see `text.tokenizer.fit`.
        vocab_size: largest number of tokens.
        lowercase: convert texts to lower case.
        min_frequency: words that occur less often in the training texts are `<unk>`. At 1 no training text might
            contain `<unk>`, and the model could not learn it.
        common: see `DataModule`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"unit", "vocab_size", "lowercase", "min_frequency"})

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
        self._tokenizer: str | None = None  # JSON of the adopted tokenizer

    def adopt(self, spec: Spec) -> None:
        """Adopt the tokenizer of a text model's spec."""
        self._tokenizer = getattr(spec, "tokenizer", None)

    def spec_key(self) -> dict[str, Any]:
        """Options that change the tokenizer, or the adopted tokenizer."""
        return {"tokenizer": self._tokenizer or [self.unit, self.vocab_size, self.lowercase, self.min_frequency]}

    def get_tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """Return the adopted tokenizer, or one fitted on these texts."""
        if self._tokenizer:
            return Tokenizer(self._tokenizer)
        return fit(texts, self.unit, self.vocab_size, self.lowercase, self.min_frequency)

    def token_folder(self, folder: Path, tokenizer: Tokenizer) -> Path:
        """Return the folder for the tokens of what `process` wrote to `folder`."""
        return folder.with_name(f"{folder.name}-tokens-{digest(tokenizer.json)}")


def save_tokens(folder: Path, tokenizer: Tokenizer, texts: Texts, last: NDArray[np.bool_] | None = None) -> None:
    """Tokenise texts and save them as the column `tokens`, a part at a time to limit memory.

    Args:
        folder: output folder; it must not exist.
        tokenizer: the tokenizer.
        texts: the N texts.
        last: [N], whether a document ends after this text; then the token 0 is appended.
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


def pad_tokens(tokens: Ragged, rows: NDArray[np.int64], max_tokens: int, padding: int) -> tuple[Tensor, Tensor]:
    """Pad the token ids of some texts to one batch.

    Args:
        tokens: token ids of all texts, each with its EOS.
        rows: the B texts of the batch.
        max_tokens: longest text, including its EOS; a longer one is truncated before its EOS.
        padding: pads the shorter texts.

    Returns:
        Token ids int64 [B, T], and the numbers of tokens int64 [B].
    """
    lengths = tokens.lengths[rows].clip(max=max_tokens)
    padded = np.full((len(rows), lengths.max()), padding, np.int64)
    for row, (number, length) in enumerate(zip(rows.tolist(), lengths.tolist(), strict=True)):
        padded[row, :length] = tokens.row(number)[:length]
        padded[row, length - 1] = EOS_ID
    return torch.from_numpy(padded), torch.from_numpy(lengths)
