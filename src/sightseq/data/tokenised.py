"""What all datasets of texts have in common: the tokenizer, fitted on the training split or another model's."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sightseq.core.datamodule import DataModule
from sightseq.core.spec import Spec
from sightseq.text.tokenizer import Tokenizer, Unit, fit


class TokenisedData(DataModule):
    """Texts that are read as tokens. A model that is tested or begun with brings its own tokenizer.

    Args:
        unit: "words", "whitespace", "subwords" or "characters": see `text.tokenizer.fit`.
        vocab_size: how many of them.
        lowercase: do not tell capitals apart.
        common: see `DataModule`.
    """

    def __init__(
        self, *, unit: Unit = "words", vocab_size: int = 10_000, lowercase: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        self.unit, self.vocab_size, self.lowercase = unit, vocab_size, lowercase
        self._tokenizer: str | None = None  # another model's

    def adopt(self, spec: Spec) -> None:
        """The tokenizer of a model of texts."""
        self._tokenizer = getattr(spec, "tokenizer", None)

    def spec_key(self) -> dict[str, Any]:
        """What the tokenizer depends on besides the training texts."""
        options = {"unit": self.unit, "vocab_size": self.vocab_size, "lowercase": self.lowercase}
        return {"tokenizer": self._tokenizer or options}

    def tokenizer_of(self, texts: Iterable[str]) -> Tokenizer:
        """The adopted tokenizer, or one that is fitted on these texts."""
        return Tokenizer(self._tokenizer) if self._tokenizer else fit(texts, self.unit, self.vocab_size, self.lowercase)

    def token_folder(self, folder: Path, tokenizer: Tokenizer) -> Path:
        """Where the tokens of what `process` wrote to `folder` are kept."""
        return folder.with_name(f"{folder.name}-tokens-{hashlib.sha256(tokenizer.json.encode()).hexdigest()[:16]}")
