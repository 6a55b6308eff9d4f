"""Spec of translation: the tokens of the source and of the target language."""

import json
from dataclasses import dataclass
from typing import Any

from sightseq.core.errors import CheckpointError
from sightseq.core.spec import Spec
from sightseq.text.tokens_spec import Tokens


@dataclass(frozen=True)
class TranslationSpec(Spec):
    """Pairs of sentences in two languages.

    Attributes:
        source: tokens of the language that is translated from.
        target: tokens of the language that is translated to.
        joint: both languages have one vocabulary, so a network may share their embeddings.
    """

    source: Tokens
    target: Tokens
    joint: bool = False

    def __post_init__(self) -> None:
        if min(self.source.max_tokens, self.target.max_tokens) < 2:
            raise CheckpointError("the spec has max_tokens below 2: one token and EOS")
        if self.joint and self.source.tokenizer != self.target.tokenizer:
            raise CheckpointError("the spec has a joint vocabulary, but two tokenizers")

    @property
    def languages(self) -> tuple[str, str]:
        """Codes of the source and the target language."""
        return self.source.language, self.target.language

    def difference(self, other: Spec) -> str:
        """Compare the languages only: the data is encoded with the model's own tokenizers."""
        if not isinstance(other, TranslationSpec):
            return super().difference(other)
        if self.languages == other.languages:
            return ""
        return f"it translates {' to '.join(self.languages)}, and the data is {' to '.join(other.languages)}"

    def net_arguments(self) -> dict[str, Any]:
        """Return `source_vocab_size`, `target_vocab_size` and `joint`."""
        return {
            "source_vocab_size": self.source.vocab_size,
            "target_vocab_size": self.target.vocab_size,
            "joint": self.joint,
        }

    def summary(self) -> dict[str, Any]:
        """Return the languages and the sizes of the vocabularies."""
        sizes = (self.source.vocab_size, self.target.vocab_size)
        vocabulary = f"joint, {self.source.vocab_size:,}" if self.joint else " and ".join(f"{n:,}" for n in sizes)
        return {"languages": "-".join(self.languages), "vocabulary": vocabulary}

    def metadata(self) -> dict[str, str]:
        """Return `languages`, `source_tokenizer`, `target_tokenizer`, and `preprocessing` with both `max_tokens`."""
        lengths = {"source_max_tokens": self.source.max_tokens, "target_max_tokens": self.target.max_tokens}
        return {
            "languages": json.dumps(self.languages),
            "preprocessing": json.dumps(lengths),
            "source_tokenizer": self.source.tokenizer,
            "target_tokenizer": self.target.tokenizer,
        }
